#include "loop/stream_conn.h"
#include "core/mem.h"

#include <assert.h>
#include <errno.h>
#include <limits.h>
#include <linux/sockios.h>
#include <poll.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

enum { READS_PER_TURN = 4, QUEUE_MIN = 4096 };

enum conn_state { CONN_OPEN, CONN_GONE, CONN_FLUSHING, CONN_DRAINING };

struct bytes {
    uint8_t *p;
    size_t off, len, cap;
};

struct stream_conn {
    struct loop *loop;
    struct watch *watch;
    int fd;
    enum conn_state state;
    int sys;         /* GONE: why, 0 when the peer closed */
    int events;      /* what the watch waits for */
    unsigned inside; /* calls of the owner's functions that are under way */
    bool reading, freed;
    const struct stream_conn_events *ev;
    void *data;
    struct bytes first; /* input from before the conn, in front of the kernel's */
    struct bytes queue;
    uint64_t bytes, bytes_at_tick;
    struct timer soon; /* what must come from the loop: first, on_gone, the end */
    struct timer tick; /* paused: is the peer there? finishing: does it move? */

    void (*on_done)(void *data);
    void *done_data;
    int64_t moved_us; /* finishing: when a byte was last sent */
    int64_t sent_us;  /* draining: when the kernel was first seen with nothing to send; 0: not yet */
    int unsent;       /* draining: bytes in the kernel at the last tick */
    size_t drained;
    struct stream_conn *prev, *next;

    void (*on_closed)(void *data);
    void *closed_data;
};

/* Conns that nobody owns. Nothing looks them up: the list says that they are not lost when the process ends first. */
static struct stream_conn *finishing;

static uint8_t input[STREAM_CONN_READ_MAX];

static void on_ready(void *data, int events);
static void on_paused_tick(void *data);
static void on_finish_tick(void *data);

static void bytes_free(struct bytes *b)
{
    free(b->p);
    *b = (struct bytes){0};
}

static void bytes_take(struct bytes *b, size_t n)
{
    b->off += n;
    b->len -= n;
    if (b->len == 0)
        bytes_free(b);
}

/* Makes room behind the last byte; moving is worth it only when less is moved than was taken since. */
static void bytes_reserve(struct bytes *b, size_t n)
{
    if (b->off + b->len + n <= b->cap)
        return;
    if (b->len <= b->off && b->len + n <= b->cap) {
        memmove(b->p, b->p + b->off, b->len);
        b->off = 0;
        return;
    }
    size_t cap = b->cap ? b->cap : QUEUE_MIN;
    while (cap < b->off + b->len + n)
        cap *= 2;
    b->p = mem_realloc(b->p, cap);
    b->cap = cap;
}

static void bytes_add(struct bytes *b, const void *p, size_t n)
{
    if (n == 0)
        return;
    bytes_reserve(b, n);
    memcpy(b->p + b->off + b->len, p, n);
    b->len += n;
}

static void conn_watch(struct stream_conn *c)
{
    bool wants_input = c->state == CONN_DRAINING ? c->drained < STREAM_CONN_DRAIN_MAX
                                                 : c->state == CONN_OPEN && c->reading && c->first.len == 0;
    int events = (wants_input ? WATCH_READ : 0) | (c->queue.len ? WATCH_WRITE : 0);

    if (events == c->events)
        return;
    c->events = events;
    watch_set(c->watch, events);
}

static size_t conns;

size_t stream_conn_count(void)
{
    return conns;
}

struct stream_conn *stream_conn_new(struct loop *l, int fd, const void *first, size_t n)
{
    struct stream_conn *c = mem_new(struct stream_conn);

    c->loop = l;
    c->fd = fd;
    c->watch = watch_start(l, fd, 0, on_ready, c);
    conns++;
    bytes_add(&c->first, first, n);
    return c;
}

