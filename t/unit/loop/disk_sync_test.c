#include "t/unit/loop/sync_seam.h"

#include "loop/disk_sync.c"

#include <ev.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <cmocka.h>

#define FILE_SYSTEM "/dev/shm" /* which has no disk to wait for */

static struct loop *loop;
static struct syncer *syncer;
static int begun_before;

struct user {
    struct sync_writer *writer;
    int told;
    struct err err;
};

static void on_told(void *data, const struct err *err)
{
    struct user *u = data;

    u->told++;
    if (err)
        u->err = *err;
}

static bool over;
static void on_over(void *data)
{
    (void)data;
    over = true;
}

static struct timer tick;
static void on_tick(void *data)
{
    (void)data;
    timer_start(&tick, loop, 0.002, on_tick, NULL); /* what a child does in a file wakes nobody up */
}

static void turn_until(bool (*holds)(void *data), void *data)
{
    struct timer limit = {0};

    over = false;
    timer_start(&limit, loop, 20, on_over, NULL);
    on_tick(NULL);
    while (!holds(data) && !over)
        ev_run(loop_ev(loop), EVRUN_ONCE);
    timer_stop(&limit);
    timer_stop(&tick);
    assert_false(over);
}

static bool is_told(void *data)
{
    return ((struct user *)data)->told;
}

static int begun(void)
{
    return sync_seam_begun() - begun_before;
}

static bool has_begun(void *data)
{
    return begun() == *(int *)data;
}

static bool no_child(void *data)
{
    (void)data;
    return child_count() == 0;
}

static void join(struct user *u)
{
    struct err err;

    *u = (struct user){0};
    if (sync_join(syncer, &u->writer, &err) < 0)
        fail_msg("%s", err.msg);
}

static void wait_for_disk(struct user *u)
{
    sync_wait(u->writer, on_told, u);
    assert_int_equal(u->told, 0);
}

static int setup(void **state)
{
    (void)state;
    sync_seam = SYNC_REAL;
    begun_before = sync_seam_begun();
    syncer = syncer_new(loop, FILE_SYSTEM);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    turn_until(no_child, NULL);
    assert_true(syncer_is_idle(syncer));
    assert_int_equal(syncer->fd, -1);
    syncer_free(syncer);
    return 0;
}

static void serves_all_in_one_round(void **state)
{
    struct user u[5];

    (void)state;
    for (int i = 0; i < 5; i++)
        join(&u[i]);
    for (int i = 0; i < 5; i++)
        wait_for_disk(&u[i]);
    for (int i = 0; i < 5; i++) {
        turn_until(is_told, &u[i]);
        assert_int_equal(u[i].err.grpc, GRPC_OK);
        sync_leave(u[i].writer);
        assert_int_equal(u[i].told, 1);
    }
    assert_int_equal(begun(), 1);
}

static void on_told_slowly(void *data, const struct err *err)
{
    int64_t end = time_monotonic_us() + 5000;

    while (time_monotonic_us() < end)
        ;
    on_told(data, err);
}

static bool one_is_told(void *data)
{
    const struct user *u = data;

    return u[0].told + u[1].told + u[2].told > 0;
}

/* What others have to wait for is one of them. */
static void tells_in_as_many_turns_as_it_takes(void **state)
{
    struct user u[3];

    (void)state;
    for (int i = 0; i < 3; i++)
        join(&u[i]);
    for (int i = 0; i < 3; i++)
        sync_wait(u[i].writer, on_told_slowly, &u[i]);
    turn_until(one_is_told, u);
    assert_int_equal(u[0].told + u[1].told + u[2].told, 1);
    assert_int_equal(u[0].told, 0);
    sync_leave(u[0].writer); /* and is not told any more */
    for (int i = 1; i < 3; i++) {
        turn_until(is_told, &u[i]);
        assert_int_equal(u[i].told, 1);
        sync_leave(u[i].writer);
    }
    assert_int_equal(u[0].told, 0);
    assert_int_equal(begun(), 1);
}

static void does_not_wait_for_who_writes_long(void **state)
{
    struct user a, b;

    (void)state;
    join(&a);
    join(&b);
    wait_for_disk(&a);
    turn_until(is_told, &a);
    sync_leave(a.writer);
    assert_int_equal(begun(), 1);
    wait_for_disk(&b);
    turn_until(is_told, &b);
    sync_leave(b.writer);
    assert_int_equal(begun(), 2);
}

/* Nothing that was written after a round began may count as being on disk because of it. */
static void who_comes_late_gets_the_next_round(void **state)
{
    struct user a, b;
    int one = 1, two = 2;

    (void)state;
    sync_seam = SYNC_BLOCKS;
    join(&a);
    join(&b);
    wait_for_disk(&a);
    turn_until(has_begun, &one);
    wait_for_disk(&b);
    sync_seam_release();
    turn_until(is_told, &a);
    assert_int_equal(b.told, 0);
    turn_until(has_begun, &two);
    assert_int_equal(b.told, 0);
    sync_seam_release();
    turn_until(is_told, &b);
    assert_int_equal(a.err.grpc | b.err.grpc, GRPC_OK);
    sync_leave(a.writer);
    sync_leave(b.writer);
}

