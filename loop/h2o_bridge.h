/*
 * HTTP/2 requests from libh2o 2.2.5, nested in our libev loop: the only file that knows either.
 *
 * The bridge carries bytes: it does not know gRPC's frames or CRI's messages. A call is one HTTP/2 stream; its arena is
 * the request's pool. It ends by bridge_call_finish(), by the client (on_gone), or with the connection (on_gone).
 * Facts and traps of h2o 2.2.5: docs/architecture.md, "h2o".
 */
#pragma once
#include "core/err.h"
#include "loop/loop.h"
#include <stddef.h>
#include <sys/types.h>

struct bridge;
struct bridge_call;

/* Called once for each request, when all of it has arrived. It answers now or later; it may call any bridge_call_*(). */
typedef void bridge_on_call(void *data, struct bridge_call *c);

/* A request body above max_body is reset by h2o itself: take twice what you accept, and refuse in words what is between. */
struct bridge *bridge_new(struct loop *l, size_t max_body);
/* Closes everything that is open; open calls hear on_gone. Not from inside one of the bridge's own callbacks. */
void bridge_free(struct bridge *b);

/* Serves HTTP/2 with prior knowledge on a unix socket, mode 0660; a stale socket file is replaced, one that a live server
 * holds is an error. */
int bridge_listen(struct bridge *b, const char *path, bridge_on_call *on_call, void *data,
                  struct err *err) must_check;

/* Stops accepting, sends GOAWAY, calls on_drained from the loop when no call is open (at once if none is). */
void bridge_drain(struct bridge *b, void (*on_drained)(void *data), void *data);

const char *bridge_call_path(const struct bridge_call *c);   /* "/runtime.v1.RuntimeService/Version" */
const char *bridge_call_method(const struct bridge_call *c); /* "POST" */
const char *bridge_call_header(struct bridge_call *c,
                               const char *lower_name); /* NULL when absent; lives with the call */
const void *bridge_call_body(const struct bridge_call *c, size_t *ret_len);
void *bridge_call_alloc(struct bridge_call *c,
                        size_t size); /* from the request's pool: freed with the call, not zeroed */
pid_t bridge_call_peer_pid(const struct bridge_call *c); /* SO_PEERCRED; 0 if unknown */

/* on_gone is the last that is heard of a call: `finished` tells whether bridge_call_finish() had run. */
void bridge_call_on_gone(struct bridge_call *c, void (*fn)(void *data, bool finished), void *data);
/* Called when all that was handed to bridge_call_send() has left: the back-pressure signal of a streaming reply. */
void bridge_call_on_drain(struct bridge_call *c, void (*fn)(void *data), void *data);

/* Queues body bytes; after bridge_call_finish() they are dropped. The second form takes over a malloc'ed block. */
void bridge_call_send(struct bridge_call *c, const void *p, size_t n);
void bridge_call_send_owned(struct bridge_call *c, void *p, size_t n);
size_t bridge_call_queued(const struct bridge_call *c);

/*
 * Ends the call with trailers grpc-status and, if message is not empty, grpc-message (already percent-encoded; what is
 * behind BRIDGE_MESSAGE_MAX bytes is cut). The call is dead to its owner: on_gone follows, from the loop. A second
 * finish does nothing.
 */
enum { BRIDGE_MESSAGE_MAX = 8192 };
void bridge_call_finish(struct bridge_call *c, int grpc_status, const char *message);

/* Ends a call that is no gRPC with a plain HTTP answer, 415 for one. Only before anything was sent. */
void bridge_call_refuse(struct bridge_call *c, int http_status, const char *reason);
