/*
 *   OPENING --> OPEN ------------> LINGERING --> over
 *            the server ended it     until the client has closed, LINGER_MS at most
 *
 * While it is OPEN either side may have ended: the client's end is told to the server where the protocol can (v5). Where it
 * cannot (v4), nobody can tell half from all of a close, and the connection ends after QUIET_MS without a byte.
 */
#include "cli/forward_conn.h"
#include "core/buf.h"
#include "core/mem.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>

enum {
    BYTES = 16 * 1024,
    PORT_BYTES = 2, /* that begin each channel (proto/channel.h) */
    ERROR_MAX = 1024,
    LINGER_MS = 2000,
    QUIET_MS = 30 * 1000,
    DATA = 0, /* channels */
    ERROR = 1,
    CHANNELS = 2,
};

enum state { OPENING, OPEN, LINGERING };

struct forward_conn {
    enum state state;
    int local;
    struct stream *stream;
    uint16_t remote;
    bool client_ended;
    size_t port_bytes[CHANNELS]; /* seen of them */
    struct stream_piece piece;   /* not written yet */
    struct buf error;
    int64_t until_ms; /* LINGERING, or v4's client ended: 0 otherwise */
};

struct forward_conn *forward_conn_new(int local, struct stream *stream, uint16_t remote)
{
    struct forward_conn *c = mem_new(struct forward_conn);

    c->local = local;
    c->stream = stream;
    c->remote = remote;
    c->error.max = ERROR_MAX;
    return c;
}

void forward_conn_free(struct forward_conn *c)
{
    if (!c)
        return;
    stream_free(c->stream);
    close(c->local);
    buf_done(&c->error);
    free(c);
}

/* The client sees a reset, and not an end that could pass for the server's. */
static int broken(struct forward_conn *c, int rc)
{
    const struct linger now = {.l_onoff = 1, .l_linger = 0};

    setsockopt(c->local, SOL_SOCKET, SO_LINGER, &now, sizeof(now));
    return rc;
}

/* ---- from the server ---- */

/* 1: all of it; 0: it waits; a negative errno without err: the client is gone. */
static int write_piece(struct forward_conn *c)
{
    while (c->piece.len) {
        ssize_t n = send(c->local, c->piece.data, c->piece.len, MSG_NOSIGNAL);
        if (n < 0)
            return errno == EAGAIN || errno == EINTR ? 0 : -errno;
        c->piece.data += n;
        c->piece.len -= (size_t)n;
        if (c->until_ms)
            c->until_ms = stream_now_ms() + QUIET_MS;
    }
    return 1;
}

static int take_piece(struct forward_conn *c)
{
    struct stream_piece *p = &c->piece;

    if (p->channel < CHANNELS) {
        size_t *seen = &c->port_bytes[p->channel], skip = PORT_BYTES - *seen;
        if (skip > p->len)
            skip = p->len;
        *seen += skip;
        p->data += skip;
        p->len -= skip;
        if (p->channel == DATA)
            return write_piece(c);
        buf_add(&c->error, p->data, p->len);
    }
    p->len = 0;
    return 1;
}

static int end_of_stream(struct forward_conn *c, struct err *err)
{
    const struct stream_end *e = stream_end(c->stream);

    for (size_t i = 0; i < c->error.len; i++) /* it goes to a terminal */
        if ((unsigned char)c->error.data[i] < ' ' || c->error.data[i] == 0x7f)
            c->error.data[i] = ' ';
    if (c->error.len)
        return err_set(err, GRPC_UNAVAILABLE, 0, "port %u: %s", c->remote, c->error.data);
    if (e->code != 1000 && e->code != 1005)
        return err_set(err, GRPC_UNAVAILABLE, 0, "port %u: the runtime broke the connection off%s%s", c->remote,
                       e->reason[0] ? ": " : "", e->reason);
    /* A close with unread bytes would be a reset, which can take with it what was just written. */
    shutdown(c->local, SHUT_WR);
    c->state = LINGERING;
    c->until_ms = stream_now_ms() + LINGER_MS;
    return 1;
}

