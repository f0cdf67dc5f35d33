#include "loop/loop.h"
#include "core/mem.h"

#include <ev.h>
#include <string.h>
#include <time.h>

struct deferred {
    void (*fn)(void *data);
    void *data;
};

struct signal_watch {
    ev_signal ev;
    struct signal_watch *next;
    void (*fn)(void *data, int signal);
    void *data;
};

struct loop {
    struct ev_loop *ev;
    unsigned number;
    ev_prepare prepare; /* last thing before the poll */
    ev_check check;     /* first thing after it */
    ev_idle keep_going; /* active while something is deferred: the poll must not sleep */
    struct deferred *deferred;
    size_t deferred_n, deferred_cap;
    struct signal_watch *signals;
    struct loop_turns turns;
    int64_t woke_us;
};

int64_t time_now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_REALTIME, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

int64_t time_monotonic_us(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000000 + t.tv_nsec / 1000;
}

enum { LONG_TURN_US = 2000 };

bool loop_turn_is_long(const struct loop *l)
{
    return l->woke_us && time_monotonic_us() - l->woke_us > LONG_TURN_US;
}

static void run_deferred(struct loop *l)
{
    /* what is deferred meanwhile runs in the next turn, so that a chain cannot starve the poll */
    size_t n = l->deferred_n, i = 0;
    struct deferred *now = l->deferred;

    if (n == 0)
        return;
    l->deferred = NULL;
    l->deferred_n = l->deferred_cap = 0;
    do
        now[i].fn(now[i].data);
    while (++i < n && !loop_turn_is_long(l));
    if (i < n) { /* the rest comes first in the next turn */
        size_t rest = n - i, more = l->deferred_n;
        l->deferred = mem_grow(l->deferred, &l->deferred_cap, rest + more, sizeof(*l->deferred));
        memmove(l->deferred + rest, l->deferred, more * sizeof(*l->deferred));
        memcpy(l->deferred, now + i, rest * sizeof(*l->deferred));
        l->deferred_n = rest + more;
    }
    free(now);
    if (l->deferred_n == 0)
        ev_idle_stop(l->ev, &l->keep_going);
}

static void on_prepare(struct ev_loop *ev, ev_prepare *w, int revents)
{
    struct loop *l = w->data;

    (void)ev;
    (void)revents;
    run_deferred(l);
    if (l->woke_us) {
        uint64_t us = (uint64_t)(time_monotonic_us() - l->woke_us);
        l->turns.count++;
        if (us > l->turns.longest_us)
            l->turns.longest_us = us;
        if (us > 5000)
            l->turns.over_5ms++;
    }
}

static void on_check(struct ev_loop *ev, ev_check *w, int revents)
{
    struct loop *l = w->data;

    (void)ev;
    (void)revents;
    l->woke_us = time_monotonic_us();
}

static void on_idle(struct ev_loop *ev, ev_idle *w, int revents)
{
    (void)ev;
    (void)w;
    (void)revents;
}

struct loop *loop_new(void)
{
    static unsigned made;
    struct loop *l = mem_new(struct loop);

    l->number = ++made;
    /* never the default loop: that one reaps every child by itself */
    l->ev = ev_loop_new(EVFLAG_AUTO | EVFLAG_NOENV);
    if (!l->ev)
        abort();
    ev_prepare_init(&l->prepare, on_prepare);
    ev_set_priority(&l->prepare,
                    EV_MAXPRI); /* deferred work first, then h2o's own prepare watcher flushes its answers */
    l->prepare.data = l;
    ev_prepare_start(l->ev, &l->prepare);
    ev_check_init(&l->check, on_check);
    ev_set_priority(&l->check, EV_MAXPRI);
    l->check.data = l;
    ev_check_start(l->ev, &l->check);
    ev_idle_init(&l->keep_going, on_idle);
    ev_set_priority(&l->keep_going, EV_MINPRI);
    return l;
}

