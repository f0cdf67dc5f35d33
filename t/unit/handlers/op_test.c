/* Operations: who waits is told once, in whatever way it waits, and what is gone is left alone. */
#include "handlers/op.c"
#include "handlers/sub_ops.c"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

/* ---- calls that remember what became of them ---- */
static struct call {
    struct rpc rpc;
    int replied, failed, retried;
    struct err err;
    void (*gone)(void *data);
    void *gone_data;
    struct op **retry_slot; /* what a retry finds in it is looked at */
    struct op *found;
} calls[4];

void rpc_on_gone(struct rpc *rpc, void (*fn)(void *data), void *data)
{
    struct call *c = (struct call *)rpc;
    c->gone = fn;
    c->gone_data = data;
}

void rpc_fail(struct rpc *rpc, const struct err *err)
{
    struct call *c = (struct call *)rpc;
    assert_null(c->gone); /* taken back first */
    c->failed++;
    c->err = *err;
}

static void reply(struct op *op, struct rpc *rpc)
{
    assert_int_equal(op->flow.rc, 0);
    assert_null(((struct call *)rpc)->gone);
    ((struct call *)rpc)->replied++;
}

static void handle(struct rpc *rpc)
{
    struct call *c = (struct call *)rpc;
    c->retried++;
    c->found = *c->retry_slot;
    if (c->found)
        op_wait_rpc(c->found, rpc);
}

static void hang_up(struct call *c)
{
    void (*fn)(void *) = c->gone;
    c->gone = NULL;
    if (fn)
        fn(c->gone_data);
}

/* ---- an object with an operation ---- */
static struct daemon d;
static struct op *slot;
static struct flow *waiting;
static int ended, freed, told, told_error;
static bool fail_it;

static int wait_step(struct flow *f)
{
    waiting = f;
    return FLOW_WAIT;
}

static int last_step(struct flow *f)
{
    return fail_it ? err_set(&f->err, GRPC_NOT_FOUND, 0, "thing is gone") : 0;
}

static const struct flow_step steps[] = {{"wait", wait_step, NULL}, {"last", last_step, NULL}, {0}};

static void on_end(struct op *op)
{
    (void)op;
    assert_int_equal(calls[0].replied + calls[0].failed, 0); /* before anybody hears */
    assert_int_equal(freed, 0);
    ended++;
}

static void on_free(struct op *op)
{
    (void)op;
    freed++;
}

static void tell_fn(void *data, const struct err *err)
{
    assert_ptr_equal(data, &told);
    told++;
    told_error += err != NULL;
}

static struct op *make(void)
{
    struct op *op = op_new(&d, &slot, steps, mem_strdup("Do it"), NULL);

    op->reply = reply;
    op->on_end = on_end;
    op->on_free = on_free;
    return op;
}

static void stop(void *data)
{
    loop_stop(data);
}

static void turn(void)
{
    loop_defer(d.loop, stop, d.loop);
    loop_run(d.loop);
}

static int reset(void **state)
{
    static struct method m = {.name = "Do", .handle = handle};

    (void)state;
    memset(calls, 0, sizeof(calls));
    for (size_t i = 0; i < countof(calls); i++) {
        calls[i].rpc.method = &m;
        calls[i].retry_slot = &slot;
    }
    ended = freed = told = told_error = 0;
    slot = NULL;
    waiting = NULL;
    fail_it = false;
    return 0;
}

static void joined(void **state)
{
    struct op *op = make();

    (void)state;
    assert_ptr_equal(slot, op);
    op_wait_rpc(op, &calls[0].rpc);
    op_wait_rpc(op, &calls[1].rpc);
    op_wait_fn(op, tell_fn, &told);
    op_start(op);
    assert_null(waiting); /* nothing happens before it returns */
    turn();
    assert_non_null(waiting);
    op_wait_rpc(op, &calls[2].rpc);
    flow_resume(waiting, 0);
    for (int i = 0; i < 3; i++)
        assert_true(calls[i].replied == 1 && calls[i].failed == 0);
    assert_true(ended == 1 && freed == 1 && told == 1 && told_error == 0);
    assert_null(slot);
}

static void failed(void **state)
{
    struct op *op = make();

    (void)state;
    fail_it = true;
    op_wait_rpc(op, &calls[0].rpc);
    op_wait_fn(op, tell_fn, &told);
    op_retry_rpc(op, &calls[1].rpc);
    op_start(op);
    turn();
    flow_resume(waiting, 0);
    assert_true(calls[0].failed == 1 && calls[0].err.grpc == GRPC_NOT_FOUND);
    assert_true(told == 1 && told_error == 1 && freed == 1);
    assert_int_equal(calls[1].retried, 1); /* however it ended */
    assert_null(calls[1].found);
}

