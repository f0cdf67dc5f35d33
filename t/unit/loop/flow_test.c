/* Every step of a table x {fails at once, fails later, cancelled, runs to the end} x {undo at once, undo later and failing}. */
#include "loop/flow.c"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <cmocka.h>

enum { STEPS = 6 };
enum mode { FAIL_NOW, FAIL_LATER, CANCEL, RUN_THROUGH };

static bool held[STEPS];
static int fail_at, done, journaled;
static enum mode mode;
static bool undo_later;
static struct flow *waiting;
static int waiting_rc;
static int cancel_asked;

static void ask(struct flow *f)
{
    (void)f;
    cancel_asked++;
}

static int later(struct flow *f, int rc)
{
    waiting = f;
    waiting_rc = rc;
    f->cancel_wait = ask;
    return FLOW_WAIT;
}

static int take(struct flow *f)
{
    if (mode == FAIL_NOW && f->at == fail_at)
        return err_set(&f->err, GRPC_INTERNAL, EIO, "take");
    held[f->at] = true;
    if (mode == FAIL_LATER && f->at == fail_at)
        return later(f, -EIO);
    if (mode == CANCEL && f->at == fail_at)
        return later(f, 0);
    return f->at % 2 ? later(f, 0) : 0;
}

static int give(struct flow *f)
{
    held[f->at] = false;
    return undo_later ? later(f, -EIO) : 0;
}

static void on_done(struct flow *f)
{
    (void)f;
    done++;
}

static void on_step(struct flow *f)
{
    assert_false(held[f->at]); /* the journal comes before anything of the step */
    journaled++;
}

static const struct flow_step steps[STEPS + 1] = {
    {"0", take, give},
    {"1", take, give},
    {"2", take, give},
    {"3", take, give},
    {"4", take, give},
    {"5", take, give},
    {0},
};

static void run_one(void)
{
    struct flow f = {.steps = steps, .name = "test", .on_done = on_done, .on_step = on_step};
    struct err why = {.grpc = GRPC_CANCELLED, .msg = "test"};

    done = journaled = cancel_asked = 0;
    memset(held, 0, sizeof(held));
    waiting = NULL;
    flow_start(&f);
    while (waiting) {
        struct flow *w = waiting;
        int rc = waiting_rc;
        waiting = NULL;
        if (mode == CANCEL && !w->unwinding && w->at == fail_at) {
            flow_cancel(w, &why);
            flow_cancel(w, &why); /* twice is once */
            rc = -ECANCELED;
        }
        flow_resume(w, rc);
    }
    assert_int_equal(done, 1);
    assert_int_equal(f.rc == 0, mode == RUN_THROUGH);
    assert_int_equal(cancel_asked, mode == CANCEL);
    assert_int_equal(journaled, mode == RUN_THROUGH ? STEPS : fail_at + 1);
    for (int i = 0; i < STEPS; i++)
        assert_int_equal(held[i], mode == RUN_THROUGH);
}

static void every_way(void **state)
{
    (void)state;
    for (int u = 0; u < 2; u++)
        for (mode = FAIL_NOW; mode <= RUN_THROUGH; mode++)
            for (fail_at = 0; fail_at < STEPS; fail_at++) {
                undo_later = u;
                run_one();
            }
}

static void unwind_after_a_crash(void **state)
{
    (void)state;
    for (int at = 0; at < STEPS; at++) {
        struct flow f = {.steps = steps, .name = "test", .on_done = on_done};
        err_set(&f.err, GRPC_ABORTED, 0, "restart");
        undo_later = false;
        done = 0;
        for (int i = 0; i < STEPS; i++)
            held[i] = i <= at;
        flow_unwind(&f, at);
        assert_int_equal(done, 1);
        for (int i = 0; i < STEPS; i++)
            assert_false(held[i]);
    }
}

static void finds_steps_by_name(void **state)
{
    (void)state;
    assert_int_equal(flow_step_find(steps, "3"), 3);
    assert_int_equal(flow_step_find(steps, "gone"), -1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_way),
        cmocka_unit_test(unwind_after_a_crash),
        cmocka_unit_test(finds_steps_by_name),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
