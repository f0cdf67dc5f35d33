/* The wait for one completion, for tests of start functions. Include it behind cmocka.h; main() makes the loop. */
#pragma once
#include "core/err.h"
#include "loop/loop.h"

static struct loop *loop;
static int calls;
static struct err got; /* of the last completion */

/* As a completion, or as the last thing that one does. */
static void on_done(void *data, const struct err *err)
{
    (void)data;
    got = err ? *err : (struct err){0};
    calls++;
    loop_stop(loop);
}

static void on_limit(void *data)
{
    (void)data;
    fail_msg("no completion within the limit");
}

static void wait_for_it(void)
{
    struct timer limit = {0};

    assert_int_equal(calls, 0); /* a start function never completes before it returns */
    timer_start(&limit, loop, 30, on_limit, NULL);
    loop_run(loop);
    timer_stop(&limit);
    assert_int_equal(calls, 1);
    calls = 0;
}