void stream_conn_on_closed(struct stream_conn *c, void (*fn)(void *data), void *data)
{
    c->on_closed = fn;
    c->closed_data = data;
}

/* Lets go of everything but the struct itself, which a caller further up the stack may still look at. */
static void conn_close(struct stream_conn *c)
{
    timer_stop(&c->soon);
    timer_stop(&c->tick);
    watch_stop(c->watch);
    close(c->fd);
    conns--;
    bytes_free(&c->first);
    bytes_free(&c->queue);
    c->freed = true;
    if (c->on_closed)
        c->on_closed(c->closed_data);
}

void stream_conn_free(struct stream_conn *c)
{
    if (!c)
        return;
    assert(!c->freed && c->state <= CONN_GONE);
    conn_close(c);
    if (c->inside == 0)
        free(c);
}

/* Ends a call of one of the owner's functions; false when there is nothing left to do for the conn. */
static bool conn_leave(struct stream_conn *c)
{
    bool open = !c->freed && c->state == CONN_OPEN;

    if (--c->inside == 0 && c->freed)
        free(c);
    return open;
}

static bool conn_give_data(struct stream_conn *c, const uint8_t *p, size_t n)
{
    c->inside++;
    c->ev->on_data(c->data, p, n);
    return conn_leave(c);
}

static void conn_give_gone(struct stream_conn *c)
{
    struct err err = {0};

    if (c->sys)
        (void)err_set(&err, GRPC_UNAVAILABLE, c->sys, "streaming connection");
    c->inside++;
    c->ev->on_gone(c->data, c->sys ? &err : NULL);
    (void)conn_leave(c);
}

/* No more can be read or written; on_gone is the caller's to give, from the loop. */
static void conn_mark_gone(struct stream_conn *c, int sys)
{
    c->state = CONN_GONE;
    c->sys = sys;
    bytes_free(&c->first);
    bytes_free(&c->queue);
    timer_stop(&c->tick);
    timer_stop(&c->soon);
    conn_watch(c);
}

static void conn_gone(struct stream_conn *c, int sys)
{
    conn_mark_gone(c, sys);
    conn_give_gone(c);
}

static void conn_end(void *data)
{
    struct stream_conn *c = data;
    void (*on_done)(void *data) = c->on_done;
    void *done_data = c->done_data;

    if (c->prev)
        c->prev->next = c->next;
    else
        finishing = c->next;
    if (c->next)
        c->next->prev = c->prev;
    conn_close(c);
    free(c);
    if (on_done)
        on_done(done_data);
}

/* ---- reading ----------------------------------------------------------------------------------------------------- */

static void on_first_due(void *data)
{
    struct stream_conn *c = data;
    uint8_t *p = c->first.p + c->first.off;
    size_t n = c->first.len < STREAM_CONN_READ_MAX ? c->first.len : STREAM_CONN_READ_MAX;

    if (!c->reading)
        return;
    /* through the shared buffer, because the owner may free the conn and what it holds */
    memcpy(input, p, n);
    bytes_take(&c->first, n);
    c->bytes += n;
    if (!conn_give_data(c, input, n))
        return;
    if (c->first.len && c->reading)
        timer_start(&c->soon, c->loop, 0, on_first_due, c);
    conn_watch(c);
}

static void conn_read(struct stream_conn *c)
{
    for (int i = 0; i < READS_PER_TURN; i++) {
        ssize_t n = recv(c->fd, input, sizeof(input), MSG_DONTWAIT);
        if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR)) {
            conn_gone(c, n < 0 ? errno : 0);
            return;
        }
        if (n < 0)
            return;
        c->bytes += (size_t)n;
        if (!conn_give_data(c, input, (size_t)n) || !c->reading || (size_t)n < sizeof(input) ||
            loop_turn_is_long(c->loop))
            return;
    }
}

bool stream_conn_peer_left(int fd)
{
    struct pollfd p = {.fd = fd, .events = POLLRDHUP};

    return poll(&p, 1, 0) > 0 && (p.revents & (POLLRDHUP | POLLHUP | POLLERR));
}

