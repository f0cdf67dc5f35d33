#include "proto/spdy_conn.h"

#include <errno.h>
#include <stdlib.h>

/* Entries of SETTINGS; bytes before a header block. */
enum { SETTINGS_MAX = 256, SYN_STREAM_FIXED = 10, HEADERS_FIXED = 4 };

static uint32_t id_at(const uint8_t *p)
{
    return spdy_get32(p) & SPDY_ID_MAX;
}

/*
 * Every block goes through the inflater, wanted or not: the ones behind it depend on it. Each is small, but a hundred
 * small bombs in one read would hold the loop up for 20 ms: see SPDY_INFLATE_RATIO.
 */
static int block_read(struct spdy *s, const uint8_t *p, size_t n, struct spdy_headers *ret, struct err *err)
{
    size_t max = s->limits.header.inflated_max;
    int rc;

    if (max > s->inflate_left)
        max = s->inflate_left;
    if (!s->inflater)
        s->inflater = spdy_inflater_new();
    if ((rc = spdy_inflate(s->inflater, p, n, max, &s->inflated, err)) < 0)
        return rc;
    s->inflate_left -= s->inflated.len;
    return spdy_headers_parse(&s->inflated, &s->limits.header, ret, err);
}

static void stream_open(struct spdy *s, uint32_t id, uint8_t flags, const struct spdy_headers *h)
{
    struct err why = {0};

    if (flags & SPDY_UNIDIRECTIONAL)
        spdy_fault(&why, "stream %u is unidirectional: it could have no reply", id);
    else if (s->sealed)
        spdy_fault(&why, "stream %u: the session has all its streams", id);
    else if (spdy_streams(s) >= s->limits.streams_max)
        err_set(&why, GRPC_RESOURCE_EXHAUSTED, EMSGSIZE, "SPDY: stream %u: %u are open, and no more may be", id,
                s->limits.streams_max);
    else {
        spdy_stream_new(s, id, flags & SPDY_FIN);
        s->events.on_stream(s->ctx, id, h, flags & SPDY_FIN);
        return;
    }
    spdy_stream_fault(s, id, SPDY_REFUSED_STREAM, &why);
}

/* refused: the headers are what the draft refuses, for the reason in *why. */
static void stream_take(struct spdy *s, uint32_t id, const struct spdy_headers *h, bool refused,
                        struct err *why)
{
    if (s->gone)
        return;
    if (id == s->last_id) {
        spdy_fault(why, "stream %u: a second SYN_STREAM", id);
        refused = true;
    }
    s->last_id = id;
    if (refused)
        spdy_stream_fault(s, id, SPDY_PROTOCOL_ERROR, why);
    else
        stream_open(s, id, s->head.flags, h);
}

static int on_syn_stream(struct spdy *s, const uint8_t *p, size_t n, struct err *err)
{
    struct spdy_headers h = {0};
    uint32_t id = id_at(p);
    struct err why = {0};
    int rc = 0;

    if (id % 2 == 0)
        return spdy_fault(err, "SYN_STREAM of stream %u: a client's ids are odd", id);
    if (id < s->last_id)
        return spdy_fault(err, "SYN_STREAM of stream %u after that of %u: ids go up", id, s->last_id);
    if (!s->sealed)
        rc = block_read(s, p + SYN_STREAM_FIXED, n - SYN_STREAM_FIXED, &h, &why);
    if (rc < 0 && rc != -EBADMSG) {
        *err = why;
        return err_wrap(err, "SPDY: SYN_STREAM of stream %u", id);
    }
    stream_take(s, id, &h, rc < 0, &why);
    free(h.items);
    return 0;
}

static int on_syn_reply(struct spdy *s, const uint8_t *p, size_t n, struct err *err)
{
    (void)s, (void)n;
    return spdy_fault(err, "SYN_REPLY of stream %u: the server opens no streams", id_at(p));
}

/* Nothing that speaks to a container sends headers behind the first; they are checked, and only their FIN matters. */
static int on_headers(struct spdy *s, const uint8_t *p, size_t n, struct err *err)
{
    struct spdy_headers h = {0};
    uint32_t id = id_at(p);
    struct err why = {0};
    int rc = s->sealed ? 0 : block_read(s, p + HEADERS_FIXED, n - HEADERS_FIXED, &h, &why);
    struct spdy_stream *st = spdy_find(s, id);

    free(h.items);
    if (rc < 0 && rc != -EBADMSG) {
        *err = why;
        return err_wrap(err, "SPDY: HEADERS of stream %u", id);
    }
    if (!st)
        spdy_stream_unknown(s, id);
    else if (rc < 0)
        spdy_stream_fault(s, id, SPDY_PROTOCOL_ERROR, &why);
    else if (!spdy_data_refused(s, st, &(struct spdy_head){0}))
        spdy_data_give(s, st, p, 0, s->head.flags & SPDY_FIN);
    return 0;
}

static int on_rst_stream(struct spdy *s, const uint8_t *p, size_t n, struct err *err)
{
    uint32_t id = id_at(p), status = spdy_get32(p + 4);
    struct spdy_stream *st = spdy_find(s, id);

    (void)n, (void)err;
    if (!st)
        return 0; /* both may reset at once; and RST_STREAM is never answered with one */
    void *data = st->data;
    spdy_stream_gone(s, st);
    s->events.on_rst(s->ctx, id, data, status, NULL);
    return 0;
}

static void window_changed(struct spdy *s, uint32_t id)
{
    if (s->events.on_window)
        s->events.on_window(s->ctx, id);
}