static void a_failure_concerns_all_who_had_joined(void **state)
{
    struct user a, b, c;

    (void)state;
    sync_seam = SYNC_FAILS;
    sync_seam_errno = ENOSPC;
    join(&a);
    join(&b);
    wait_for_disk(&a);
    turn_until(is_told, &a);
    assert_int_equal(a.err.grpc, GRPC_RESOURCE_EXHAUSTED);
    assert_non_null(strstr(a.err.msg, "sync " FILE_SYSTEM " to disk"));
    sync_seam = SYNC_REAL;
    join(&c);
    wait_for_disk(&b);
    wait_for_disk(&c);
    turn_until(is_told, &b);
    turn_until(is_told, &c);
    assert_int_equal(b.err.grpc, GRPC_RESOURCE_EXHAUSTED);
    assert_int_equal(c.err.grpc, GRPC_OK);
    sync_leave(a.writer);
    sync_leave(b.writer);
    sync_leave(c.writer);
}

static void one_that_writes_alone_is_synced_meanwhile(void **state)
{
    struct user a, b;
    int one = 1, two = 2;

    (void)state;
    join(&a);
    join(&b);
    sync_wrote(a.writer, EARLY_BYTES);
    sync_leave(b.writer);
    assert_false(child_count()); /* not beside another */
    sync_wrote(a.writer, 1);
    turn_until(has_begun, &one);
    turn_until(no_child, NULL);
    sync_wrote(a.writer, EARLY_BYTES - 1);
    assert_false(child_count()); /* too little since then */
    sync_seam = SYNC_FAILS;
    sync_seam_errno = EIO;
    sync_wrote(a.writer, 1);
    turn_until(has_begun, &two);
    turn_until(no_child, NULL);
    assert_int_equal(a.told, 0);
    sync_seam = SYNC_REAL;
    wait_for_disk(&a);
    turn_until(is_told, &a);
    assert_int_equal(a.told, 1);
    assert_non_null(strstr(a.err.msg, strerror(EIO))); /* what the one in between said */
    sync_leave(a.writer);
}

static void a_child_that_is_killed_is_a_failure(void **state)
{
    struct user a;

    (void)state;
    sync_seam = SYNC_DIES;
    join(&a);
    wait_for_disk(&a);
    turn_until(is_told, &a);
    assert_int_equal(a.err.grpc, GRPC_INTERNAL);
    assert_non_null(strstr(a.err.msg, "killed by signal 9"));
    sync_leave(a.writer);
}

/* Others are served as if it had not been there. */
static void leaves_at_any_stage(void **state)
{
    struct user a, b, other;
    int one = 1;

    (void)state;
    sync_leave(NULL);
    join(&a);
    sync_leave(a.writer); /* while it writes */
    assert_true(syncer_is_idle(syncer));

    join(&a);
    wait_for_disk(&a);
    sync_leave(a.writer); /* before its round */
    assert_true(syncer_is_idle(syncer));

    sync_seam = SYNC_BLOCKS;
    join(&a);
    join(&b);
    join(&other);
    wait_for_disk(&a);
    wait_for_disk(&other);
    sync_leave(b.writer); /* the last that wrote */
    turn_until(has_begun, &one);
    sync_leave(a.writer); /* in the middle of it */
    sync_seam_release();
    turn_until(is_told, &other);
    assert_int_equal(other.err.grpc, GRPC_OK);
    assert_int_equal(a.told + b.told, 0);
    assert_int_equal(begun(), 1);
    sync_leave(other.writer);
}

static void is_freed_while_a_round_runs(void **state)
{
    struct user a;
    int one = 1;

    (void)state;
    sync_seam = SYNC_BLOCKS;
    join(&a);
    wait_for_disk(&a);
    turn_until(has_begun, &one);
    sync_leave(a.writer);
    syncer_free(syncer);
    sync_seam_release();
    turn_until(no_child, NULL);
    assert_int_equal(a.told, 0);
    syncer = syncer_new(loop, FILE_SYSTEM);
}

static void says_that_there_is_no_directory(void **state)
{
    struct syncer *s = syncer_new(loop, "/tmp/cricket-absent");
    struct sync_writer *w = NULL;
    struct err err;

    (void)state;
    assert_int_equal(sync_join(s, &w, &err), -ENOENT);
    assert_non_null(strstr(err.msg, "/tmp/cricket-absent"));
    assert_null(w);
    syncer_free(s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(serves_all_in_one_round, setup, teardown),
        cmocka_unit_test_setup_teardown(tells_in_as_many_turns_as_it_takes, setup, teardown),
        cmocka_unit_test_setup_teardown(does_not_wait_for_who_writes_long, setup, teardown),
        cmocka_unit_test_setup_teardown(who_comes_late_gets_the_next_round, setup, teardown),
        cmocka_unit_test_setup_teardown(a_failure_concerns_all_who_had_joined, setup, teardown),
        cmocka_unit_test_setup_teardown(one_that_writes_alone_is_synced_meanwhile, setup, teardown),
        cmocka_unit_test_setup_teardown(a_child_that_is_killed_is_a_failure, setup, teardown),
        cmocka_unit_test_setup_teardown(leaves_at_any_stage, setup, teardown),
        cmocka_unit_test_setup_teardown(is_freed_while_a_round_runs, setup, teardown),
        cmocka_unit_test_setup_teardown(says_that_there_is_no_directory, setup, teardown),
    };

    if (sync_seam_setup() < 0)
        return 1;
    loop = loop_new();
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    loop_free(loop);
    return sync_seam_teardown() < 0 ? 1 : failed;
}
