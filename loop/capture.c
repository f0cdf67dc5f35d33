#include "loop/capture.h"

#include <errno.h>

static void on_ready(void *data, int events)
{
    struct capture *c = data;
    char chunk[16384];

    (void)events;
    for (int i = 0; i < 16; i++) { /* bounded: a flood must not hold the loop */
        ssize_t n = read(c->fd, chunk, sizeof(chunk));
        if (n > 0) {
            buf_add(c->into, chunk, (size_t)n);
            continue;
        }
        if (n < 0 && (errno == EAGAIN || errno == EINTR))
            return;
        capture_stop(c);
        c->on_end(c->data);
        return;
    }
}

void capture_start(struct capture *c, struct loop *l, int fd, struct buf *into, void (*on_end)(void *data),
                   void *data)
{
    *c = (struct capture){.fd = fd, .into = into, .on_end = on_end, .data = data};
    if (fd >= 0)
        c->watch = watch_start(l, fd, WATCH_READ, on_ready, c);
}

bool capture_runs(const struct capture *c)
{
    return c->watch != NULL;
}

void capture_stop(struct capture *c)
{
    if (!c->watch)
        return;
    watch_stop(c->watch);
    c->watch = NULL;
    close(c->fd);
    c->fd = -1;
}
