#include "core/log.h"
#include "core/mem.h"
#include "handlers/container_ops.h"
#include "handlers/methods.h"

#include <signal.h>

static int send_stop_signal(struct flow *f);
static int kill_it(struct flow *f);

static const struct flow_step stop_container_steps[] = {
    {"stop signal", send_stop_signal, NULL}, /* and wait for the end, as long as the client gave it */
    {"kill", kill_it, NULL},
    {0},
};

enum { KILL_PATIENCE_S = 120 }; /* a process in uninterruptible sleep: say so rather than wait for ever */
enum { TIMEOUT_MAX_S = 10 * 365 * 86400 }; /* what a client means by more is: for ever */

struct stop_flow {
    struct container *container;
    int64_t timeout_s;
    int64_t until_us; /* monotonic: when the time to say goodbye is over */
    struct timer timer;
};

static bool running(const struct container *c)
{
    return c->state == CONTAINER_STATE_RUNNING;
}

static void on_exit_seen(void *data)
{
    struct flow *f = data;
    struct stop_flow *sf = f->data;

    timer_stop(&sf->timer);
    flow_resume(f, 0);
}

static void on_time_over(void *data)
{
    struct flow *f = data;
    struct stop_flow *sf = f->data;

    sf->container->on_exit = NULL;
    flow_resume(f, 0); /* the next step kills */
}

static int wait_for_exit(struct flow *f, double seconds, void (*on_time)(void *data))
{
    struct stop_flow *sf = f->data;

    sf->container->on_exit = on_exit_seen;
    sf->container->on_exit_data = f;
    timer_start(&sf->timer, f->loop, seconds, on_time, f);
    return FLOW_WAIT;
}

static int send_stop_signal(struct flow *f)
{
    struct stop_flow *sf = f->data;
    struct container *c = sf->container;
    struct err err;

    if (!running(c) || sf->timeout_s <= 0)
        return 0;
    if (container_signal(c, c->stop_signal ? c->stop_signal : SIGTERM, &err) < 0)
        return flow_error(f, &err);
    sf->until_us = time_monotonic_us() + sf->timeout_s * 1000000;
    return wait_for_exit(f, (double)sf->timeout_s, on_time_over);
}

static void on_does_not_die(void *data)
{
    struct flow *f = data;
    struct stop_flow *sf = f->data;
    struct err err;

    sf->container->on_exit = NULL;
    err_set(&err, GRPC_DEADLINE_EXCEEDED, 0,
            "container %.13s: process %d did not end within %d s of SIGKILL (is it waiting for a dead disk or "
            "network file "
            "system?)",
            sf->container->id, sf->container->pid, KILL_PATIENCE_S);
    flow_done(f, &err);
}

static int kill_it(struct flow *f)
{
    struct stop_flow *sf = f->data;
    struct err err;

    if (!running(sf->container))
        return 0;
    if (container_signal(sf->container, SIGKILL, &err) < 0)
        return flow_error(f, &err);
    return wait_for_exit(f, KILL_PATIENCE_S, on_does_not_die);
}

static void reply(struct op *op, struct rpc *rpc)
{
    Runtime__V1__StopContainerResponse r = RUNTIME__V1__STOP_CONTAINER_RESPONSE__INIT;

    (void)op;
    rpc_reply(rpc, &r.base);
}

static void on_free(struct op *op)
{
    struct stop_flow *sf = op->flow.data;

    timer_stop(&sf->timer);
    free(sf);
}

static int64_t clamp(int64_t timeout_s)
{
    return timeout_s < 0 ? 0 : timeout_s > TIMEOUT_MAX_S ? TIMEOUT_MAX_S : timeout_s;
}

struct op *stop_container_op(struct container *c, int64_t timeout_s)
{
    struct stop_flow *sf = mem_new(struct stop_flow);
    struct op *op;

    sf->container = c;
    sf->timeout_s = clamp(timeout_s);
    op = op_new(c->daemon, &c->op, stop_container_steps, mem_printf("StopContainer %.13s (%s)", c->id, c->name),
                sf);
    op->reply = reply;
    op->on_free = on_free;
    return op;
}

/* A second stop with less patience hastens the first; more patience changes nothing. */
static void hasten(struct op *op, int64_t asked_s)
{
    struct stop_flow *sf = op->flow.data;
    int64_t timeout_s = clamp(asked_s);
    int64_t until = time_monotonic_us() + timeout_s * 1000000;

    if (!sf->until_us || op->flow.at != 0) { /* not begun, or killing already */
        if (timeout_s < sf->timeout_s)
            sf->timeout_s = timeout_s;
        return;
    }
    if (until < sf->until_us) {
        sf->until_us = until;
        timer_start(&sf->timer, op->daemon->loop, (double)timeout_s, on_time_over, &op->flow);
    }
}

static void stop_at_once(struct container *c, struct sub_ops *subs)
{
    container_stop(c, 0, subs);
}

void container_stop(struct container *c, int64_t timeout_s, struct sub_ops *subs)
{
    if (c->op && c->op->flow.steps != stop_container_steps) {
        container_when_free(c, subs, stop_at_once); /* being made, started or removed */
        return;
    }
    if (c->op)
        hasten(c->op, timeout_s);
    else if (!running(c))
        return;
    else
        op_start(stop_container_op(c, timeout_s));
    sub_ops_add(subs);
    op_wait_fn(c->op, sub_op_done, subs);
}

void handle_stop_container(struct rpc *rpc)
{
    const Runtime__V1__StopContainerRequest *req = (const Runtime__V1__StopContainerRequest *)rpc->request;
    struct err err;
    struct container *c = container_find(rpc->daemon->containers, req->container_id, &err);

    if (!c && err.grpc == GRPC_NOT_FOUND) { /* CRI: idempotent */
        reply(NULL, rpc);
    } else if (!c) {
        rpc_fail(rpc, &err);
    } else if (c->op && c->op->flow.steps == stop_container_steps) {
        hasten(c->op, req->timeout);
        op_wait_rpc(c->op, rpc);
    } else if (c->op) {
        op_retry_rpc(c->op, rpc);
    } else if (!running(c)) {
        reply(NULL, rpc);
    } else {
        struct op *op = stop_container_op(c, req->timeout);
        op_wait_rpc(op, rpc);
        op_start(op);
    }
}
