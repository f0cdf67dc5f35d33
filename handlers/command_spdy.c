/*
 * Exec and Attach over SPDY: a stream a channel, which the client opens with the header "streamtype". Source: remotecommand of
 * Kubernetes' streaming server. Once all are there the session needs no header any more: the inflater's memory is given back.
 */
#include "core/mem.h"
#include "handlers/command_link.h"
#include "handlers/stream_spdy.h"

#include <string.h>

struct command_spdy {
    struct command_link *link;
    struct stream_spdy *spdy;
    bool wanted[CHANNEL_COMMAND_COUNT];
    uint32_t ids[CHANNEL_COMMAND_COUNT]; /* 0: not opened yet, or reset */
    unsigned missing;
};

static const char *const names[CHANNEL_COMMAND_COUNT] = {
    [CHANNEL_STDIN] = "stdin", [CHANNEL_STDOUT] = "stdout", [CHANNEL_STDERR] = "stderr",
    [CHANNEL_ERROR] = "error", [CHANNEL_RESIZE] = "resize",
};

static int channel_named(const char *name)
{
    for (int i = 0; name && i < CHANNEL_COMMAND_COUNT; i++)
        if (strcmp(names[i], name) == 0)
            return i;
    return -1;
}

static int channel_of(const struct command_spdy *s, uint32_t id)
{
    for (int i = 0; i < CHANNEL_COMMAND_COUNT; i++)
        if (s->ids[i] == id)
            return i;
    return -1;
}

static void on_stream(void *data, uint32_t id, const struct spdy_headers *headers, bool fin)
{
    struct command_spdy *s = data;
    int channel = channel_named(spdy_header_get(headers, "streamtype"));

    if (channel < 0 || !s->wanted[channel]) { /* not asked for in the request, or there already */
        spdy_rst(stream_spdy_codec(s->spdy), id, SPDY_REFUSED_STREAM);
        return;
    }
    s->wanted[channel] = false;
    s->ids[channel] = id;
    stream_spdy_reply(s->spdy, id);
    s->missing--;
    if (s->missing == 0) {
        spdy_seal(stream_spdy_codec(s->spdy));
        s->link->events.on_open(s->link->data);
    }
    if (fin && (channel == CHANNEL_STDIN || channel == CHANNEL_RESIZE))
        s->link->events.on_end(s->link->data, (enum channel_number)channel);
}

static void on_data(void *data, uint32_t id, const uint8_t *p, size_t n, bool fin)
{
    struct command_spdy *s = data;
    int channel = channel_of(s, id);

    spdy_consumed(stream_spdy_codec(s->spdy), id, n); /* the owner stops reading when it has enough */
    if (channel != CHANNEL_STDIN && channel != CHANNEL_RESIZE)
        return;
    if (n)
        s->link->events.on_data(s->link->data, (enum channel_number)channel, p, n);
    if (fin)
        s->link->events.on_end(s->link->data, (enum channel_number)channel);
}

static void on_rst(void *data, uint32_t id, void *kept)
{
    struct command_spdy *s = data;
    int channel = channel_of(s, id);

    (void)kept;
    if (channel < 0)
        return;
    s->ids[channel] = 0;
    if (channel == CHANNEL_STDIN)
        s->link->events.on_end(s->link->data, CHANNEL_STDIN);
}

static void on_drain(void *data)
{
    struct command_spdy *s = data;

    s->link->events.on_drain(s->link->data);
}

static void on_gone(void *data, const struct err *err)
{
    struct command_spdy *s = data;

    s->link->events.on_gone(s->link->data, err);
}

static void *make(struct command_link *link, const struct command_link_spec *spec)
{
    static const struct stream_spdy_events events = {on_stream, on_data, on_rst, on_drain, on_gone};
    struct command_spdy *s = mem_new(struct command_spdy);

    s->link = link;
    s->wanted[CHANNEL_STDIN] = spec->in;
    s->wanted[CHANNEL_STDOUT] = spec->out;
    s->wanted[CHANNEL_STDERR] = spec->err;
    s->wanted[CHANNEL_ERROR] = true;
    s->wanted[CHANNEL_RESIZE] = spec->resize && spec->protocol->resize;
    for (int i = 0; i < CHANNEL_COMMAND_COUNT; i++)
        s->missing += s->wanted[i];
    s->spdy = stream_spdy_new(spec->conn, false, &events, s);
    return s;
}

static void write_channel(void *self, enum channel_number channel, const void *p, size_t n)
{
    struct command_spdy *s = self;

    if (s->ids[channel])
        stream_spdy_data(s->spdy, s->ids[channel], p, n, false);
}

static void ping(void *self)
{
    struct command_spdy *s = self;

    spdy_ping(stream_spdy_codec(s->spdy));
    stream_spdy_flush(s->spdy);
}

static void finish(void *self, const char *status)
{
    struct command_spdy *s = self;

    for (int i = CHANNEL_STDOUT; i <= CHANNEL_STDERR; i++)
        if (s->ids[i])
            stream_spdy_data(s->spdy, s->ids[i], "", 0, true);
    if (s->ids[CHANNEL_ERROR])
        stream_spdy_data(s->spdy, s->ids[CHANNEL_ERROR], status, strlen(status), true);
    stream_spdy_finish(s->spdy);
    free(s);
}

static void drop(void *self)
{
    struct command_spdy *s = self;

    stream_spdy_free(s->spdy);
    free(s);
}

const struct command_link_kind command_spdy = {make, write_channel, ping, finish, drop};
