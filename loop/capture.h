/* Reads what comes out of a pipe, to its end, into a buffer: what does not fit is read and dropped. */
#pragma once
#include "core/buf.h"
#include "loop/loop.h"

struct capture {
    int fd; /* -1 when closed */
    struct watch *watch;
    struct buf *into; /* its `max` is the limit */
    void (*on_end)(void *data);
    void *data;
};

/* Takes fd, which does not block; -1: none, and on_end never comes. on_end is called on the loop when it has ended. */
void capture_start(struct capture *c, struct loop *l, int fd, struct buf *into, void (*on_end)(void *data),
                   void *data);
bool capture_runs(const struct capture *c);
/* Closes it. Without on_end; stopping a stopped one does nothing. */
void capture_stop(struct capture *c);
