#include "handlers/sub_ops.h"
#include "core/mem.h"

struct sub_ops *sub_ops_new(struct flow *f)
{
    struct sub_ops *s = mem_new(struct sub_ops);

    s->flow = f;
    s->pending = 1; /* the maker's own, until sub_ops_wait() */
    return s;
}

void sub_ops_add(struct sub_ops *s)
{
    s->pending++;
}

void sub_op_done(void *data, const struct err *err)
{
    struct sub_ops *s = data;
    struct flow *f = s->flow;
    struct err first;

    if (err && s->err.grpc == GRPC_OK)
        s->err = *err;
    if (--s->pending > 0)
        return;
    first = s->err;
    free(s);
    flow_done(f, first.grpc ? &first : NULL);
}

int sub_ops_wait(struct sub_ops *s)
{
    struct err err = s->err;
    struct flow *f = s->flow;

    if (--s->pending > 0)
        return FLOW_WAIT; /* operations end through the loop, so none has ended yet */
    free(s);
    return err.grpc ? flow_error(f, &err) : 0;
}
