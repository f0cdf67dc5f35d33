/* Children: how they end, what is captured, what they may and may not hold. */
#include "loop/child.c"

#include <dirent.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <cmocka.h>

static struct loop *loop;
static struct child_result got; /* buffers are stolen */
static int done;
static struct timer limit;

static void on_done(void *data, struct child_result *r)
{
    (void)data;
    buf_done(&got.out);
    buf_done(&got.err);
    got = *r;
    r->out = r->err = (struct buf){0};
    done++;
    loop_stop(loop);
}

static void too_long(void *data)
{
    (void)data;
    fail_msg("the child is not done after 20 s");
}

static struct child *start(const struct child_spec *spec)
{
    struct child *c = NULL;
    struct err err = {0};

    done = 0;
    assert_int_equal(child_start(loop, spec, on_done, NULL, &c, &err), 0);
    assert_int_equal(done, 0);
    return c;
}

static void wait_for_it(void)
{
    timer_start(&limit, loop, 20, too_long, NULL);
    while (!done)
        loop_run(loop);
    timer_stop(&limit);
    assert_int_equal(done, 1);
}

static struct child_spec shell(const char *script)
{
    static const char *argv[4] = {"sh", "-c", NULL, NULL};

    argv[2] = script;
    return (struct child_spec){.argv = argv};
}

static void sh(const char *script)
{
    struct child_spec s = shell(script);

    start(&s);
    wait_for_it();
}

static int descriptors(void)
{
    DIR *d = opendir("/proc/self/fd");
    int n = 0;

    while (readdir(d))
        n++;
    closedir(d);
    return n;
}

static void exit_status_and_output(void **state)
{
    struct err err;

    (void)state;
    sh("echo out; echo first >&2; echo last >&2; exit 3");
    assert_int_equal(WEXITSTATUS(got.status), 3);
    assert_string_equal(got.out.data, "out\n");
    assert_string_equal(got.err.data, "first\nlast\n");
    assert_true(child_check(&got, "thing", &err) < 0);
    assert_int_equal(err.grpc, GRPC_INTERNAL);
    assert_string_equal(err.msg, "thing: exit status 3: last");
    sh("exit 0");
    assert_int_equal(child_check(&got, "thing", &err), 0);
    assert_null(got.out.data);
    sh("kill -TERM $$");
    assert_true(child_check(&got, "thing", &err) < 0);
    assert_non_null(strstr(err.msg, "killed by signal 15"));
}

static void what_cannot_be_started(void **state)
{
    const char *argv[] = {"/nonexistent/program", NULL};
    struct child_spec s = {.argv = argv, .input = "x", .input_len = 1};
    struct err err = {0};
    int before = descriptors();

    (void)state;
    done = 0;
    assert_true(child_start(loop, &s, on_done, NULL, NULL, &err) < 0);
    assert_int_equal(err.grpc, GRPC_NOT_FOUND);
    assert_non_null(strstr(err.msg, "/nonexistent/program"));
    assert_int_equal(descriptors(), before);
    assert_int_equal(child_count(), 0);
    assert_int_equal(done, 0);
}

static void capture_limits(void **state)
{
    struct child_spec s = shell("head -c 300000 /dev/zero; head -c 200000 /dev/zero >&2");

    (void)state;
    s.out_max = 1000;
    s.err_max = 10;
    start(&s);
    wait_for_it();
    assert_int_equal(got.status, 0); /* the rest was read: it did not hang or get SIGPIPE */
    assert_int_equal(got.out.len, 1000);
    assert_int_equal(got.err.len, 10);
    assert_true(got.out.truncated && got.err.truncated);
}

static void input(void **state)
{
    size_t n = 3 << 20; /* more than a pipe takes */
    char *text = memset(mem_alloc(n), 'x', n);
    struct child_spec s = shell("wc -c");

    (void)state;
    s.input = text;
    s.input_len = n;
    start(&s);
    free(text); /* it was copied */
    wait_for_it();
    assert_int_equal(atoi(got.out.data), n);

    s = shell("exec true"); /* reads nothing of it */
    text = mem_alloc(n);
    s.input = text;
    s.input_len = n;
    start(&s);
    free(text);
    wait_for_it();
    assert_int_equal(got.status, 0);
    s = shell("cat; echo end"); /* no input is the end of file */
    start(&s);
    wait_for_it();
    assert_string_equal(got.out.data, "end\n");
}

static void time_out(void **state)
{
    struct child_spec s = shell("echo begun; exec sleep 1000");
    struct err err;

    (void)state;
    s.timeout_ms = 50;
    start(&s);
    wait_for_it();
    assert_true(got.timed_out);
    assert_true(WIFSIGNALED(got.status));
    assert_true(child_check(&got, "it", &err) < 0);
    assert_int_equal(err.grpc, GRPC_DEADLINE_EXCEEDED);
}

/* The script's own child would keep running, and hold the pipe, if only the shell were killed. */
static void cancel_kills_the_group(void **state)
{
    struct child_spec s = shell("sleep 1000; true");
    struct err err;

    (void)state;
    s.new_session = true;
    s.drain_ms = 15000;
    int64_t begun = time_monotonic_us();
    child_cancel(start(&s));
    wait_for_it();
    assert_true(got.cancelled);
    assert_true(time_monotonic_us() - begun < 10 * 1000000);
    assert_true(child_check(&got, "it", &err) < 0);
    assert_int_equal(err.grpc, GRPC_CANCELLED);
}

