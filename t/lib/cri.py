#!/usr/bin/python3
"""A CRI client for the tests, on Debian's python3-grpcio: one process a test, many calls at once.

Reads a JSON object a line, answers with one a line, in the order in which calls end:
  {"id": 1, "method": "Version", "request": {...}, "timeout": 5}  ->  {"id": 1, "reply": {...}}
  a failed call                                                   ->  {"id": 1, "code": "NOT_FOUND", "message": "..."}
  {"cancel": 1}        cancels a call, if it still runs
  {"id": 2, "path": "/x.Y/Z", "raw": "<base64>"}                  a call of any path with raw bytes; the reply is base64
Usage: cri.py SOCKET DIRECTORY-WITH-GENERATED-MODULES
"""
import base64
import json
import os
import sys
import threading

sys.path.insert(0, sys.argv[2])
os.environ.setdefault("GRPC_ENABLE_FORK_SUPPORT", "0")
import grpc  # noqa: E402
from google.protobuf import json_format  # noqa: E402
from proto import cri_pb2, cricket_pb2  # noqa: E402

LIMIT = 64 << 20
SERVICES = [m.DESCRIPTOR.services_by_name[n] for m, n in (
    (cri_pb2, "RuntimeService"), (cri_pb2, "ImageService"), (cricket_pb2, "Cricket"))]
METHODS = {m.name: (f"/{s.full_name}/{m.name}", m) for s in SERVICES for m in s.methods}

channel = grpc.insecure_channel("unix://" + sys.argv[1], options=[
    ("grpc.max_receive_message_length", LIMIT), ("grpc.max_send_message_length", LIMIT),
    ("grpc.enable_retries", 0), ("grpc.initial_reconnect_backoff_ms", 50),
    ("grpc.min_reconnect_backoff_ms", 50), ("grpc.max_reconnect_backoff_ms", 100)])
lock = threading.Lock()
running = {}


def answer(o):
    with lock:
        try:
            sys.stdout.write(json.dumps(o) + "\n")
            sys.stdout.flush()
        except BrokenPipeError:  # the test does not wait for this call any more
            pass


def ended(call_id, future, to_json):
    running.pop(call_id, None)
    try:
        answer({"id": call_id, "reply": to_json(future.result())})
    except grpc.FutureCancelledError:
        answer({"id": call_id, "code": "CANCELLED", "message": "cancelled by the test"})
    except grpc.RpcError as e:
        answer({"id": call_id, "code": e.code().name, "message": e.details() or ""})


def message_class(descriptor):
    return getattr(cri_pb2, descriptor.name, None) or getattr(cricket_pb2, descriptor.name)


def to_dict(message):
    return json_format.MessageToDict(message, preserving_proto_field_name=True, including_default_value_fields=True)


def start(o):
    call_id, wait = o["id"], o.get("wait_for_ready", False)
    if "path" in o:
        stub = channel.unary_unary(o["path"])
        request, to_json = base64.b64decode(o["raw"]), lambda b: base64.b64encode(b).decode()
    else:
        path, method = METHODS[o["method"]]
        make = channel.unary_stream if method.server_streaming else channel.unary_unary
        stub = make(path, request_serializer=message_class(method.input_type).SerializeToString,
                    response_deserializer=message_class(method.output_type).FromString)
        request, to_json = json_format.ParseDict(o.get("request", {}), message_class(method.input_type)()), to_dict
    future = stub.future(request, timeout=o.get("timeout"), wait_for_ready=wait)
    running[call_id] = future
    future.add_done_callback(lambda f: ended(call_id, f, to_json))


for line in sys.stdin:
    o = json.loads(line)
    try:
        if "cancel" in o:
            if o["cancel"] in running:  # else its answer was quicker
                running[o["cancel"]].cancel()
        else:
            start(o)
    except Exception as e:  # the test wrote a request that is none: say so, as an answer
        answer({"id": o.get("id"), "code": "TEST", "message": f"{type(e).__name__}: {e}"})
