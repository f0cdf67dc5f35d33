#include "loop/acceptor.h"
#include "core/log.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>

enum { ACCEPTS_PER_TURN = 32 };
static const double PAUSE_S = 0.5; /* after accept(2) found no free descriptor */

static void on_pause_over(void *data)
{
    struct acceptor *a = data;

    watch_set(a->watch, WATCH_READ);
}

static void on_acceptable(void *data, int events)
{
    struct acceptor *a = data;

    (void)events;
    for (int i = 0; a->watch && i < ACCEPTS_PER_TURN; i++) {
        int fd = accept4(a->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd >= 0) {
            a->fn(a->data, fd);
            continue;
        }
        if (errno == EMFILE || errno == ENFILE || errno == ENOMEM || errno == ENOBUFS) {
            log_error("%s: cannot accept a connection: %s: raise LimitNOFILE or close clients", a->name,
                      strerror(errno));
            watch_set(a->watch, 0);
            timer_start(&a->pause, a->loop, PAUSE_S, on_pause_over, a);
        }
        return;
    }
}

void acceptor_start(struct acceptor *a, struct loop *l, int fd, const char *name,
                    void (*fn)(void *data, int fd), void *data)
{
    *a = (struct acceptor){.loop = l, .name = name, .fd = fd, .fn = fn, .data = data};
    a->watch = watch_start(l, fd, WATCH_READ, on_acceptable, a);
}

void acceptor_stop(struct acceptor *a)
{
    if (!a->watch)
        return;
    timer_stop(&a->pause);
    watch_stop(a->watch);
    a->watch = NULL;
    close(a->fd);
}
