/* Deferred work: in order, before the loop sleeps, and spread over turns when it takes long. */
#include "loop/loop.c"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <cmocka.h>

enum { CALLS = 6 };

static struct loop *loop;
static int order[CALLS + 1];
static int seen;
static bool was_long_at_start;

static void burn(int64_t us)
{
    int64_t until = time_monotonic_us() + us;

    while (time_monotonic_us() < until)
        ;
}

static void note(void *data)
{
    order[seen++] = *(int *)data;
}

static void note_slowly(void *data)
{
    was_long_at_start |= seen > 0 && loop_turn_is_long(loop);
    note(data);
    burn(LONG_TURN_US + 1000);
}

static void stop(void *data)
{
    (void)data;
    loop_stop(loop);
}

static void on_limit(void *data)
{
    (void)data;
    fail_msg("the loop sleeps with work left");
}

static void (*work)(void *data);

static void begin(void *data)
{
    static int numbers[CALLS] = {0, 1, 2, 3, 4, 5};

    (void)data;
    for (int i = 0; i < CALLS; i++)
        loop_defer(loop, work, &numbers[i]);
    loop_defer(loop, stop, NULL);
}

static uint64_t run(void (*fn)(void *data))
{
    struct timer limit = {0};

    loop = loop_new();
    seen = 0;
    was_long_at_start = false;
    timer_start(&limit, loop, 10, on_limit, NULL);
    work = fn;
    loop_defer(loop, begin, NULL); /* from the second turn on: the first has no poll to count from */
    loop_run(loop);
    uint64_t turns = loop_turns(loop).count;
    timer_stop(&limit);
    loop_free(loop);
    assert_int_equal(seen, CALLS);
    for (int i = 0; i < CALLS; i++)
        assert_int_equal(order[i], i);
    return turns;
}

static void quick_work_is_done_at_once(void **state)
{
    (void)state;
    assert_true(run(note) <= 3);
}

static void slow_work_takes_a_turn_each(void **state)
{
    (void)state;
    assert_true(run(note_slowly) >= CALLS - 1);
    assert_false(was_long_at_start);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(quick_work_is_done_at_once),
        cmocka_unit_test(slow_work_takes_a_turn_each),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
