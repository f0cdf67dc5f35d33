#include "helpers/keeper.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

/*
 *           a chunk did not fit into a sink's pipe
 *   READ --------------------------------------------> HELD ---+
 *     ^                                                        |
 *     +------- every sink has all of it, or is gone -----------+   gone: its reader closed, or took nothing for the limit
 *
 * While HELD the stream of a container that runs is not read: its pipe fills, and its process waits for the slow client.
 * One that has ended is read all the same, behind what is held, so that its log is complete and its exit told. The stream
 * may be gone by then, and its container forgotten: the relay stays until its sinks have all.
 */
enum { SINKS_MAX = 32, HELD_MAX = 2 * KEEPER_MSG_MAX, RELAY_SIZE = 4096 };

struct sink {
    struct source source; /* the write end of the daemon's pipe; fd -1: free */
    struct relay *relay;
    size_t taken;        /* of the relay's bytes */
    int64_t deadline_ms; /* CLOCK_MONOTONIC; 0: it has all */
    int unread;          /* in its pipe when the deadline was set */
};

struct relay {
    struct relay *next;
    struct source *stream; /* NULL: it has ended */
    char *held; /* HELD_MAX bytes, of which those that were never used cost nothing; NULL: all have all */
    size_t len;
    bool paused; /* the stream is not watched */
    struct sink sinks[SINKS_MAX];
};
_Static_assert(sizeof(struct relay) <= RELAY_SIZE, "a relay is one page");

static struct relay *relays;

static struct relay *find(const struct source *stream)
{
    struct relay *r = relays;

    while (r && r->stream != stream)
        r = r->next;
    return r;
}

static bool is_behind(const struct relay *r, const struct sink *k)
{
    return k->source.fd >= 0 && k->taken < r->len;
}

/* With events 0 it still tells when its reader is gone, also while the container is silent. */
static void sink_watch(struct sink *k, uint32_t events)
{
    struct epoll_event e = {.events = events, .data.ptr = &k->source};

    if (k->source.fd >= 0 && k->source.events != events)
        epoll_ctl(keeper.epoll, EPOLL_CTL_MOD, k->source.fd, &e);
    k->source.events = events;
}

static void sink_wait(struct sink *k)
{
    k->deadline_ms = now_ms() + keeper.sink_limit_ms;
    if (ioctl(k->source.fd, FIONREAD, &k->unread) < 0)
        k->unread = 0;
}

/* Writes what it has not taken yet. Its reader may be gone: then it is closed. */
static void sink_push(struct sink *k, const char *bytes, size_t len)
{
    ssize_t n = write(k->source.fd, bytes + k->taken, len - k->taken);

    if (n < 0 && errno != EAGAIN) {
        source_close(&k->source);
        return;
    }
    if (n > 0)
        k->taken += (size_t)n;
    if (k->taken == len)
        k->deadline_ms = 0;
    else if (n > 0 || k->deadline_ms == 0)
        sink_wait(k);
}

/* A full pipe has room again only when a whole page of it was read: less than that is a sign of life as well. */
static void sink_late(struct sink *k, const struct relay *r)
{
    int64_t deadline = k->deadline_ms;
    int unread = k->unread;

    sink_push(k, r->held, r->len);
    if (k->source.fd < 0 || k->deadline_ms != deadline)
        return;
    sink_wait(k);
    if (k->unread >= unread)
        source_close(&k->source);
}

static void drop_behind(struct relay *r)
{
    for (struct sink *k = r->sinks; k < r->sinks + SINKS_MAX; k++)
        if (is_behind(r, k))
            source_close(&k->source);
}

static void release(struct relay *r)
{
    if (r->held)
        munmap(r->held, HELD_MAX);
    r->held = NULL;
    r->len = 0;
    for (struct sink *k = r->sinks; k < r->sinks + SINKS_MAX; k++)
        k->taken = 0;
}