static int from_server(struct forward_conn *c, struct err *err)
{
    int rc = c->piece.len ? write_piece(c) : 1;

    while (rc > 0) {
        int r = stream_next(c->stream, &c->piece, err);
        if (r < 0)
            return err_wrap(err, "port %u", c->remote);
        if (r == STREAM_NOTHING)
            return 1;
        if (r == STREAM_ENDED)
            return end_of_stream(c, err);
        if (r == STREAM_OPENED)
            c->state = OPEN;
        else
            rc = take_piece(c);
    }
    if (rc == 0)
        return stream_flush(c->stream, err) < 0 ? err_wrap(err, "port %u", c->remote) : 1;
    stream_close(c->stream); /* the client is gone: that is no fault of ours to report */
    return stream_flush(c->stream, err) < 0 ? err_wrap(err, "port %u", c->remote) : 0;
}

/* ---- from the client ---- */

static bool takes_input(const struct forward_conn *c)
{
    return c->state == OPEN && !c->client_ended && stream_pending(c->stream) < STREAM_MARK;
}

/* 1, or 0: it is gone */
static int from_client(struct forward_conn *c)
{
    uint8_t bytes[BYTES];

    while (takes_input(c)) {
        ssize_t n = recv(c->local, bytes, sizeof(bytes), 0);
        if (n < 0)
            return errno == EAGAIN || errno == EINTR;
        if (n == 0) {
            c->client_ended = true;
            if (!stream_close_channel(c->stream, DATA))
                c->until_ms = stream_now_ms() + QUIET_MS;
        } else {
            stream_send(c->stream, DATA, bytes, (size_t)n);
        }
    }
    return 1;
}

/* What the client still says is of no use: until its end. */
static int linger(const struct forward_conn *c)
{
    uint8_t bytes[BYTES];
    ssize_t n;

    while ((n = recv(c->local, bytes, sizeof(bytes), 0)) > 0)
        ;
    return n < 0 && (errno == EAGAIN || errno == EINTR) && stream_now_ms() < c->until_ms;
}

/* ---- the owner's calls ---- */

int forward_conn_turn(struct forward_conn *c, struct err *err)
{
    if (c->state == LINGERING)
        return linger(c);
    if (!from_client(c)) {
        stream_close(c->stream);
        return stream_flush(c->stream, err) < 0 ? broken(c, err_errno(err)) : 0;
    }
    int rc = from_server(c, err);
    if (rc < 0)
        return broken(c, rc);
    if (rc && c->state == OPEN && c->until_ms && stream_now_ms() >= c->until_ms) {
        stream_close(c->stream);
        return stream_flush(c->stream, err) < 0 ? broken(c, err_errno(err)) : 0;
    }
    return rc;
}

void forward_conn_events(const struct forward_conn *c, struct pollfd ret[static 2])
{
    bool blocked = c->piece.len > 0, reads = takes_input(c) || c->state == LINGERING;

    ret[0] = (struct pollfd){c->local, (short)((reads ? POLLIN : 0) | (blocked ? POLLOUT : 0)), 0};
    ret[1] = (struct pollfd){-1, 0, 0};
    if (c->state != LINGERING)
        ret[1] = (struct pollfd){stream_fd(c->stream), stream_events(c->stream, !blocked), 0};
    for (int i = 0; i < 2; i++)
        if (!ret[i].events) /* else a hangup would wake the loop again and again */
            ret[i].fd = -1;
}

int forward_conn_wait_ms(const struct forward_conn *c)
{
    if (!c->until_ms)
        return stream_wait_ms(c->stream);
    int64_t left = c->until_ms - stream_now_ms();
    return left > 0 ? (int)left : 0;
}