static int sleep_long(void *arg, int out_fd)
{
    (void)arg;
    (void)out_fd;
    return pause(); /* for ever */
}

/* At once: the fork has perhaps not run at all, and has no session of its own. */
static void cancel_a_young_fork(void **state)
{
    struct child_spec s = {.name = "sleeper", .run = sleep_long, .new_session = true};

    (void)state;
    for (int i = 0; i < 20; i++) {
        child_cancel(start(&s));
        wait_for_it();
        assert_int_equal(WTERMSIG(got.status), SIGKILL);
    }
}

static int orphans, orphan_pid;

static void on_orphan(void *data, int pid, int status)
{
    assert_ptr_equal(data, &orphans);
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 7);
    orphan_pid = pid;
    orphans++;
    loop_stop(loop);
}

static void a_grandchild_holds_the_pipe(void **state)
{
    struct child_spec s = shell("exec 3<&0; (read x <&3; exit 7) & echo $!");
    int hold[2];

    (void)state;
    child_set_orphan_hook(loop, on_orphan, &orphans);
    assert_int_equal(pipe2(hold, O_CLOEXEC), 0);
    s.stdin_fd = hold[0];
    s.drain_ms = 50;
    orphans = 0;
    start(&s);
    wait_for_it();
    assert_int_equal(got.status, 0);
    int pid = atoi(got.out.data);
    assert_true(pid > 1);
    assert_int_equal(kill(pid, 0), 0); /* it lives, and was not waited for */
    close(hold[1]);
    close(hold[0]);
    timer_start(&limit, loop, 20, too_long, NULL);
    while (!orphans)
        loop_run(loop);
    timer_stop(&limit);
    assert_int_equal(orphan_pid, pid);
    child_set_orphan_hook(loop, NULL, NULL);
}

/* "DESCRIPTORS PARENT-DEATH-SIGNAL": which it has, but for the one that reads the directory. */
static int look(void *arg, int out_fd)
{
    DIR *d = opendir("/proc/self/fd");
    struct dirent *e;
    int sig = 0;

    while ((e = readdir(d)))
        if (e->d_name[0] != '.' && atoi(e->d_name) != dirfd(d))
            dprintf(out_fd, "%s,", e->d_name);
    prctl(PR_GET_PDEATHSIG, &sig);
    dprintf(out_fd, " %d", sig);
    printf("stray"); /* unflushed: _exit() */
    dprintf(1, "stray output");
    return *(int *)arg;
}

static void a_function(void **state)
{
    int code = 5;
    struct child_spec s = {.name = "look", .run = look, .arg = &code};
    int extra = open("/dev/null", O_RDONLY); /* not even close-on-exec */

    (void)state;
    start(&s);
    code = 6; /* the fork has its own */
    wait_for_it();
    close(extra);
    assert_int_equal(WEXITSTATUS(got.status), 5);
    assert_string_equal(got.out.data, "0,1,2,3, 9");
    assert_string_equal(got.err.data, "stray output");
}

static void given_descriptors(void **state)
{
    struct child_spec s = shell("cat; echo err >&2");
    int in[2], out[2];
    char text[32] = "";

    (void)state;
    assert_int_equal(pipe2(in, O_CLOEXEC), 0);
    assert_int_equal(pipe2(out, O_CLOEXEC), 0);
    assert_int_equal(write(in[1], "hello", 5), 5);
    close(in[1]);
    s.stdin_fd = in[0];
    s.stdout_fd = out[1];
    s.stderr_fd = out[1];
    start(&s);
    wait_for_it();
    close(in[0]);
    close(out[1]);
    assert_int_equal(read(out[0], text, sizeof(text) - 1), 9);
    assert_string_equal(text, "helloerr\n");
    close(out[0]);
    assert_null(got.out.data);
}

static void many_at_once(void **state)
{
    int before = descriptors();

    (void)state;
    for (int round = 0; round < 3; round++) {
        struct child_spec s = shell("echo x; echo y >&2");
        for (int i = 0; i < 20; i++)
            start(&s); /* sets done to 0, too: none has ended */
        assert_int_equal(child_count(), 20);
        timer_start(&limit, loop, 20, too_long, NULL);
        while (done < 20)
            loop_run(loop);
        timer_stop(&limit);
    }
    assert_int_equal(child_count(), 0);
    assert_int_equal(descriptors(), before);
}

/* Sooner or later a loop has the address of one that is gone: it hears of its children all the same. */
static void one_loop_after_another(void **state)
{
    (void)state;
    for (int i = 0; i < 20; i++) {
        loop_free(loop);
        loop = loop_new();
        sh("exit 0");
        assert_int_equal(got.status, 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(exit_status_and_output),
        cmocka_unit_test(what_cannot_be_started),
        cmocka_unit_test(capture_limits),
        cmocka_unit_test(input),
        cmocka_unit_test(time_out),
        cmocka_unit_test(cancel_kills_the_group),
        cmocka_unit_test(cancel_a_young_fork),
        cmocka_unit_test(a_grandchild_holds_the_pipe),
        cmocka_unit_test(a_function),
        cmocka_unit_test(given_descriptors),
        cmocka_unit_test(many_at_once),
        cmocka_unit_test(one_loop_after_another),
    };

    signal(SIGPIPE, SIG_IGN);
    loop = loop_new();
    int r = cmocka_run_group_tests(tests, NULL, NULL);
    buf_done(&got.out);
    buf_done(&got.err);
    loop_free(loop);
    return r;
}