/* Without memory to hold it the slow are dropped: the container must not wait for what cannot come. */
static void hold(struct relay *r, const char *bytes)
{
    char *p = mmap(NULL, HELD_MAX, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    if (p == MAP_FAILED) {
        drop_behind(r);
        return;
    }
    r->held = memcpy(p, bytes, r->len);
}

static void relay_free(struct relay *r)
{
    struct relay **at = &relays;

    while (*at != r)
        at = &(*at)->next;
    *at = r->next;
    for (struct sink *k = r->sinks; k < r->sinks + SINKS_MAX; k++)
        source_close(&k->source);
    munmap(r, RELAY_SIZE);
}

static bool may_read(const struct relay *r)
{
    return !r->held || r->stream->container->state == CONTAINER_DRAINING;
}

/* A stream that is not read leaves the set: one whose writer is gone would be ready for ever. */
static void watch_stream(struct relay *r)
{
    bool pause = !may_read(r);

    if (pause == r->paused)
        return;
    r->paused = pause;
    if (pause)
        epoll_ctl(keeper.epoll, EPOLL_CTL_DEL, r->stream->fd, NULL);
    else
        source_add(r->stream, EPOLLIN);
}

/* Draws the consequences after sinks took something, came or went. The relay may be gone afterwards. */
static void settle(struct relay *r)
{
    bool behind = false, any = false;

    for (struct sink *k = r->sinks; k < r->sinks + SINKS_MAX; k++) {
        any = any || k->source.fd >= 0;
        behind = behind || is_behind(r, k);
        sink_watch(k, is_behind(r, k) ? EPOLLOUT : 0);
    }
    if (!behind)
        release(r);
    if (r->stream)
        watch_stream(r);
    if (!any || (!r->stream && !r->held))
        relay_free(r);
}

static void sink_on_ready(struct source *s, uint32_t events)
{
    struct sink *k = (struct sink *)s;
    struct relay *r = k->relay;

    if (events & (EPOLLERR | EPOLLHUP))
        source_close(s);
    else if (is_behind(r, k))
        sink_push(k, r->held, r->len);
    settle(r);
}

static void sink_add(struct relay *r, int fd)
{
    struct sink *k = r->sinks;

    while (k->source.fd >= 0)
        k++;
    fcntl(fd, F_SETFL, O_NONBLOCK);
    *k = (struct sink){.source = {.fd = fd, .on_ready = sink_on_ready}, .relay = r, .taken = r->len};
    source_add(&k->source, 0);
}

/* The stream's relay, with room for one more sink; NULL: there is none, or no memory. */
static struct relay *relay_with_room(struct source *stream)
{
    struct relay *r = find(stream);

    if (!r) {
        r = mmap(NULL, RELAY_SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if (r == MAP_FAILED)
            return NULL;
        for (struct sink *k = r->sinks; k < r->sinks + SINKS_MAX; k++)
            k->source.fd = -1;
        r->stream = stream;
        r->next = relays;
        relays = r;
    }
    for (const struct sink *k = r->sinks; k < r->sinks + SINKS_MAX; k++)
        if (k->source.fd < 0)
            return r;
    return NULL;
}

bool attach(struct container *c, int *fds[static 2])
{
    struct source *const streams[] = {&c->out, &c->err};
    struct relay *to[countof(streams)] = {NULL};
    bool room = true;

    for (size_t i = 0; i < countof(streams); i++)
        if (fds[i] && streams[i]->fd >= 0) {
            to[i] = relay_with_room(streams[i]);
            room = room && to[i];
        }
    for (size_t i = 0; i < countof(streams); i++) {
        if (!to[i])
            continue;
        if (room)
            sink_add(to[i], steal_fd(fds[i]));
        settle(to[i]);
    }
    return room;
}

bool relay_may_read(const struct source *stream)
{
    const struct relay *r = find(stream);

    return !r || may_read(r);
}

void relay_copy(const struct source *stream, const char *bytes, size_t n)
{
    struct relay *r = find(stream);
    bool behind = false;

    if (!r)
        return;
    if (r->held && r->len + n > HELD_MAX) { /* of a container that ended and had made its pipe larger */
        drop_behind(r);
        release(r);
    }
    if (r->held) {
        memcpy(r->held + r->len, bytes, n);
        bytes = r->held;
    }
    r->len += n;
    for (struct sink *k = r->sinks; k < r->sinks + SINKS_MAX; k++) {
        if (is_behind(r, k))
            sink_push(k, bytes, r->len);
        behind = behind || is_behind(r, k);
    }
    if (behind && !r->held)
        hold(r, bytes);
    settle(r);
}

void relay_watch(const struct source *stream)
{
    struct relay *r = find(stream);

    if (r)
        watch_stream(r);
}

void relay_end(const struct source *stream)
{
    struct relay *r = find(stream);

    if (!r)
        return;
    r->stream = NULL;
    settle(r);
}

int64_t relay_deadline(void)
{
    int64_t first = INT64_MAX;

    for (const struct relay *r = relays; r; r = r->next)
        for (const struct sink *k = r->sinks; k < r->sinks + SINKS_MAX; k++)
            if (is_behind(r, k) && k->deadline_ms < first)
                first = k->deadline_ms;
    return first;
}

void relay_timeouts(int64_t t)
{
    for (struct relay *r = relays, *next; r; r = next) {
        bool late = false;
        next = r->next;
        for (struct sink *k = r->sinks; k < r->sinks + SINKS_MAX; k++)
            if (is_behind(r, k) && k->deadline_ms <= t) {
                sink_late(k, r);
                late = true;
            }
        if (late)
            settle(r);
    }
}
