/*
 * SPDY/3.1 on an upgraded connection, or inside the binary messages of a WebSocket on it (SPDY/3.1+portforward.k8s.io).
 *
 * Clients of Kubernetes know no flow control (moby/spdystream): what holds a client back is that its connection is not read.
 * So the owner stops reading, by stream_conn_read(), while it has more than a mark of its own unconsumed.
 */
#pragma once
#include "loop/stream_conn.h"
#include "proto/spdy.h"
#include <stdbool.h>

struct stream_spdy;

struct stream_spdy_events {
    /* As in spdy_events; kept: what spdy_set_stream_data() kept. */
    void (*on_stream)(void *data, uint32_t id, const struct spdy_headers *headers, bool fin);
    void (*on_data)(void *data, uint32_t id, const uint8_t *p, size_t n, bool fin);
    void (*on_rst)(void *data, uint32_t id, void *kept);
    void (*on_drain)(void *data); /* what was queued has been sent */
    void (*on_gone)(void *data,
                    const struct err *err); /* the client closed (NULL), went away or broke a rule */
};

/* Takes the connection, which reads from now on. */
struct stream_spdy *stream_spdy_new(struct stream_conn *conn, bool tunnel,
                                    const struct stream_spdy_events *events, void *data);
struct spdy *stream_spdy_codec(struct stream_spdy *s);
struct stream_conn *stream_spdy_conn(struct stream_spdy *s);
void stream_spdy_flush(
    struct stream_spdy *s); /* sends what the codec has to say; after the events it happens by itself */

/* Accepts a stream. */
void stream_spdy_reply(struct stream_spdy *s, uint32_t id);
/* Sends all of it, without a copy as far as the kernel takes it. A stream that is gone: nothing. */
void stream_spdy_data(struct stream_spdy *s, uint32_t id, const void *p, size_t n, bool fin);

/* Sends what is queued and goes; nothing is called any more. */
void stream_spdy_finish(struct stream_spdy *s);
/* Drops it; after on_gone with an error the client is still told. May be called from every callback. NULL is fine. */
void stream_spdy_free(struct stream_spdy *s);
