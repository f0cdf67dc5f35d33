#include "loop/tls_relay.h"
#include "core/log.h"
#include "core/mem.h"
#include "loop/stream_conn.h"

#include <errno.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>

enum { CHUNKS_PER_TURN = 4, GONE_TICKS = 2 };
static const double TICK_S = 1;

struct held { /* what one side gave and the other did not take yet */
    uint8_t *p;
    size_t off, len;
};

struct way {
    struct held held;
    int wants;   /* WATCH_*: what OpenSSL needs of the TCP socket to go on */
    bool at_end; /* the giving side has ended */
    bool ended;  /* and so does the taking side know */
    bool moved;  /* since the last tick */
    int stuck;   /* ticks without, while something is held */
};

struct tls_relay {
    struct loop *loop;
    struct tls_relay *prev, *next;
    struct tls_relay_events ev;
    SSL *ssl;
    int tcp, plain; /* plain: -1 while shaking hands */
    struct watch *tcp_watch, *plain_watch;
    int tcp_events, plain_events;
    struct way in;      /* client to plain */
    struct way out;     /* plain to client */
    struct timer timer; /* the handshake's limit; then the tick, while one side may be stuck */
};

/* What OpenSSL said: WATCH_* to wait for, 0 at the end of the stream, negative when the connection is broken. */
enum { SSL_STREAM_END = 0, SSL_BROKEN = -1 };

static uint8_t chunk[TLS_CHUNK];

/* Relays belong to nobody. Nothing looks them up: the list says that they are not lost when the process ends first. */
static struct tls_relay *relays;

static void on_tick(void *data);

static int ssl_wants(const struct tls_relay *r, int rc)
{
    switch (SSL_get_error(r->ssl, rc)) {
    case SSL_ERROR_WANT_READ:
        return WATCH_READ;
    case SSL_ERROR_WANT_WRITE:
        return WATCH_WRITE;
    case SSL_ERROR_ZERO_RETURN:
        return SSL_STREAM_END;
    default:
        return SSL_BROKEN;
    }
}

static void held_set(struct held *h, const uint8_t *p, size_t n)
{
    h->p = mem_dup(p, n);
    h->off = 0;
    h->len = n;
}

static void held_take(struct held *h, size_t n)
{
    h->off += n;
    h->len -= n;
    if (h->len)
        return;
    free(h->p);
    *h = (struct held){0};
}

static void watches_stop(struct tls_relay *r)
{
    watch_stop(r->tcp_watch);
    watch_stop(r->plain_watch);
    r->tcp_watch = r->plain_watch = NULL;
}

static void relay_free(struct tls_relay *r)
{
    void (*on_closed)(void *data) = r->ev.on_closed;
    void *data = r->ev.closed_data;

    if (r->prev)
        r->prev->next = r->next;
    else
        relays = r->next;
    if (r->next)
        r->next->prev = r->prev;
    timer_stop(&r->timer);
    watches_stop(r);
    SSL_free(r->ssl);
    if (r->plain >= 0)
        close(r->plain);
    if (r->tcp >= 0)
        close(r->tcp);
    free(r->in.held.p);
    free(r->out.held.p);
    free(r);
    if (on_closed)
        on_closed(data);
}

void tls_relay_cancel(struct tls_relay *r)
{
    relay_free(r);
}

/* Both ways have ended: the TCP socket, with what the kernel has not sent yet, ends as every stream does. */
static void relay_finish(struct tls_relay *r)
{
    watches_stop(r);
    struct stream_conn *c = stream_conn_new(r->loop, r->tcp, NULL, 0);
    r->tcp = -1;
    stream_conn_on_closed(c, r->ev.on_closed, r->ev.closed_data);
    stream_conn_finish(c, NULL, NULL);
    r->ev.on_closed = NULL;
    relay_free(r);
}

/* ---- client to plain --------------------------------------------------------------------------------------------- */

