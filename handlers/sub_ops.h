/* One flow step that is many operations on other objects: a pod's containers are stopped and removed side by side. */
#pragma once
#include "handlers/op.h"

/* Counts what is under way; the step is over when all have ended. The first error is the step's. */
struct sub_ops {
    struct flow *flow;
    size_t pending;
    struct err err; /* grpc != 0: one failed */
};

struct sub_ops *sub_ops_new(struct flow *f);
/* As an op_waiter_fn: data is the struct sub_ops. */
void sub_op_done(void *data, const struct err *err);
/* Call before each operation that will end with sub_op_done(). */
void sub_ops_add(struct sub_ops *s);
/* After the last: returns FLOW_WAIT, or 0 (or the error) if there was nothing to wait for. s is not to be used any more. */
int sub_ops_wait(struct sub_ops *s) must_check;
