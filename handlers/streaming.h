/*
 * The streaming server: Exec, Attach and PortForward answer with a URL, whose token is good for one connection within a minute;
 * the client comes there over HTTP/1.1 and upgrades to SPDY/3.1 or WebSocket. From then on it is a session.
 *
 *   RPC -- streaming_reply() --> token -- request with it --> upgraded -- kind->open() --> session -- stream_session_done()
 *                                  \-- a minute --> gone
 */
#pragma once
#include "core/err.h"
#include "handlers/rpc.h"
#include "loop/stream_conn.h"
#include "proto/stream_protocol.h"
#include <stdbool.h>
#include <stddef.h>

enum {
    STREAM_SESSIONS_MAX = 1000, /* open at once; above: HTTP 429 */
    STREAM_PING_S = 5,          /* between two pings to a client that is not being read */
};

struct streaming;
struct stream_opening;

/* What Exec, Attach and PortForward differ in. */
struct stream_kind {
    const char *path; /* "exec" */
    enum stream_use use;
    /* A client is there. Takes o->conn, and o->request may be stolen; o is gone when it returns. */
    void (*open)(struct stream_opening *o);
};

struct stream_request {
    const struct stream_kind *kind;
    char *id;   /* of the container or the pod */
    char **cmd; /* exec; NULL-terminated */
    bool in, out, err, tty;
};
struct stream_request *stream_request_new(const struct stream_kind *kind, const char *id);
void stream_request_free(struct stream_request *r);

struct stream_opening {
    struct daemon *daemon;
    struct stream_request *request;
    const struct stream_protocol *protocol;
    uint16_t ports[32]; /* of a WebSocket's query */
    size_t ports_n;
    struct stream_conn *conn;
};

/* Listens. The configuration's address, port and certificate are named in errors. */
int streaming_start(struct daemon *d, struct err *err) must_check;
/* No new sessions; those that are there are told that the daemon stops, and end. */
void streaming_stop(struct streaming *s);
bool streaming_idle(const struct streaming *s); /* no session is left */
void streaming_free(struct streaming *s);       /* drops what is left; NULL is fine */

/* Keeps the request (taken) and ends the call: by the reply, in which *url becomes the request's, or by an error; RESOURCE_EXHAUSTED:
 * too many wait. */
void streaming_reply(struct rpc *rpc, struct stream_request *request, ProtobufCMessage *reply, char **url);

/* Part of every session. */
struct stream_session {
    struct stream_session *prev, *next;
    struct streaming *streaming;
    struct stream_conn *conn;
    struct timer idle;
    uint64_t bytes; /* moved when it was last looked at */
    /* The daemon stops, or nothing has moved for long: tell the client why and end, now or later. */
    void (*end)(struct stream_session *s, const struct err *why);
    void (*drop)(struct stream_session *s); /* end at once, without a word */
};
/* end and drop are set. */
void stream_session_start(struct stream_session *s, struct daemon *d, struct stream_conn *conn);
void stream_session_done(struct stream_session *s);
