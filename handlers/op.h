/*
 * An operation: a flow on one object, and those who wait for its end.
 *
 * Each pod and container has at most one operation at a time. A request that asks for what already runs joins it; one that
 * asks for something else waits and is dispatched again when it is over. A client that goes away only stops waiting: the
 * flow ends as it would have, and a retry joins it or finds the finished object.
 */
#pragma once
#include "handlers/rpc.h"
#include "loop/flow.h"

struct op;

typedef void op_waiter_fn(void *data, const struct err *err); /* err NULL on success */

struct op {
    struct flow flow;
    struct daemon *daemon;
    struct op **slot; /* where the object points to its operation */
    struct op *outer; /* what stood there: the operation whose step this one is, or NULL */
    void (*reply)(struct op *op, struct rpc *rpc); /* answers one waiting call after success */
    void (*on_end)(struct op *op);  /* before the waiters hear: takes the object out of the tables if need be */
    void (*on_free)(struct op *op); /* frees what hangs on data */
    char *name;                     /* flow.name */
    struct waiter *waiters;
};

/* data becomes flow.data. The slot is empty, or holds the operation that this one is a step of. Starts with op_start(). */
struct op *op_new(struct daemon *d, struct op **slot, const struct flow_step *steps, char *name /* taken */,
                  void *data);
void op_start(struct op *op);

/* The call is answered by op->reply or with the flow's error. */
void op_wait_rpc(struct op *op, struct rpc *rpc);
/* The call is dispatched anew when the operation has ended, however it ended. */
void op_retry_rpc(struct op *op, struct rpc *rpc);
/* fn is called once, when the operation has ended. */
void op_wait_fn(struct op *op, op_waiter_fn *fn, void *data);
