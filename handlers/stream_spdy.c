#include "handlers/stream_spdy.h"
#include "core/log.h"
#include "core/mem.h"
#include "handlers/stream_websocket.h"

#include <sys/uio.h>

struct stream_spdy {
    struct spdy *spdy;
    struct stream_conn *conn;    /* also of ws */
    struct stream_websocket *ws; /* NULL without a tunnel */
    struct stream_spdy_events events;
    void *data;
    bool busy;  /* within on_bytes(): freeing waits for its end */
    bool dead;  /* no event any more */
    bool flush; /* what is queued is sent before all goes */
};

struct spdy *stream_spdy_codec(struct stream_spdy *s)
{
    return s->spdy;
}

struct stream_conn *stream_spdy_conn(struct stream_spdy *s)
{
    return s->conn;
}

/* ---- out ----------------------------------------------------------------------------------------------------------- */

static void write_out(struct stream_spdy *s, const struct iovec *iov, int n)
{
    size_t size = 0;

    if (!s->ws) {
        stream_conn_write(s->conn, iov, n);
        return;
    }
    for (int i = 0; i < n; i++)
        size += iov[i].iov_len;
    websocket_begin(stream_websocket_codec(s->ws), WEBSOCKET_BINARY, size);
    for (int i = 0; i < n; i++)
        websocket_add(stream_websocket_codec(s->ws), iov[i].iov_base, iov[i].iov_len);
    stream_websocket_flush(s->ws);
}

static struct iovec iov_of(const void *p, size_t n)
{
    return (struct iovec){.iov_base = (void *)(uintptr_t)p, .iov_len = n};
}

/* What the codec has to say, then the rest, in one write. */
static void write_with_output(struct stream_spdy *s, const void *head, size_t head_len, const void *p, size_t n)
{
    size_t out_len;
    const uint8_t *out = spdy_output(s->spdy, &out_len);
    struct iovec iov[3];
    int parts = 0;

    if (out_len)
        iov[parts++] = iov_of(out, out_len);
    if (head_len)
        iov[parts++] = iov_of(head, head_len);
    if (n)
        iov[parts++] = iov_of(p, n);
    if (parts == 0)
        return;
    write_out(s, iov, parts);
    spdy_output_sent(s->spdy, out_len);
}

void stream_spdy_flush(struct stream_spdy *s)
{
    if (!s->dead || s->flush)
        write_with_output(s, NULL, 0, NULL, 0);
}

void stream_spdy_reply(struct stream_spdy *s, uint32_t id)
{
    struct err err;

    if (spdy_reply(s->spdy, id, NULL, 0, false, &err) < 0)
        log_debug("streaming: %s", err.msg);
}

void stream_spdy_data(struct stream_spdy *s, uint32_t id, const void *p, size_t n, bool fin)
{
    uint8_t head[SPDY_HEAD_SIZE];
    size_t head_len, taken;
    const uint8_t *at = p;
    struct err err;

    do {
        stream_spdy_flush(s); /* the codec takes no data behind much output */
        if (spdy_data_start(s->spdy, id, n, fin, head, &head_len, &taken, &err) < 0) {
            log_debug("streaming: %s", err.msg); /* the client has reset it */
            return;
        }
        write_with_output(s, head, head_len, at, taken);
        at += taken;
        n -= taken;
    } while (n > 0 && head_len > 0);
}

/* ---- in ------------------------------------------------------------------------------------------------------------ */

static void on_spdy_stream(void *ctx, uint32_t id, const struct spdy_headers *headers, bool fin)
{
    struct stream_spdy *s = ctx;

    if (!s->dead)
        s->events.on_stream(s->data, id, headers, fin);
}

static void on_spdy_data(void *ctx, uint32_t id, const uint8_t *p, size_t n, bool fin)
{
    struct stream_spdy *s = ctx;

    if (s->dead)
        spdy_consumed(s->spdy, id, n);
    else
        s->events.on_data(s->data, id, p, n, fin);
}

static void on_spdy_rst(void *ctx, uint32_t id, void *data, uint32_t status, const struct err *refused)
{
    struct stream_spdy *s = ctx;

    (void)status;
    if (refused)
        log_debug("streaming: %s", refused->msg);
    if (!s->dead)
        s->events.on_rst(s->data, id, data);
}

static const struct spdy_events codec_events = {
    .on_stream = on_spdy_stream, .on_data = on_spdy_data, .on_rst = on_spdy_rst};

static void destroy(struct stream_spdy *s)
{
    if (s->ws && s->flush)
        stream_websocket_finish(s->ws, WEBSOCKET_NORMAL, "");
    else if (s->ws)
        stream_websocket_free(s->ws);
    else if (s->flush)
        stream_conn_finish(s->conn, NULL, NULL);
    else
        stream_conn_free(s->conn);
    spdy_free(s->spdy);
    free(s);
}

void stream_spdy_free(struct stream_spdy *s)
{
    if (!s)
        return;
    s->dead = true;
    if (!s->busy)
        destroy(s);
}

void stream_spdy_finish(struct stream_spdy *s)
{
    stream_spdy_flush(s);
    s->flush = true;
    stream_spdy_free(s);
}

static void on_bytes(void *data, const uint8_t *p, size_t n)
{
    enum { PIECE = STREAM_CONN_READ_MAX }; /* only a WebSocket's message has more */
    struct stream_spdy *s = data;
    struct err err;
    int r = 0;

    s->busy = true;
    for (size_t at = 0; r == 0 && at < n && !s->dead; at += PIECE)
        r = spdy_feed(s->spdy, p + at, n - at < PIECE ? n - at : PIECE, &err);
    stream_spdy_flush(s);
    if (r < 0 && !s->dead) {
        s->flush = true; /* GOAWAY */
        s->events.on_gone(s->data, &err);
    }
    s->busy = false;
    if (s->dead)
        destroy(s);
}

static void on_drain(void *data)
{
    struct stream_spdy *s = data;

    s->events.on_drain(s->data);
}

static void on_gone(void *data, const struct err *err)
{
    struct stream_spdy *s = data;

    s->events.on_gone(s->data, err);
}

static void on_message(void *data, const struct websocket_message *message)
{
    if (message->kind == WEBSOCKET_BINARY)
        on_bytes(data, message->data, message->len);
}

struct stream_spdy *stream_spdy_new(struct stream_conn *conn, bool tunnel,
                                    const struct stream_spdy_events *events, void *data)
{
    static const struct stream_conn_events conn_events = {on_bytes, on_drain, on_gone};
    static const struct stream_websocket_events websocket_events = {on_message, on_drain, on_gone};
    struct stream_spdy *s = mem_new(struct stream_spdy);
    struct spdy_limits limits = spdy_limits_default;

    limits.flow_ignored = true;
    *s = (struct stream_spdy){
        .spdy = spdy_new(&limits, &codec_events, s), .conn = conn, .events = *events, .data = data};
    if (tunnel) {
        s->ws = stream_websocket_new(conn, &websocket_events, s);
    } else {
        stream_conn_start(conn, &conn_events, s);
        stream_conn_read(conn, true);
    }
    stream_spdy_flush(s); /* SETTINGS */
    return s;
}
