/*
 * The one event loop of the daemon: libev behind five small things. Everything that waits anywhere in cricket waits here.
 *
 * Rule of every callback in this folder: a start function never calls its completion before it returns; a completion is
 * called exactly once, and after it the object is gone.
 */
#pragma once
#include "core/cleanup.h"
#include <stdbool.h>
#include <stdint.h>

struct loop;
struct ev_loop;

struct loop *loop_new(void);
void loop_free(struct loop *l);
void loop_run(struct loop *l); /* until loop_stop() */
void loop_stop(struct loop *l);
struct ev_loop *loop_ev(struct loop *l); /* for the files of loop/ alone */
unsigned
loop_number(const struct loop *l); /* from 1; never given twice, as the address of one that is gone may be */

/* One-shot timer inside its owner's struct. Starting a running timer sets it anew; stopping a stopped one does nothing. */
struct timer {
    struct loop *loop;
    void (*fn)(void *data);
    void *data;
    void *watcher; /* NULL while stopped */
};
void timer_start(struct timer *t, struct loop *l, double seconds, void (*fn)(void *data), void *data);
void timer_stop(struct timer *t);
bool timer_active(const struct timer *t);

/* Calls fn(data) before the loop sleeps; in a later turn when this one is long already, in order. Cannot be taken back. */
void loop_defer(struct loop *l, void (*fn)(void *data), void *data);

/* Calls fn while fd is ready. The caller keeps the descriptor and stops the watch before it closes it. */
enum { WATCH_READ = 1, WATCH_WRITE = 2 };
struct watch;
struct watch *watch_start(struct loop *l, int fd, int events, void (*fn)(void *data, int events), void *data);
void watch_set(struct watch *w, int events); /* 0 pauses */
void watch_stop(struct watch *w);            /* NULL is fine; frees */

/* Calls fn(data, signal) on the loop. Lives until loop_free(). */
void loop_on_signal(struct loop *l, int signal, void (*fn)(void *data, int signal), void *data);

/* The watchdog: how long the loop was away from its poll. Times in microseconds. */
struct loop_turns {
    uint64_t count;
    uint64_t longest_us; /* since loop_turns_reset() */
    uint64_t over_5ms;
};
struct loop_turns loop_turns(const struct loop *l);
void loop_turns_reset(struct loop *l);

/* This turn has lasted more than 2 ms: what is one of many and can wait belongs into the next one, by loop_defer(). */
bool loop_turn_is_long(const struct loop *l);

int64_t time_now_ns(void);       /* CLOCK_REALTIME: for records */
int64_t time_monotonic_us(void); /* for intervals */
