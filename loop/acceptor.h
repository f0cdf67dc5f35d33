/*
 * Accepts on a listening socket: so many a turn that a flood of connections cannot hold up the loop, and with a pause when
 * there is no free descriptor, in which poll would report the waiting connection without end.
 */
#pragma once
#include "loop/loop.h"

struct acceptor { /* in its owner's struct */
    struct loop *loop;
    const char *name; /* for the log; outlives it */
    int fd;
    struct watch *watch; /* NULL: stopped */
    struct timer pause;
    void (*fn)(void *data, int fd);
    void *data;
};

/* Takes over fd, non-blocking and listening. fn owns the descriptors that it gets: non-blocking, close-on-exec. */
void acceptor_start(struct acceptor *a, struct loop *l, int fd, const char *name,
                    void (*fn)(void *data, int fd), void *data);
/* Closes the listening socket. May be called from fn; stopping a stopped one, or one that is all zero, does nothing. */
void acceptor_stop(struct acceptor *a);