static void on_paused_tick(void *data)
{
    struct stream_conn *c = data;
    bool moved = c->bytes != c->bytes_at_tick;
    int sys = 0;
    socklen_t n = sizeof(sys);

    if (c->reading)
        return; /* the next pause starts it anew */
    c->bytes_at_tick = c->bytes;
    if (!moved && stream_conn_peer_left(c->fd)) {
        (void)getsockopt(c->fd, SOL_SOCKET, SO_ERROR, &sys, &n);
        conn_gone(c, sys);
        return;
    }
    timer_start(&c->tick, c->loop, STREAM_CONN_PAUSED_CHECK_S, on_paused_tick, c);
}

/* The timer is left running when reading goes on: pausing and resuming at a high rate costs nothing. */
static void conn_paused(struct stream_conn *c)
{
    if (timer_active(&c->tick))
        return;
    c->bytes_at_tick = c->bytes;
    timer_start(&c->tick, c->loop, STREAM_CONN_PAUSED_CHECK_S, on_paused_tick, c);
}

void stream_conn_start(struct stream_conn *c, const struct stream_conn_events *ev, void *data)
{
    assert(!c->ev);
    c->ev = ev;
    c->data = data;
    conn_paused(c);
}

void stream_conn_read(struct stream_conn *c, bool on)
{
    assert(c->ev && !c->freed);
    if (c->state != CONN_OPEN || on == c->reading)
        return;
    c->reading = on;
    if (!on)
        conn_paused(c);
    else if (c->first.len && !timer_active(&c->soon))
        timer_start(&c->soon, c->loop, 0, on_first_due, c);
    conn_watch(c);
}

/* ---- writing ----------------------------------------------------------------------------------------------------- */

static void on_gone_due(void *data)
{
    conn_give_gone(data);
}

/* As conn_gone(), for the owner's calls: on_gone comes from the loop. */
static void conn_gone_later(struct stream_conn *c, int sys)
{
    conn_mark_gone(c, sys);
    timer_start(&c->soon, c->loop, 0, on_gone_due, c);
}

void stream_conn_write(struct stream_conn *c, const struct iovec *iov, int n)
{
    size_t done = 0;

    assert(c->ev && !c->freed);
    if (c->state != CONN_OPEN || n <= 0)
        return;
    if (c->queue.len == 0) {
        struct msghdr m = {.msg_iov = (struct iovec *)iov, .msg_iovlen = (size_t)(n < IOV_MAX ? n : IOV_MAX)};
        ssize_t sent = sendmsg(c->fd, &m, MSG_DONTWAIT | MSG_NOSIGNAL);
        if (sent < 0 && errno != EAGAIN && errno != EINTR) {
            conn_gone_later(c, errno);
            return;
        }
        done = sent > 0 ? (size_t)sent : 0;
        c->bytes += done;
    }
    for (int i = 0; i < n; i++) {
        size_t skip = done < iov[i].iov_len ? done : iov[i].iov_len;
        done -= skip;
        bytes_add(&c->queue, (const uint8_t *)iov[i].iov_base + skip, iov[i].iov_len - skip);
    }
    conn_watch(c);
}

size_t stream_conn_queued(const struct stream_conn *c)
{
    return c->queue.len;
}

uint64_t stream_conn_bytes(const struct stream_conn *c)
{
    return c->bytes;
}

/* Gives the kernel more of the queue. Returns a negative errno when the connection is broken. */
static int conn_flush(struct stream_conn *c)
{
    ssize_t n = send(c->fd, c->queue.p + c->queue.off, c->queue.len, MSG_DONTWAIT | MSG_NOSIGNAL);

    if (n < 0)
        return errno == EAGAIN || errno == EINTR ? 0 : -errno;
    c->bytes += (size_t)n;
    bytes_take(&c->queue, (size_t)n);
    return 0;
}