/* Gives the plain side bytes, and holds what it does not take. */
static void in_give(struct tls_relay *r, const uint8_t *p, size_t n, bool held)
{
    ssize_t sent = send(r->plain, p, n, MSG_DONTWAIT | MSG_NOSIGNAL);

    if (sent < 0 && errno != EAGAIN && errno != EINTR) {
        r->in.ended = true; /* closed: nobody is there to take it */
        if (held)
            held_take(&r->in.held, n);
        return;
    }
    size_t taken = sent > 0 ? (size_t)sent : 0;
    r->in.moved = r->in.moved || taken;
    if (held)
        held_take(&r->in.held, taken);
    else if (taken < n)
        held_set(&r->in.held, p + taken, n - taken);
}

/* Each call moves one chunk; false when there is nothing to do before the next event. */
static bool in_step(struct tls_relay *r, bool *broken)
{
    struct way *w = &r->in;

    w->wants = 0;
    if (w->ended)
        return false;
    if (w->held.len) {
        in_give(r, w->held.p + w->held.off, w->held.len, true);
        return w->held.len == 0;
    }
    if (w->at_end) {
        (void)shutdown(r->plain, SHUT_WR);
        w->ended = true;
        return false;
    }
    ERR_clear_error();
    int n = SSL_read(r->ssl, chunk, sizeof(chunk));
    if (n > 0) {
        in_give(r, chunk, (size_t)n, false);
        return true;
    }
    int wants = ssl_wants(r, n);
    w->at_end = wants == SSL_STREAM_END;
    *broken = wants == SSL_BROKEN;
    w->wants = w->at_end || *broken ? 0 : wants;
    return w->at_end;
}

/* ---- plain to client --------------------------------------------------------------------------------------------- */

static void out_result(struct tls_relay *r, int rc, bool *broken)
{
    int wants = ssl_wants(r, rc);

    *broken = wants <= 0;
    r->out.wants = *broken ? 0 : wants;
}

static bool out_write(struct tls_relay *r, const uint8_t *p, size_t n, bool held, bool *broken)
{
    ERR_clear_error();
    int rc = SSL_write(r->ssl, p, (int)n); /* all of it, or it is to be called again with the same bytes */
    if (rc > 0) {
        r->out.moved = true;
        if (held)
            held_take(&r->out.held, n);
        return true;
    }
    if (!held)
        held_set(&r->out.held, p, n);
    out_result(r, rc, broken);
    return false;
}

static bool out_close_notify(struct tls_relay *r, bool *broken)
{
    ERR_clear_error();
    int rc = SSL_shutdown(r->ssl);
    if (rc < 0)
        out_result(r, rc, broken);
    else
        r->out.ended = true;
    return false;
}

static bool out_step(struct tls_relay *r, bool *broken)
{
    struct way *w = &r->out;

    w->wants = 0;
    if (w->ended)
        return false;
    if (w->held.len)
        return out_write(r, w->held.p + w->held.off, w->held.len, true, broken);
    if (w->at_end)
        return out_close_notify(r, broken);
    ssize_t n = recv(r->plain, chunk, sizeof(chunk), MSG_DONTWAIT);
    if (n > 0)
        return out_write(r, chunk, (size_t)n, false, broken);
    /* ECONNRESET: closed with input that was not read; what was sent before has been read by now */
    w->at_end = n == 0 || (errno != EAGAIN && errno != EINTR);
    return w->at_end;
}

/* ---- the relay --------------------------------------------------------------------------------------------------- */

static bool may_be_stuck(const struct tls_relay *r)
{
    return r->in.held.len || r->out.held.len || r->out.at_end;
}

static void relay_watch(struct tls_relay *r)
{
    int tcp = r->in.wants | r->out.wants;
    int plain = (!r->out.at_end && r->out.held.len == 0 ? WATCH_READ : 0) | (r->in.held.len ? WATCH_WRITE : 0);

    if (tcp != r->tcp_events)
        watch_set(r->tcp_watch, tcp);
    if (plain != r->plain_events)
        watch_set(r->plain_watch, plain);
    r->tcp_events = tcp;
    r->plain_events = plain;
    /* left running when nothing is stuck any more: it stops itself */
    if (may_be_stuck(r) && !timer_active(&r->timer))
        timer_start(&r->timer, r->loop, TICK_S, on_tick, r);
}

