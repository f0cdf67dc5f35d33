/*
 * One HTTP/2 connection to a CRI socket, and unary gRPC calls on it, many at a time. Requests are bytes that were made before;
 * between the two timestamps of a call there is nothing of ours but the frames.
 * Source: gRPC over HTTP2 (grpc/doc/PROTOCOL-HTTP2.md).
 */
#pragma once
#include "core/buf.h"
#include "core/err.h"
#include <stdbool.h>
#include <stdint.h>

/*
 * One call; used again and again, so that its buffers have their size before anything is timed. Set method and request, then
 * conn_start(); from then until conn_next() gives it back it belongs to the connection.
 */
struct call {
    const char *path;   /* "/runtime.v1.RuntimeService/Version" */
    struct buf request; /* one gRPC frame: prefix and message */
    struct buf reply;   /* the same of the answer; at most GRPC_MESSAGE_MAX */
    int status;         /* grpc-status; UNAVAILABLE when the connection broke or the stream was reset */
    char message[256];  /* grpc-message, decoded and cut */
    uint64_t started_ns,
        ended_ns; /* CLOCK_MONOTONIC: before the first byte is written, after the stream's end is read */
    void *owner;  /* the caller's */
    size_t sent;  /* the connection's, like what follows */
    int32_t stream;
    struct call *next;
};

struct conn;

int conn_open(const char *socket_path, struct conn **ret, struct err *err) must_check;
void conn_free(struct conn *c);

/* Sends the request. A connection that is broken completes the call with UNAVAILABLE, by conn_next() like any other. */
void conn_start(struct conn *c, struct call *call);

/* The next call that has ended, or NULL when none has within timeout_ms (-1: as long as it takes) or none is under way. */
struct call *conn_next(struct conn *c, int timeout_ms);

/* One call from start to end, without others under way. 0, or its status as an error with the method's name. */
int conn_call(struct conn *c, struct call *call, struct err *err) must_check;

void call_done(struct call *call); /* frees the buffers */
double call_ms(const struct call *call);
uint64_t now_ns(void);