/* ---- finishing --------------------------------------------------------------------------------------------------- */

static void conn_half_close(struct stream_conn *c)
{
    c->state = CONN_DRAINING;
    if (shutdown(c->fd, SHUT_WR) < 0) { /* ENOTCONN: reset by the peer */
        timer_start(&c->soon, c->loop, 0, conn_end, c);
        return;
    }
    conn_watch(c);
}

/* True when the peer has ended, too. */
static bool conn_drain(struct stream_conn *c)
{
    for (int i = 0; i < READS_PER_TURN && c->drained < STREAM_CONN_DRAIN_MAX; i++) {
        ssize_t n = recv(c->fd, input, sizeof(input), MSG_DONTWAIT);
        if (n < 0)
            return errno != EAGAIN && errno != EINTR;
        if (n == 0)
            return true;
        c->drained += (size_t)n;
    }
    conn_watch(c);
    return false;
}

static void on_finish_tick(void *data)
{
    struct stream_conn *c = data;
    int64_t now = time_monotonic_us();
    int unsent = 0;

    if (c->state == CONN_DRAINING) {
        (void)ioctl(c->fd, SIOCOUTQ, &unsent);
        if (unsent != c->unsent)
            c->moved_us = now;
        c->unsent = unsent;
        if (unsent == 0 && c->sent_us == 0)
            c->sent_us = now;
    }
    if ((c->sent_us && now - c->sent_us >= STREAM_CONN_DRAIN_S * 1000000LL) ||
        now - c->moved_us >= STREAM_CONN_FINISH_S * 1000000LL) {
        conn_end(c);
        return;
    }
    timer_start(&c->tick, c->loop, STREAM_CONN_DRAIN_S / 4., on_finish_tick, c);
}

void stream_conn_finish(struct stream_conn *c, void (*on_done)(void *data), void *data)
{
    bool gone = c->state == CONN_GONE;

    assert(!c->freed && c->state <= CONN_GONE);
    c->on_done = on_done;
    c->done_data = data;
    c->next = finishing;
    if (c->next)
        c->next->prev = c;
    finishing = c;

    c->reading = false;
    bytes_free(&c->first);
    timer_stop(&c->soon);
    c->moved_us = time_monotonic_us();
    c->state = CONN_FLUSHING;
    if (gone)
        timer_start(&c->soon, c->loop, 0, conn_end, c);
    else if (c->queue.len == 0)
        conn_half_close(c);
    conn_watch(c);
    timer_start(&c->tick, c->loop, STREAM_CONN_DRAIN_S / 4., on_finish_tick, c);
}

static void on_finishing_ready(struct stream_conn *c, int events)
{
    if (c->state == CONN_DRAINING) {
        if (conn_drain(c))
            conn_end(c);
        return;
    }
    if (!(events & WATCH_WRITE))
        return;
    size_t before = c->queue.len;
    if (conn_flush(c) < 0) {
        conn_end(c);
        return;
    }
    if (c->queue.len < before)
        c->moved_us = time_monotonic_us();
    if (c->queue.len == 0)
        conn_half_close(c);
    conn_watch(c);
}

static void on_ready(void *data, int events)
{
    struct stream_conn *c = data;

    if (c->state == CONN_FLUSHING || c->state == CONN_DRAINING) {
        on_finishing_ready(c, events);
        return;
    }
    if ((events & WATCH_WRITE) && c->queue.len) {
        int rc = conn_flush(c);
        if (rc < 0) {
            conn_gone(c, -rc);
            return;
        }
        conn_watch(c);
        if (c->queue.len == 0 && c->ev->on_drain) {
            c->inside++;
            c->ev->on_drain(c->data);
            if (!conn_leave(c))
                return;
        }
    }
    if ((events & WATCH_READ) && c->reading && c->first.len == 0)
        conn_read(c);
}
