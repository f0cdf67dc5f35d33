/*
 * A WebSocket on an upgraded connection: whole messages in, messages out, with the owner's back-pressure in both directions.
 *
 * A session holds at most what stream_conn.h and proto/websocket.h say, with messages of STREAM_MESSAGE_MAX.
 */
#pragma once
#include "loop/stream_conn.h"
#include "proto/websocket.h"
#include <stdbool.h>

enum { STREAM_MESSAGE_MAX = 1024 * 1024 };

struct stream_websocket;

struct stream_websocket_events {
    void (*on_message)(void *data, const struct websocket_message *message);
    void (*on_drain)(void *data); /* what was queued has been sent */
    void (*on_gone)(void *data,
                    const struct err *err); /* the client closed (NULL), went away or broke a rule */
};

/* Takes the connection, which reads from now on. */
struct stream_websocket *stream_websocket_new(struct stream_conn *conn,
                                              const struct stream_websocket_events *events, void *data);
struct websocket *stream_websocket_codec(struct stream_websocket *s); /* to put messages into; then: */
void stream_websocket_flush(struct stream_websocket *s);              /* sends what was put there */
struct stream_conn *stream_websocket_conn(struct stream_websocket *s);

/* The client broke a rule of a layer above, which has put a Close into the codec: it is told, and on_gone is called. */
void stream_websocket_broke(struct stream_websocket *s, const struct err *err);

/* Says Close with the code, sends what is queued, and goes; nothing is called any more. */
void stream_websocket_finish(struct stream_websocket *s, enum websocket_code code, const char *reason);
/* Drops it; after on_gone with an error the client is still told. May be called from every callback. NULL is fine. */
void stream_websocket_free(struct stream_websocket *s);
