/* An owner of a struct spdy that writes down what it is told and what is sent, beside the client that speaks to it. */
#pragma once
#include "core/mem.h"
#include "proto/spdy_conn.h"
#include "spdy_client.h"
#include <string.h>

struct owner {
    struct client c;
    struct spdy *s;
    struct buf log;  /* events: "+1 name=value", "1:x" for each byte, "1.", "!3 status", "G status", "W id" */
    struct buf sent; /* all output, as text */
    bool mute;       /* does not reply */
    bool keep;       /* does not consume */
    uint32_t rst_in_stream, rst_in_data;
    char refused[ERR_MSG_SIZE];
};

static void on_stream(void *ctx, uint32_t id, const struct spdy_headers *h, bool fin)
{
    struct owner *o = ctx;
    struct err err;

    buf_addf(&o->log, "+%u", id);
    for (size_t i = 0; i < h->n; i++) {
        buf_addf(&o->log, " %s=", h->items[i].name);
        for (const char *v = NULL; (v = spdy_header_next(&h->items[i], v));)
            buf_addf(&o->log, "%s,", v);
    }
    buf_adds(&o->log, fin ? " FIN\n" : "\n");
    if (id == o->rst_in_stream)
        spdy_rst(o->s, id, SPDY_REFUSED_STREAM);
    else if (!o->mute)
        assert_int_equal(spdy_reply(o->s, id, NULL, 0, false, &err), 0);
}

static void on_data(void *ctx, uint32_t id, const uint8_t *p, size_t n, bool fin)
{
    struct owner *o = ctx;

    assert_true(n > 0 || fin);
    for (size_t i = 0; i < n && o->log.len < 100000; i++)
        buf_addf(&o->log, "%u:%c\n", id, p[i]);
    if (fin)
        buf_addf(&o->log, "%u.\n", id);
    if (!o->keep)
        spdy_consumed(o->s, id, n);
    if (id == o->rst_in_data)
        spdy_rst(o->s, id, SPDY_CANCEL);
}

static void on_rst(void *ctx, uint32_t id, void *data, uint32_t status, const struct err *refused)
{
    struct owner *o = ctx;

    assert_false(spdy_stream_open(o->s, id));
    assert_true(!data || data == o);
    buf_addf(&o->log, "!%u %u%s\n", id, status, refused ? " refused" : "");
    snprintf(o->refused, sizeof(o->refused), "%s", refused ? refused->msg : "");
}

static void on_goaway_event(void *ctx, uint32_t status)
{
    buf_addf(&((struct owner *)ctx)->log, "G %u\n", status);
}

static void on_window(void *ctx, uint32_t id)
{
    buf_addf(&((struct owner *)ctx)->log, "W %u\n", id);
}

static void owner_init(struct owner *o, const struct spdy_limits *l)
{
    static const struct spdy_events events = {on_stream, on_data, on_rst, on_goaway_event, on_window};
    struct spdy_limits plain = spdy_limits_default;

    plain.session_window = SPDY_WINDOW_INITIAL;
    *o = (struct owner){0};
    client_init(&o->c);
    o->s = spdy_new(l ? l : &plain, &events, o);
}

static void owner_done(struct owner *o)
{
    spdy_free(o->s);
    client_done(&o->c);
    buf_done(&o->log);
    buf_done(&o->sent);
}

/* Gives the server what the client has written, and forgets that. */
static int owner_feed(struct owner *o, struct err *err)
{
    int rc = spdy_feed(o->s, o->c.wire.data, o->c.wire.len, err);
    o->c.wire.len = 0;
    return rc;
}

static void owner_ok(struct owner *o)
{
    struct err err = {0};
    int rc = owner_feed(o, &err);

    assert_string_equal(err.msg, "");
    assert_int_equal(rc, 0);
}

/* The events since the last look. */
static void expect_log(struct owner *o, const char *want)
{
    assert_string_equal(o->log.data && o->log.len ? o->log.data : "", want);
    o->log.len = 0;
}

/* The frames since the last look. */
static void expect_sent(struct owner *o, const char *want)
{
    struct buf cleanup_buf text = {0};
    size_t n;
    const uint8_t *p = spdy_output(o->s, &n);

    read_frames(&o->c, p, n, &text);
    spdy_output_sent(o->s, n);
    if (want)
        assert_string_equal(text.data ? text.data : "", want);
}
