#include "handlers/op.h"
#include "core/log.h"
#include "core/mem.h"
#include "handlers/methods.h"
#include "loop/trim.h"

#include <utlist.h>

struct waiter {
    struct op *op;
    struct rpc *rpc; /* NULL: fn */
    bool retry;
    op_waiter_fn *fn;
    void *data;
    struct waiter *prev, *next;
};

static void on_gone(void *data)
{
    struct waiter *w = data;

    DL_DELETE(w->op->waiters, w);
    free(w);
}

static struct waiter *add(struct op *op)
{
    struct waiter *w = mem_new(struct waiter);

    w->op = op;
    DL_APPEND(op->waiters, w);
    return w;
}

void op_wait_rpc(struct op *op, struct rpc *rpc)
{
    struct waiter *w = add(op);

    w->rpc = rpc;
    rpc_on_gone(rpc, on_gone, w);
}

void op_retry_rpc(struct op *op, struct rpc *rpc)
{
    struct waiter *w = add(op);

    w->rpc = rpc;
    w->retry = true;
    rpc_on_gone(rpc, on_gone, w);
}

void op_wait_fn(struct op *op, op_waiter_fn *fn, void *data)
{
    struct waiter *w = add(op);

    w->fn = fn;
    w->data = data;
}

static void tell(struct op *op, struct waiter *w)
{
    struct rpc *rpc = w->rpc;

    if (!rpc) {
        w->fn(w->data, op->flow.rc == 0 ? NULL : &op->flow.err);
        return;
    }
    rpc_on_gone(rpc, NULL, NULL);
    if (w->retry)
        rpc->method->handle(rpc);
    else if (op->flow.rc == 0)
        op->reply(op, rpc);
    else
        rpc_fail(rpc, &op->flow.err);
}

static void on_done(struct flow *f)
{
    struct op *op = (struct op *)f; /* flow is the first member */
    struct waiter *w;

    if (f->rc < 0 && !op->waiters) /* else whoever waits tells */
        log_warn("%s: %s", f->name, f->err.msg);
    trim_later(op->daemon->loop);
    *op->slot = op->outer;
    if (op->on_end)
        op->on_end(op);
    /* the object may be gone now: only the operation's own memory is used from here on */
    while ((w = op->waiters)) {
        DL_DELETE(op->waiters, w);
        tell(op, w);
        free(w);
    }
    if (op->on_free)
        op->on_free(op);
    free(op->name);
    free(op);
}

struct op *op_new(struct daemon *d, struct op **slot, const struct flow_step *steps, char *name, void *data)
{
    struct op *op = mem_new(struct op);

    op->daemon = d;
    op->name = name;
    op->flow = (struct flow){.steps = steps, .name = name, .loop = d->loop, .data = data, .on_done = on_done};
    op->slot = slot;
    op->outer = *slot;
    *slot = op;
    return op;
}

static void start_now(void *data)
{
    struct op *op = data;
    flow_start(&op->flow);
}

void op_start(struct op *op)
{
    /* from the loop, so that whoever made it can still join it */
    loop_defer(op->daemon->loop, start_now, op);
}