void loop_free(struct loop *l)
{
    if (!l)
        return;
    while (l->signals) {
        struct signal_watch *s = l->signals;
        l->signals = s->next;
        ev_signal_stop(l->ev, &s->ev);
        free(s);
    }
    ev_loop_destroy(l->ev);
    free(l->deferred);
    free(l);
}

void loop_run(struct loop *l)
{
    ev_run(l->ev, 0);
}

void loop_stop(struct loop *l)
{
    ev_break(l->ev, EVBREAK_ALL);
}

struct ev_loop *loop_ev(struct loop *l)
{
    return l->ev;
}

unsigned loop_number(const struct loop *l)
{
    return l->number;
}

struct loop_turns loop_turns(const struct loop *l)
{
    return l->turns;
}

void loop_turns_reset(struct loop *l)
{
    l->turns = (struct loop_turns){0};
}

void loop_defer(struct loop *l, void (*fn)(void *data), void *data)
{
    l->deferred = mem_grow(l->deferred, &l->deferred_cap, l->deferred_n + 1, sizeof(*l->deferred));
    l->deferred[l->deferred_n++] = (struct deferred){fn, data};
    ev_idle_start(l->ev, &l->keep_going);
}

static void on_timer(struct ev_loop *ev, ev_timer *w, int revents)
{
    struct timer *t = w->data;

    (void)ev;
    (void)revents;
    timer_stop(t);
    t->fn(t->data);
}

void timer_start(struct timer *t, struct loop *l, double seconds, void (*fn)(void *data), void *data)
{
    timer_stop(t);
    ev_timer *w = mem_new(ev_timer);
    ev_timer_init(w, on_timer, seconds, 0.);
    w->data = t;
    t->loop = l;
    t->fn = fn;
    t->data = data;
    t->watcher = w;
    ev_now_update(l->ev);
    ev_timer_start(l->ev, w);
}

void timer_stop(struct timer *t)
{
    if (!t->watcher)
        return;
    ev_timer_stop(t->loop->ev, t->watcher);
    free(t->watcher);
    t->watcher = NULL;
}

bool timer_active(const struct timer *t)
{
    return t->watcher != NULL;
}

struct watch {
    ev_io ev;
    struct loop *loop;
    void (*fn)(void *data, int events);
    void *data;
};

static void on_io(struct ev_loop *ev, ev_io *w, int revents)
{
    struct watch *watch = (struct watch *)w; /* ev is the first member */

    (void)ev;
    watch->fn(watch->data, ((revents & EV_READ) ? WATCH_READ : 0) | ((revents & EV_WRITE) ? WATCH_WRITE : 0));
}

struct watch *watch_start(struct loop *l, int fd, int events, void (*fn)(void *data, int events), void *data)
{
    struct watch *w = mem_new(struct watch);

    w->loop = l;
    w->fn = fn;
    w->data = data;
    ev_io_init(&w->ev, on_io, fd, 0);
    watch_set(w, events);
    return w;
}

void watch_set(struct watch *w, int events)
{
    int want = ((events & WATCH_READ) ? EV_READ : 0) | ((events & WATCH_WRITE) ? EV_WRITE : 0);

    ev_io_stop(w->loop->ev, &w->ev);
    ev_io_set(&w->ev, w->ev.fd, want);
    if (want)
        ev_io_start(w->loop->ev, &w->ev);
}

void watch_stop(struct watch *w)
{
    if (!w)
        return;
    ev_io_stop(w->loop->ev, &w->ev);
    free(w);
}

static void on_signal(struct ev_loop *ev, ev_signal *w, int revents)
{
    struct signal_watch *s = (struct signal_watch *)w; /* ev is the first member */

    (void)ev;
    (void)revents;
    s->fn(s->data, w->signum);
}

void loop_on_signal(struct loop *l, int signal, void (*fn)(void *data, int signal), void *data)
{
    struct signal_watch *s = mem_new(struct signal_watch);

    s->fn = fn;
    s->data = data;
    s->next = l->signals;
    l->signals = s;
    ev_signal_init(&s->ev, on_signal, signal);
    ev_signal_start(l->ev, &s->ev);
}
