#include "loop/uv_nest.h"
#include "core/mem.h"

#include <assert.h>
#include <ev.h>
#include <poll.h>
#include <uv.h>

/* A turn of ours may run uv this often; what is still due then waits for the next turn, so that h2o cannot starve others. */
enum { RUNS_PER_TURN = 8 };

struct uv_nest {
    struct ev_loop *ev;
    uv_loop_t uv;
    ev_io readable;
    ev_timer due;
    ev_prepare prepare;
    ev_check check;
};

static void on_readable(struct ev_loop *ev, ev_io *w, int revents)
{
    struct uv_nest *n = w->data;

    (void)ev;
    (void)revents;
    uv_run(&n->uv, UV_RUN_NOWAIT);
}

static void on_due(struct ev_loop *ev, ev_timer *w, int revents)
{
    struct uv_nest *n = w->data;

    (void)ev;
    (void)revents;
    uv_run(&n->uv, UV_RUN_NOWAIT);
}

static void on_prepare(struct ev_loop *ev, ev_prepare *w, int revents)
{
    struct uv_nest *n = w->data;
    int wait_ms = -1;

    (void)revents;
    for (int i = 0; i <= RUNS_PER_TURN && uv_loop_alive(&n->uv); i++) {
        wait_ms = uv_backend_timeout(&n->uv);
        if (wait_ms != 0 || i == RUNS_PER_TURN)
            break;
        uv_run(&n->uv, UV_RUN_NOWAIT);
        wait_ms = -1;
    }
    ev_timer_stop(ev, &n->due);
    if (wait_ms < 0)
        return;
    ev_timer_set(&n->due, wait_ms / 1000., 0.);
    ev_timer_start(ev, &n->due);
}

static void on_check(struct ev_loop *ev, ev_check *w, int revents)
{
    struct uv_nest *n = w->data;

    (void)ev;
    (void)revents;
    uv_update_time(&n->uv);
}

struct uv_nest *uv_nest_new(struct loop *l)
{
    struct uv_nest *n = mem_new(struct uv_nest);

    n->ev = loop_ev(l);
    if (uv_loop_init(&n->uv) < 0)
        abort();
    ev_io_init(&n->readable, on_readable, uv_backend_fd(&n->uv), EV_READ);
    ev_timer_init(&n->due, on_due, 0., 0.);
    ev_prepare_init(&n->prepare, on_prepare);
    ev_set_priority(&n->prepare, EV_MINPRI); /* behind loop.c's deferred work, whose answers it sends */
    ev_check_init(&n->check, on_check);
    ev_set_priority(&n->check, EV_MAXPRI);
    n->readable.data = n->due.data = n->prepare.data = n->check.data = n;
    ev_io_start(n->ev, &n->readable);
    ev_prepare_start(n->ev, &n->prepare);
    ev_check_start(n->ev, &n->check);
    return n;
}

struct uv_loop_s *uv_nest_loop(struct uv_nest *n)
{
    return &n->uv;
}

void uv_nest_settle(struct uv_nest *n, bool (*settled)(void *data), void *data, int limit_ms)
{
    int64_t end = time_monotonic_us() + limit_ms * 1000LL;

    uv_run(&n->uv, UV_RUN_NOWAIT);
    while (!settled(data) && uv_loop_alive(&n->uv) && time_monotonic_us() < end) {
        int wait_ms = uv_backend_timeout(&n->uv);
        struct pollfd p = {.fd = uv_backend_fd(&n->uv), .events = POLLIN};
        if (wait_ms != 0)
            (void)poll(&p, 1, wait_ms < 0 || wait_ms > 10 ? 10 : wait_ms);
        uv_run(&n->uv, UV_RUN_NOWAIT);
    }
}

static bool never(void *data)
{
    (void)data;
    return false;
}

void uv_nest_free(struct uv_nest *n)
{
    if (!n)
        return;
    ev_io_stop(n->ev, &n->readable);
    ev_timer_stop(n->ev, &n->due);
    ev_prepare_stop(n->ev, &n->prepare);
    ev_check_stop(n->ev, &n->check);
    uv_nest_settle(n, never, NULL, 1000); /* ends when no handle is left */
    int rc = uv_loop_close(&n->uv);
    assert(rc == 0);
    (void)rc;
    free(n);
}
