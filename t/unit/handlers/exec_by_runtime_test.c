/* Which end belongs to which command, whatever comes first: the end of the runtime's exec, or that of the command. */
#include "handlers/exec_by_runtime.c"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <cmocka.h>

enum { PID = 0x3ffffff1 }; /* above what the kernel gives out: nobody's */

static struct loop *loop;
static char dir[64];

struct seen {
    int started, exited, status;
    struct err err;
};

static void on_started(void *data, int pty, const struct err *err)
{
    struct seen *s = data;

    assert_int_equal(pty, -1);
    assert_int_equal(s->exited, 0);
    s->started++;
    if (err)
        s->err = *err;
}

static void on_exit_status(void *data, int status)
{
    struct seen *s = data;

    assert_int_equal(s->started, 1);
    s->exited++;
    s->status = status;
}

static void write_text(const char *path, const char *text)
{
    struct err err;

    assert_int_equal(file_write(path, text, strlen(text), 0600, &err), 0);
}

/* A command whose `exec --detach` runs. */
static struct exec_by_runtime *starting(struct seen *s)
{
    static unsigned counter;
    struct exec_by_runtime *x = mem_new(struct exec_by_runtime);

    *s = (struct seen){0};
    *x = (struct exec_by_runtime){.next = commands,
                                  .events = {on_started, on_exit_status},
                                  .data = s,
                                  .loop = loop,
                                  .pidfd = -1,
                                  .console = -1,
                                  .dir = -1,
                                  .name = mem_strdup("exec \"x\"")};
    x->pid_file = mem_printf("%s/x%u.pid", dir, ++counter);
    x->log_file = mem_printf("%s/x%u.log", dir, counter);
    commands = x;
    return x;
}

/* It has written the pid, and ends. */
static void starter_ends(struct exec_by_runtime *x, int pid, int status)
{
    struct child_result result = {.status = status};
    char text[16];

    snprintf(text, sizeof(text), "%d", pid);
    if (pid)
        write_text(x->pid_file, text);
    on_starter_ended(x, &result);
}

static void stop(void *data)
{
    (void)data;
    loop_stop(loop);
}

static void next_turn(void)
{
    loop_defer(loop, stop, NULL);
    loop_run(loop);
}

static int setup(void **state)
{
    (void)state;
    strcpy(dir, "/tmp/exec_by_runtime_test.XXXXXX");
    return mkdtemp(dir) ? 0 : -1;
}

/* Its files are gone with the start, and nothing is remembered when none starts. */
static int teardown(void **state)
{
    (void)state;
    assert_null(commands);
    assert_int_equal(early_n, 0);
    return rmdir(dir);
}

static void it_ends_later(void **state)
{
    struct seen s;

    (void)state;
    starter_ends(starting(&s), PID, 0);
    assert_int_equal(s.started, 1);
    assert_int_equal(s.err.grpc, 0);
    next_turn();
    assert_int_equal(s.exited, 0);
    assert_false(exec_by_runtime_reaped(PID + 1, 9));
    assert_true(exec_by_runtime_reaped(PID, 3 << 8));
    assert_int_equal(s.exited, 1);
    assert_int_equal(s.status, 3 << 8);
    assert_false(exec_by_runtime_reaped(PID, 4 << 8)); /* of the next one with the number */
    assert_int_equal(s.exited, 1);
}

static void it_ends_before_its_starter(void **state)
{
    struct seen s;
    struct exec_by_runtime *x = starting(&s);

    (void)state;
    assert_false(exec_by_runtime_reaped(PID, 9));      /* an earlier one with the number */
    assert_false(exec_by_runtime_reaped(PID, 7 << 8)); /* ours */
    for (int i = 1; i < EARLY_MAX; i++)
        assert_false(exec_by_runtime_reaped(PID + i, 1));
    assert_int_equal(early_n, EARLY_MAX);
    starter_ends(x, PID, 0);
    assert_int_equal(s.started, 1);
    assert_int_equal(s.exited, 0); /* not from within on_started */
    next_turn();
    assert_int_equal(s.exited, 1);
    assert_int_equal(s.status, 7 << 8);
}

static void two_at_once(void **state)
{
    struct seen first, second;
    struct exec_by_runtime *a = starting(&first), *b = starting(&second);

    (void)state;
    assert_false(exec_by_runtime_reaped(PID, 1 << 8));
    assert_false(exec_by_runtime_reaped(PID + 1, 2 << 8));
    starter_ends(b, PID + 1, 0);
    next_turn();
    assert_int_equal(second.status, 2 << 8);
    assert_true(early_n > 0); /* the other one still starts */
    starter_ends(a, PID, 0);
    next_turn();
    assert_int_equal(first.status, 1 << 8);
}

static void nobody_starts(void **state)
{
    struct seen s;

    (void)state;
    assert_false(exec_by_runtime_reaped(PID, 5 << 8));
    starter_ends(starting(&s), PID, 0); /* another process than that */
    next_turn();
    assert_int_equal(s.exited, 0);
    assert_true(exec_by_runtime_reaped(PID, 0));
    assert_int_equal(s.exited, 1);
}

static void the_start_fails(void **state)
{
    struct seen s;
    struct exec_by_runtime *x = starting(&s);

    (void)state;
    write_text(x->log_file, "{\"level\":\"error\",\"msg\":\"no such file\"}\n");
    assert_false(exec_by_runtime_reaped(PID, 1));
    starter_ends(x, 0, 1 << 8);
    assert_int_equal(s.started, 1);
    assert_int_equal(s.err.grpc, GRPC_INTERNAL);
    assert_string_equal(s.err.msg, "exec \"x\": no such file");
    starter_ends(starting(&s), 0, 0);
    assert_non_null(strstr(s.err.msg, "wrote no process id"));
    starter_ends(starting(&s), 1, 0); /* what would be init */
    assert_non_null(strstr(s.err.msg, "wrote no process id"));
    next_turn();
    assert_int_equal(s.exited, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(it_ends_later, setup, teardown),
        cmocka_unit_test_setup_teardown(it_ends_before_its_starter, setup, teardown),
        cmocka_unit_test_setup_teardown(two_at_once, setup, teardown),
        cmocka_unit_test_setup_teardown(nobody_starts, setup, teardown),
        cmocka_unit_test_setup_teardown(the_start_fails, setup, teardown),
    };
    loop = loop_new();
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    loop_free(loop);
    return failed;
}
