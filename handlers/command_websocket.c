/* Exec and Attach over WebSocket: proto/channel.h on messages. */
#include "core/log.h"
#include "core/mem.h"
#include "handlers/command_link.h"
#include "handlers/stream_websocket.h"

#include <string.h>

struct command_websocket {
    struct command_link *link;
    struct stream_websocket *ws;
    struct channels channels;
    struct timer open; /* there is nothing to wait for, but on_open never comes before its start has returned */
};

static void on_message(void *data, const struct websocket_message *message)
{
    struct command_websocket *s = data;
    struct channel_event event;
    struct err err;

    if (channel_read(&s->channels, message, &event, &err) < 0)
        stream_websocket_broke(s->ws, &err);
    else if (event.kind == CHANNEL_DATA)
        s->link->events.on_data(s->link->data, (enum channel_number)event.channel, event.data, event.len);
    else if (event.kind == CHANNEL_CLOSED)
        s->link->events.on_end(s->link->data, (enum channel_number)event.channel);
}

static void on_drain(void *data)
{
    struct command_websocket *s = data;

    s->link->events.on_drain(s->link->data);
}

static void on_gone(void *data, const struct err *err)
{
    struct command_websocket *s = data;

    s->link->events.on_gone(s->link->data, err);
}

static void on_open_time(void *data)
{
    struct command_websocket *s = data;

    s->link->events.on_open(s->link->data);
}

static void *make(struct command_link *link, const struct command_link_spec *spec)
{
    static const struct stream_websocket_events events = {on_message, on_drain, on_gone};
    struct command_websocket *s = mem_new(struct command_websocket);

    s->link = link;
    s->ws = stream_websocket_new(spec->conn, &events, s);
    channels_open_command(&s->channels, spec->protocol,
                          (struct channel_streams){.in = spec->in, .out = spec->out, .err = spec->err},
                          stream_websocket_codec(s->ws));
    stream_websocket_flush(s->ws);
    timer_start(&s->open, spec->loop, 0, on_open_time, s);
    return s;
}

static void write_channel(void *self, enum channel_number channel, const void *p, size_t n)
{
    struct command_websocket *s = self;

    channel_write(&s->channels, channel, p, n);
    stream_websocket_flush(s->ws);
}

static void ping(void *self)
{
    struct command_websocket *s = self;

    websocket_ping(stream_websocket_codec(s->ws), "", 0);
    stream_websocket_flush(s->ws);
}

static void finish(void *self, const char *status)
{
    struct command_websocket *s = self;

    if (*status)
        channel_write(&s->channels, CHANNEL_ERROR, status, strlen(status));
    timer_stop(&s->open);
    stream_websocket_finish(s->ws, WEBSOCKET_NORMAL, "");
    free(s);
}

static void drop(void *self)
{
    struct command_websocket *s = self;

    timer_stop(&s->open);
    stream_websocket_free(s->ws);
    free(s);
}

const struct command_link_kind command_websocket = {make, write_channel, ping, finish, drop};