static void gone(void **state)
{
    struct op *op = make();

    (void)state;
    op_wait_rpc(op, &calls[0].rpc);
    op_wait_rpc(op, &calls[1].rpc);
    op_retry_rpc(op, &calls[2].rpc);
    op_start(op);
    hang_up(&calls[0]); /* before it has begun */
    turn();
    hang_up(&calls[2]);
    flow_resume(waiting, 0);
    assert_int_equal(calls[0].replied + calls[0].failed, 0);
    assert_int_equal(calls[1].replied, 1);
    assert_int_equal(calls[2].retried, 0);
    assert_int_equal(freed, 1); /* the work went on */
}

/* ---- an operation that is a step of another ---- */
static int run_inner(struct flow *f)
{
    struct op *inner = make();

    op_wait_fn(inner, flow_done, f);
    op_start(inner);
    return FLOW_WAIT;
}

static const struct flow_step outer_steps[] = {{"inner", run_inner, NULL}, {"wait", wait_step, NULL}, {0}};
static int outer_freed;

static void on_outer_free(struct op *op)
{
    (void)op;
    outer_freed++;
}

static void nested(void **state)
{
    struct op *outer = op_new(&d, &slot, outer_steps, mem_strdup("Outer"), NULL);

    (void)state;
    outer_freed = 0;
    outer->reply = reply;
    outer->on_free = on_outer_free;
    op_wait_rpc(outer, &calls[1].rpc);
    op_start(outer);
    turn(); /* the outer one begins */
    turn(); /* and the inner one */
    struct op *inner = slot;
    assert_ptr_not_equal(inner, outer);
    assert_ptr_equal(inner->outer, outer);
    op_retry_rpc(inner, &calls[2].rpc);
    flow_resume(waiting, 0); /* ends the inner one; the outer goes on at once */
    assert_true(freed == 1 && outer_freed == 0);
    assert_ptr_equal(slot, outer);
    assert_ptr_equal(calls[2].found, outer); /* who waited for the step finds the whole, and joins it */
    flow_resume(waiting, 0);
    assert_int_equal(outer_freed, 1);
    assert_true(calls[1].replied == 1 && calls[2].replied == 1);
    assert_null(slot);
}

static void nested_failure(void **state)
{
    struct op *outer = op_new(&d, &slot, outer_steps, mem_strdup("Outer"), NULL);

    (void)state;
    outer_freed = 0;
    fail_it = true;
    outer->reply = reply;
    outer->on_free = on_outer_free;
    op_wait_rpc(outer, &calls[1].rpc);
    op_start(outer);
    turn();
    turn();
    flow_resume(waiting, 0); /* the outer one ends inside the inner one's end */
    assert_true(freed == 1 && outer_freed == 1);
    assert_int_equal(calls[1].failed, 1);
    assert_string_equal(calls[1].err.msg, "thing is gone");
    assert_null(slot);
}

/* ---- side by side ---- */
static int subs_done;
static struct err subs_err;

static int start_two(struct flow *f)
{
    static struct op *a, *b;
    struct sub_ops *s = sub_ops_new(f);
    struct op **slots[] = {&a, &b};

    for (size_t i = 0; i < countof(slots); i++) {
        struct op *op = op_new(&d, slots[i], steps + 1, mem_strdup("part"), NULL);
        op_start(op);
        sub_ops_add(s);
        op_wait_fn(op, sub_op_done, s);
    }
    return sub_ops_wait(s);
}

static int start_none(struct flow *f)
{
    return sub_ops_wait(sub_ops_new(f));
}

static void on_subs_done(struct flow *f)
{
    subs_done++;
    subs_err = f->err;
}

static void side_by_side(void **state)
{
    static const struct flow_step two[] = {{"two", start_two, NULL}, {"none", start_none, NULL}, {0}};
    struct flow f = {.steps = two, .name = "two", .loop = d.loop, .on_done = on_subs_done};

    (void)state;
    for (int fail = 0; fail < 2; fail++) {
        fail_it = fail;
        subs_done = 0;
        f = (struct flow){.steps = two, .name = "two", .loop = d.loop, .on_done = on_subs_done};
        flow_start(&f);
        assert_int_equal(subs_done, 0);
        turn();
        assert_int_equal(subs_done, 1);
        assert_int_equal(subs_err.grpc, fail ? GRPC_NOT_FOUND : GRPC_OK);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(joined, reset),         cmocka_unit_test_setup(failed, reset),
        cmocka_unit_test_setup(gone, reset),           cmocka_unit_test_setup(nested, reset),
        cmocka_unit_test_setup(nested_failure, reset), cmocka_unit_test_setup(side_by_side, reset),
    };

    d.loop = loop_new();
    int r = cmocka_run_group_tests(tests, NULL, NULL);
    loop_free(d.loop);
    return r;
}