/* Section 2.6.8: the new initial window moves those of the streams that are there, too. */
static int on_settings(struct spdy *s, const uint8_t *p, size_t n, struct err *err)
{
    uint32_t entries = spdy_get32(p), window = s->send_window_initial;

    if (entries > SETTINGS_MAX || n != 4 + (size_t)entries * 8)
        return spdy_fault(err, "SETTINGS of %zu bytes cannot have %u entries", n, entries);
    for (uint32_t i = 0; i < entries; i++)
        if ((spdy_get32(p + 4 + (size_t)i * 8) & 0xffffff) == SPDY_SETTING_INITIAL_WINDOW)
            window = spdy_get32(p + 8 + (size_t)i * 8);
    if (window > SPDY_WINDOW_MAX)
        return spdy_fault(err, "SETTINGS with an initial window of %u: at most %u", window, SPDY_WINDOW_MAX);
    bool grown = window > s->send_window_initial;

    s->send_window_initial = window;
    if (grown)
        window_changed(s, 0);
    return 0;
}

/* The client's pings have odd ids; an even one would answer one of ours, and we send none. */
static int on_ping(struct spdy *s, const uint8_t *p, size_t n, struct err *err)
{
    uint32_t id = spdy_get32(p);

    (void)n, (void)err;
    if (id % 2)
        spdy_put_ping(&s->output, id);
    return 0;
}

static int on_goaway(struct spdy *s, const uint8_t *p, size_t n, struct err *err)
{
    (void)n, (void)err;
    if (s->events.on_goaway)
        s->events.on_goaway(s->ctx, spdy_get32(p + 4));
    return 0;
}

static void stream_window_update(struct spdy *s, uint32_t id, uint32_t delta)
{
    struct spdy_stream *st = spdy_find(s, id);
    struct err why = {0};

    if (!st)
        return; /* closed meanwhile */
    if (delta == 0) {
        spdy_fault(&why, "stream %u: WINDOW_UPDATE by 0", id);
        spdy_stream_fault(s, id, SPDY_PROTOCOL_ERROR, &why);
    } else if (spdy_stream_window(s, st) + delta > SPDY_WINDOW_MAX) {
        spdy_fault(&why, "stream %u: WINDOW_UPDATE by %u takes its window above %d", id, delta,
                   SPDY_WINDOW_MAX);
        spdy_stream_fault(s, id, SPDY_FLOW_CONTROL_ERROR, &why);
    } else {
        st->send_credit += delta;
        window_changed(s, id);
    }
}

static int on_window_update(struct spdy *s, const uint8_t *p, size_t n, struct err *err)
{
    uint32_t id = id_at(p), delta = spdy_get32(p + 4) & SPDY_WINDOW_MAX;

    (void)n;
    if (s->limits.flow_ignored)
        return 0;
    if (id) {
        stream_window_update(s, id, delta);
        return 0;
    }
    if (delta == 0 || s->send_window + delta > SPDY_WINDOW_MAX)
        return spdy_fault(err, "WINDOW_UPDATE of the session by %u: its window has %lld, and at most %d", delta,
                          (long long)s->send_window, SPDY_WINDOW_MAX);
    s->send_window += delta;
    window_changed(s, 0);
    return 0;
}

static const struct control {
    uint32_t min, max; /* bytes of payload; those of a header block come on top */
    bool block;
    int (*handle)(struct spdy *s, const uint8_t *p, size_t n, struct err *err);
} controls[] = {
    [SPDY_SYN_STREAM] = {SYN_STREAM_FIXED, SYN_STREAM_FIXED, true, on_syn_stream},
    [SPDY_SYN_REPLY] = {4, 4, true, on_syn_reply},
    [SPDY_RST_STREAM] = {8, 8, false, on_rst_stream},
    [SPDY_SETTINGS] = {4, 4 + SETTINGS_MAX * 8, false, on_settings},
    [SPDY_PING] = {4, 4, false, on_ping},
    [SPDY_GOAWAY] = {8, 8, false, on_goaway},
    [SPDY_HEADERS] = {HEADERS_FIXED, HEADERS_FIXED, true, on_headers},
    [SPDY_WINDOW_UPDATE] = {8, 8, false, on_window_update},
};

static const struct control *control_find(unsigned type)
{
    return type < countof(controls) && controls[type].handle ? &controls[type] : NULL;
}

/* A type that the draft does not have is to be ignored (section 2.2.1). */
int spdy_control_begin(struct spdy *s, struct err *err)
{
    const struct spdy_head *h = &s->head;
    const struct control *c = control_find(h->type);
    uint32_t max = c ? c->max : 0;

    if (h->version != SPDY_VERSION)
        return spdy_fault(err, "frame of version %u: only %d is spoken", h->version, SPDY_VERSION);
    s->skip = !c;
    if (!c || c->block)
        max += s->limits.block_max;
    if (h->len > max)
        return err_set(err, GRPC_RESOURCE_EXHAUSTED, EMSGSIZE,
                       "SPDY: %s frame (type %u) of %u bytes: at most %u", spdy_type_name(h->type), h->type,
                       h->len, max);
    if (c && h->len < c->min)
        return spdy_fault(err, "%s frame of %u bytes: it has at least %u", spdy_type_name(h->type), h->len,
                          c->min);
    return 0;
}

int spdy_control_end(struct spdy *s, struct err *err)
{
    int rc;

    if (s->skip)
        return 0;
    rc = control_find(s->head.type)->handle(s, (const uint8_t *)s->payload.data, s->payload.len, err);
    buf_done(&s->payload); /* idle, a session holds neither */
    buf_done(&s->inflated);
    return rc;
}
