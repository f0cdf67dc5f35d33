#include "handlers/stream_websocket.h"
#include "core/mem.h"

#include <sys/uio.h>

struct stream_websocket {
    struct stream_conn *conn;
    struct websocket *ws;
    struct stream_websocket_events events;
    void *data;
    bool busy;  /* within on_bytes(): freeing waits for its end */
    bool dead;  /* no event any more */
    bool broke; /* the client broke a rule: the Close that says so is sent before all goes */
};

struct websocket *stream_websocket_codec(struct stream_websocket *s)
{
    return s->ws;
}

struct stream_conn *stream_websocket_conn(struct stream_websocket *s)
{
    return s->conn;
}

void stream_websocket_flush(struct stream_websocket *s)
{
    char *bytes;
    size_t n;

    if (s->dead || websocket_pending(s->ws) == 0)
        return;
    websocket_take(s->ws, &bytes, &n);
    const struct iovec iov = {.iov_base = bytes, .iov_len = n};
    stream_conn_write(s->conn, &iov, 1);
    free(bytes);
}

static void destroy(struct stream_websocket *s)
{
    if (s->broke)
        stream_conn_finish(s->conn, NULL, NULL);
    else
        stream_conn_free(s->conn);
    websocket_free(s->ws);
    free(s);
}

void stream_websocket_free(struct stream_websocket *s)
{
    if (!s)
        return;
    s->dead = true;
    if (!s->busy)
        destroy(s);
}

void stream_websocket_finish(struct stream_websocket *s, enum websocket_code code, const char *reason)
{
    websocket_close(s->ws, code, reason);
    stream_websocket_flush(s);
    s->broke = true;
    stream_websocket_free(s);
}

void stream_websocket_broke(struct stream_websocket *s, const struct err *err)
{
    if (s->dead)
        return;
    stream_websocket_flush(s); /* the answer to a Close, or the Close that says what was wrong */
    s->broke = true;
    s->events.on_gone(s->data, err);
}

/* One message, or what else the bytes have. False: there is no more to be had from them. */
static bool read_one(struct stream_websocket *s, const uint8_t **at, size_t *left)
{
    struct websocket_message message;
    struct err err;
    size_t used;
    int r = websocket_read(s->ws, *at, *left, &used, &message, &err);

    *at += used;
    *left -= used;
    if (r == WEBSOCKET_MESSAGE)
        s->events.on_message(s->data, &message);
    else if (r < 0 || r == WEBSOCKET_CLOSED)
        stream_websocket_broke(s, r < 0 ? &err : NULL);
    return !s->dead && (r == WEBSOCKET_MESSAGE || r == WEBSOCKET_PONG);
}

static void on_bytes(void *data, const uint8_t *p, size_t n)
{
    struct stream_websocket *s = data;

    s->busy = true;
    while (read_one(s, &p, &n))
        ;
    stream_websocket_flush(s); /* Pongs */
    s->busy = false;
    if (s->dead)
        destroy(s);
}

static void on_conn_drain(void *data)
{
    struct stream_websocket *s = data;

    s->events.on_drain(s->data);
}

static void on_conn_gone(void *data, const struct err *err)
{
    struct stream_websocket *s = data;

    s->events.on_gone(s->data, err);
}

struct stream_websocket *stream_websocket_new(struct stream_conn *conn,
                                              const struct stream_websocket_events *events, void *data)
{
    static const struct stream_conn_events conn_events = {on_bytes, on_conn_drain, on_conn_gone};
    struct stream_websocket *s = mem_new(struct stream_websocket);

    *s = (struct stream_websocket){
        .conn = conn, .ws = websocket_new(STREAM_MESSAGE_MAX), .events = *events, .data = data};
    stream_conn_start(conn, &conn_events, s);
    stream_conn_read(conn, true);
    return s;
}
