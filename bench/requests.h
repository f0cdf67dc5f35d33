/* The requests of the scenarios, as a kubelet sends them: the same bytes to every runtime but for the pods' cgroup. */
#pragma once
#include "bench/bench.h"
#include <protobuf-c/protobuf-c.h>

struct job;

#define CONTAINER_SECONDS "1000000" /* containers run `sleep` of it */

/* The files that containers mount; made once below b->work. */
int requests_prepare(const struct bench *b, struct err *err) must_check;

/* Replaces *frame by the message with its gRPC prefix. */
void request_pack(struct buf *frame, const ProtobufCMessage *message);

/* The answer's message; NULL when it is none. The caller frees with protobuf_c_message_free_unpacked(). */
ProtobufCMessage *reply_unpack(const struct call *call, const ProtobufCMessageDescriptor *type);

/* The path of a method of either service: "/runtime.v1.RuntimeService/Version"; static. NULL when no service has it. */
const char *method_path(const char *method);

void request_run_pod(const struct job *j, struct buf *frame);
void request_pod_id(const struct job *j, struct buf *frame); /* every request that is {1: pod_sandbox_id} */
void request_create_container(const struct job *j, struct buf *frame);
void request_container_id(const struct job *j, struct buf *frame); /* every request that is {1: container_id} */
void request_exec(const struct job *j, struct buf *frame);         /* ["true"], 10 s */
void request_image(struct buf *frame, const char *image); /* PullImage, ImageStatus, RemoveImage: {1: image} */
