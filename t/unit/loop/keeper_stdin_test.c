/* The containers' stdin: its end on request, across reconnects and the keeper's own death. */
#include "t/unit/loop/keeper_fixture.h"

static void run_with_stdin(const char *script)
{
    pod.exits = 0;
    create(&(struct ask){.id = "web", .script = script, .open_stdin = true});
    start("web");
}

static void say(const char *text)
{
    int fd = keeper_stdin(pod.k, "web");
    assert_true(fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text));
}

static void test_close_stdin(void **state)
{
    (void)state;
    run_with_stdin("cat; read x < $0.go");
    say("hello\n");
    close_stdin("web", 0);
    assert_int_equal(keeper_stdin(pod.k, "web"), -1);
    close_stdin("web", 0);
    go("web"); /* returns when cat has ended */
    until(heard_exit);
    assert_log(in_dir("web.log"), "stdout", "hello\n");
    keeper_forget(pod.k, "web");

    run("none", "read x < $0.go");
    assert_int_equal(keeper_stdin(pod.k, "none"), -1);
    assert_int_equal(keeper_stdin(pod.k, "nowhere"), -1);
    close_stdin("none", 0);
    close_stdin("nowhere", GRPC_NOT_FOUND);
    assert_string_equal(pod.done_err.msg, "container nowhere: the keeper has no such container");
    go("none");
    until(heard_exit);
    finish_keeper();
}

static void test_close_stdin_after_reconnect(void **state)
{
    (void)state;
    run_with_stdin("cat; read x < $0.go");
    say("one\n");
    keeper_disconnect(pod.k);
    connect_keeper();
    say("two\n");
    close_stdin("web", 0);
    keeper_disconnect(pod.k);
    connect_keeper();
    assert_int_equal(keeper_stdin(pod.k, "web"), -1);
    go("web");
    until(heard_exit);
    assert_log(in_dir("web.log"), "stdout", "one\ntwo\n");
    finish_keeper();
}

static void test_close_stdin_and_restart(void **state)
{
    (void)state;
    run_with_stdin("read x < $0.go; cat; exit 4");
    say("kept\n");
    kill(pod.process, SIGKILL);
    restart_keeper();
    say("too\n");
    close_stdin("web", 0);
    pod.is_lost = false;
    kill(pod.process, SIGKILL);
    restart_keeper();
    assert_int_equal(keeper_stdin(pod.k, "web"), -1);
    keeper_disconnect(pod.k); /* what the keeper itself has */
    connect_keeper();
    assert_int_equal(keeper_stdin(pod.k, "web"), -1);
    go("web");
    until(heard_exit);
    assert_int_equal(pod.last.code, 4);
    assert_log(in_dir("web.log"), "stdout", "kept\ntoo\n");
    finish_keeper();
}

/* The keeper dies before it has answered: its successor must not get a stdin that is to end. */
static void test_close_stdin_of_a_dying_keeper(void **state)
{
    struct err err = {0};
    (void)state;
    run_with_stdin("read x < $0.go; cat; exit 4");
    kill(pod.process, SIGSTOP);
    pod.is_done = false;
    assert_int_equal(keeper_close_stdin(pod.k, "web", on_done, NULL, &err), 0);
    kill(pod.process, SIGKILL);
    until(heard_done);
    assert_int_equal(pod.done_err.grpc, GRPC_UNAVAILABLE);
    restart_keeper();
    assert_int_equal(keeper_stdin(pod.k, "web"), -1);
    go("web");
    until(heard_exit);
    assert_int_equal(pod.last.code, 4);
    finish_keeper();
}

static int run_group(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_close_stdin, setup),
        cmocka_unit_test_setup(test_close_stdin_after_reconnect, setup),
        cmocka_unit_test_setup(test_close_stdin_and_restart, setup),
        cmocka_unit_test_setup(test_close_stdin_of_a_dying_keeper, setup),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

int main(int argc, char **argv)
{
    return fixture_main(argc, argv, run_group);
}
