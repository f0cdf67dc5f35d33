/*
 * PortForward over WebSocket with the channel protocols: the query names the ports, and each has its one connection from the
 * beginning. In v5 the client ends its side of a channel by {255, n}; no other protocol has a word for that. The server ends a
 * connection by Close, when the last of them is over.
 */
#include "core/mem.h"
#include "handlers/port_session.h"
#include "handlers/stream_websocket.h"
#include "proto/channel.h"

#include <string.h>

struct port_websocket {
    struct port_session *session;
    struct stream_websocket *ws;
    struct channels channels;
    struct port_pair *pairs[CHANNEL_PORTS_MAX]; /* by channel / 2; NULL: over */
    size_t open;
    struct timer last; /* no pair is left: ends in the next turn, for we are within a callback */
};

static void on_message(void *data, const struct websocket_message *message)
{
    struct port_websocket *s = data;
    struct channel_event event;
    struct err err;

    if (channel_read(&s->channels, message, &event, &err) < 0) {
        stream_websocket_broke(s->ws, &err);
        return;
    }
    struct port_pair *p = event.kind == CHANNEL_NOTHING ? NULL : s->pairs[event.channel / 2];
    if (!p)
        return;
    if (event.kind == CHANNEL_DATA)
        port_pair_take(p, event.data, event.len);
    else
        port_pair_client_ended(p);
}

static void on_drain(void *data)
{
    struct port_websocket *s = data;

    port_session_drained(s->session);
}

static void on_gone(void *data, const struct err *err)
{
    struct port_websocket *s = data;

    port_session_gone(s->session, err);
}

static void *make(struct port_session *session, struct stream_opening *o)
{
    static const struct stream_websocket_events events = {on_message, on_drain, on_gone};
    struct port_websocket *s = mem_new(struct port_websocket);

    s->session = session;
    s->ws = stream_websocket_new(o->conn, &events, s);
    channels_open_ports(&s->channels, o->protocol, o->ports, o->ports_n, stream_websocket_codec(s->ws));
    stream_websocket_flush(s->ws);
    for (uint32_t i = 0; i < o->ports_n; i++)
        s->pairs[i] = port_pair_new(session, o->ports[i], 2 * i, 2 * i + 1);
    s->open = o->ports_n;
    return s;
}

static void send_data(void *self, struct port_pair *p, const void *bytes, size_t n)
{
    struct port_websocket *s = self;

    channel_write(&s->channels, p->data_id, bytes, n);
    stream_websocket_flush(s->ws);
}

/* There is no half-close towards the client: what its server has ended is over. */
static void send_end(void *self, struct port_pair *p)
{
    (void)self;
    p->client_ended = true;
}

static void on_last(void *data)
{
    struct port_websocket *s = data;

    port_session_end(s->session);
}

static void close_pair(void *self, struct port_pair *p, const char *text)
{
    struct port_websocket *s = self;

    if (text) {
        channel_write(&s->channels, p->error_id, text, strlen(text));
        stream_websocket_flush(s->ws);
    }
    s->pairs[p->data_id / 2] = NULL;
    if (--s->open == 0)
        timer_start(&s->last, port_session_daemon(s->session)->loop, 0, on_last, s);
}

static void ping(void *self)
{
    struct port_websocket *s = self;

    websocket_ping(stream_websocket_codec(s->ws), "", 0);
    stream_websocket_flush(s->ws);
}

static void drop(void *self)
{
    struct port_websocket *s = self;

    timer_stop(&s->last);
    stream_websocket_free(s->ws);
    free(s);
}

static void finish(void *self, const char *why)
{
    struct port_websocket *s = self;

    timer_stop(&s->last);
    stream_websocket_finish(s->ws, why ? WEBSOCKET_GOING_AWAY : WEBSOCKET_NORMAL, why ? why : "");
    free(s);
}

const struct port_link_kind port_websocket = {make, send_data, send_end, close_pair, ping, finish, drop};