static void relay_advance(struct tls_relay *r)
{
    bool broken = false;
    bool in_more = true, out_more = true;

    for (int i = 0; i < CHUNKS_PER_TURN && (in_more || out_more) && !broken; i++) {
        in_more = in_more && in_step(r, &broken);
        out_more = !broken && out_more && out_step(r, &broken);
    }
    if (broken) {
        relay_free(r);
        return;
    }
    if (r->in.ended && r->out.ended) {
        relay_finish(r);
        return;
    }
    /* stopped for the others' sake: the sockets say when to go on, and one that can be written to does at once */
    if (in_more && !r->in.ended && r->in.held.len == 0)
        r->in.wants = r->in.at_end ? WATCH_WRITE : WATCH_READ;
    if (out_more && r->out.at_end)
        r->out.wants = WATCH_WRITE;
    relay_watch(r);
}

static void on_event(void *data, int events)
{
    (void)events;
    relay_advance(data);
}

static void way_tick(struct way *w)
{
    w->stuck = w->held.len && !w->moved ? w->stuck + 1 : 0;
    w->moved = false;
}

static void on_tick(void *data)
{
    struct tls_relay *r = data;
    struct pollfd p = {.fd = r->plain};
    bool plain_closed = poll(&p, 1, 0) > 0 && (p.revents & (POLLHUP | POLLERR));

    way_tick(&r->in);
    way_tick(&r->out);
    if ((r->in.stuck >= GONE_TICKS && stream_conn_peer_left(r->tcp)) ||
        (plain_closed && r->out.stuck >= TLS_STUCK_S / TICK_S)) {
        relay_free(r);
        return;
    }
    if (plain_closed && r->out.ended) {
        relay_finish(r);
        return;
    }
    if (may_be_stuck(r))
        timer_start(&r->timer, r->loop, TICK_S, on_tick, r);
}

/* ---- the handshake ----------------------------------------------------------------------------------------------- */

static void handshake_failed(struct tls_relay *r, const char *why)
{
    log_debug("TLS handshake: %s", why);
    r->ev.on_plain(r->ev.data, -1);
    relay_free(r);
}

static void on_handshake_timeout(void *data)
{
    handshake_failed(data, "timed out");
}

static void handshake_done(struct tls_relay *r)
{
    int pair[2];

    timer_stop(&r->timer);
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, pair) < 0) {
        log_error("TLS: cannot make a socket pair: %s: raise LimitNOFILE or close clients", strerror(errno));
        handshake_failed(r, "no socket pair");
        return;
    }
    r->plain = pair[0];
    watch_stop(r->tcp_watch);
    r->tcp_events = r->plain_events = 0;
    r->tcp_watch = watch_start(r->loop, r->tcp, 0, on_event, r);
    r->plain_watch = watch_start(r->loop, r->plain, 0, on_event, r);
    r->ev.on_plain(r->ev.data, pair[1]);
    relay_advance(r);
}

static void on_handshake(void *data, int events)
{
    struct tls_relay *r = data;

    (void)events;
    ERR_clear_error();
    int rc = SSL_accept(r->ssl);
    if (rc == 1) {
        handshake_done(r);
        return;
    }
    int wants = ssl_wants(r, rc);
    if (wants > 0) {
        watch_set(r->tcp_watch, wants);
        return;
    }
    unsigned long code = ERR_peek_last_error();
    const char *reason = code ? ERR_reason_error_string(code) : NULL;
    handshake_failed(r, reason ? reason : "the client closed");
}

struct tls_relay *tls_relay_start(struct loop *l, struct ssl_ctx_st *ctx, int fd,
                                  const struct tls_relay_events *ev)
{
    struct tls_relay *r = mem_new(struct tls_relay);

    r->loop = l;
    r->next = relays;
    if (r->next)
        r->next->prev = r;
    relays = r;
    r->ev = *ev;
    r->tcp = fd;
    r->plain = -1;
    r->ssl = SSL_new(ctx);
    if (!r->ssl || SSL_set_fd(r->ssl, fd) != 1)
        abort(); /* no memory */
    r->tcp_watch = watch_start(l, fd, WATCH_READ, on_handshake, r);
    timer_start(&r->timer, l, TLS_HANDSHAKE_S, on_handshake_timeout, r);
    return r;
}
