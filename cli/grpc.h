/*
 * A gRPC client for unary calls over HTTP/2 with prior knowledge on a unix socket; it blocks.
 * Source: gRPC over HTTP2 (grpc/doc/PROTOCOL-HTTP2.md).
 */
#pragma once
#include "core/err.h"
#include <protobuf-c/protobuf-c.h>

struct grpc;

/* endpoint: "unix:///run/x.sock", "unix:/run/x.sock" or "/run/x.sock" to the path; the caller frees. */
int grpc_endpoint_path(const char *endpoint, char **ret_path, struct err *err) must_check;

int grpc_open(const char *socket_path, struct grpc **ret, struct err *err) must_check;
void grpc_free(struct grpc *g);
void grpc_set_cancel_fd(struct grpc *g, int fd); /* readable: the call ends with CANCELLED; -1: none */

/*
 * One call. The server's status becomes err; a server that cannot be reached UNAVAILABLE with what to do. timeout_ms 0: no
 * deadline; else it is sent as grpc-timeout, and waited for a little longer. *ret_reply: protobuf_c_message_free_unpacked().
 */
int grpc_call(struct grpc *g, const ProtobufCServiceDescriptor *service,
              const ProtobufCMethodDescriptor *method, const ProtobufCMessage *request, int timeout_ms,
              ProtobufCMessage **ret_reply, struct err *err) must_check;
