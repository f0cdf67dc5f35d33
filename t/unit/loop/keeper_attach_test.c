/* Attached clients that read what they get: which bytes, until when, and who may attach. */
#include "t/unit/loop/keeper_clients.h"

/* ---- output ---- */
static void test_streams_apart(void **state)
{
    struct client *out, *err, *only;
    (void)state;
    run("web", "read x < $0.go; echo one; echo two >&2; echo three; printf end");
    attach("web", &out, &err);
    attach("web", NULL, &only);
    go("web");
    until(exit_and_all_ended);
    assert_got(out, "one\nthree\nend");
    assert_got(err, "two\n");
    assert_got(only, "two\n");
    assert_log(in_dir("web.log"), "stdout", "one\nthree\nend");
    assert_log(in_dir("web.log"), "stderr", "two\n");
    finish_keeper();
}

static bool first_is_here(void)
{
    pump(&clients[0]);
    return clients[0].got.len >= strlen("first\n");
}

static void test_no_replay(void **state)
{
    struct client *early, *late;
    (void)state;
    pod.exits = 0;
    create(&(struct ask){.id = "web", .script = "echo first; read x < $0.go; echo second", .no_log = true});
    attach("web", &early, NULL);
    start("web");
    until(first_is_here);
    attach("web", &late, NULL);
    go("web");
    until(exit_and_all_ended);
    assert_got(early, "first\nsecond\n");
    assert_got(late, "second\n");
    assert_int_not_equal(access(in_dir("web.log"), F_OK), 0);
    finish_keeper();
}

static void test_terminal(void **state)
{
    struct client *out, *err;
    (void)state;
    pod.exits = 0;
    create(&(struct ask){.id = "web", .script = "stty -echo; read x; echo got $x", .tty = true});
    attach("web", &out, &err);
    start("web");
    close_stdin("web", GRPC_FAILED_PRECONDITION);
    int fd = keeper_stdin(pod.k, "web");
    assert_true(isatty(fd));
    assert_true(write(fd, "this\n", 5) == 5);
    until(exit_and_all_ended);
    assert_int_equal(err->got.len, 0);
    assert_non_null(strstr(out->got.data, "got this\r\n"));
    cleanup_buf struct buf log = log_text(in_dir("web.log"), "stdout");
    assert_same(&out->got, log.data, log.len);
    assert_int_equal(keeper_stdin(pod.k, "web"), -1);
    finish_keeper();
}

static void test_flood(void **state)
{
    enum { SIZE = 10 << 20 };
    cleanup_free char *data = make_data(SIZE), *script = NULL;
    struct client *out, *err, *second;
    (void)state;
    script = mem_printf("read x < $0.go; cat %s; cat %s >&2", in_dir("data"), in_dir("data"));
    run("web", script);
    attach("web", &out, &err);
    attach("web", &second, NULL);
    go("web");
    until(exit_and_all_ended);
    assert_same(&out->got, data, SIZE);
    assert_same(&err->got, data, SIZE);
    assert_same(&second->got, data, SIZE);
    static const char *const streams[] = {"stdout", "stderr"};
    for (size_t i = 0; i < countof(streams); i++) {
        cleanup_buf struct buf text = log_text(in_dir("web.log"), streams[i]);
        assert_same(&text, data, SIZE);
    }
    finish_keeper();
}

static void test_full_disk(void **state)
{
    struct client *out;
    (void)state;
    assert_int_equal(symlink("/dev/full", in_dir("web.log")), 0);
    run("web", "read x < $0.go; echo one; echo two");
    attach("web", &out, NULL);
    go("web");
    until(exit_and_all_ended);
    assert_got(out, "one\ntwo\n");
    finish_keeper();
}

/* ---- ends ---- */
static void test_reader_goes(void **state)
{
    struct client *out, *err, *stays;
    (void)state;
    run("web", "read x < $0.go; i=0; while [ $i -lt 3000 ]; do echo some line; i=$((i+1)); done; "
               "read x < $0.again; echo end");
    want_fds = settled_fds();
    attach("web", &out, &err);
    assert_int_equal(settled_fds(), want_fds + 2);
    close(steal_fd(&out->fd)); /* while the container is silent */
    close(steal_fd(&err->fd));
    until(fds_are_back);
    clients_n = 0;

    attach("web", &stays, NULL);
    want_fds++;
    attach("web", &out, NULL);
    go("web");
    close(steal_fd(&out->fd)); /* while it prints */
    out->ended = true;
    until(fds_are_back);
    go_again("web");
    until(exit_and_all_ended);
    assert_int_equal(stays->got.len, 3000 * strlen("some line\n") + strlen("end\n"));
    finish_keeper();
}

static void test_daemon_goes(void **state)
{
    struct client *out, *err;
    (void)state;
    run("web", "read x < $0.go; echo end");
    want_fds = settled_fds() - 1;
    attach("web", &out, &err);
    keeper_disconnect(pod.k); /* what the end of its process does: connection and readers are closed */
    no_clients(NULL);
    until(fds_are_back);
    connect_keeper();
    attach("web", &out, &err);
    go("web");
    until(exit_and_all_ended);
    assert_got(out, "end\n");
    finish_keeper();
}

/* A process that the container left behind has its output open still, when its record goes. */
static void test_forgotten_with_open_output(void **state)
{
    struct client *out;
    (void)state;
    want_fds = count_fds(pod.process);
    run("web", "read x < $0.go; echo last; (read x < $0.again) & exit 2");
    attach("web", &out, NULL);
    go("web");
    until(heard_exit);
    keeper_forget(pod.k, "web");
    until(all_ended);
    assert_got(out, "last\n");
    until(fds_are_back);
    go_again("web");
    finish_keeper();
}

static void test_keeper_killed(void **state)
{
    struct client *before, *after;
    (void)state;
    run("web", "read x < $0.go; echo end");
    attach("web", &before, NULL);
    kill(pod.process, SIGKILL);
    until(all_ended);
    restart_keeper();
    attach("web", &after, NULL);
    go("web");
    until(exit_and_all_ended);
    assert_got(before, "");
    assert_got(after, "end\n");
    finish_keeper();
}

static void test_terminal_after_restart(void **state)
{
    struct client *out;
    (void)state;
    pod.exits = 0;
    create(&(struct ask){.id = "web", .script = "stty -echo; read x; echo got $x", .tty = true});
    start("web");
    kill(pod.process, SIGKILL);
    restart_keeper();
    close_stdin("web", GRPC_FAILED_PRECONDITION);
    attach("web", &out, NULL);
    int fd = keeper_stdin(pod.k, "web");
    assert_true(write(fd, "this\n", 5) == 5);
    until(exit_and_all_ended);
    assert_non_null(strstr(out->got.data, "got this\r\n"));
    finish_keeper();
}

/* ---- refusals ---- */
static void send_attach(const char *id, uint32_t mask, const int *fds, size_t n)
{
    struct keeper_attach_msg m = {.head = {.type = KEEPER_ATTACH, .seq = keeper_next_seq(pod.k)}, .fds = mask};
    struct keeper_builder b;
    struct err err = {0};
    char buf[256];

    keeper_build(&b, buf, sizeof(buf), &m, sizeof(m));
    keeper_put_string(&b, id);
    assert_int_equal(keeper_send(pod.k, &b, fds, n, &err), 0);
    keeper_wait_for(pod.k, NULL)->on_done = on_done;
    pod.is_done = false;
    until(heard_done);
}

static void test_malformed(void **state)
{
    struct client *c;
    cleanup_close int file = open(binary, O_RDONLY | O_CLOEXEC);
    (void)state;
    run("web", "read x < $0.go; echo end");
    want_fds = settled_fds();
    cleanup_close int a = new_client(&c), b = new_client(&c);
    const struct {
        const char *id;
        uint32_t mask;
        int fds[3];
        size_t n;
        int grpc;
    } rows[] = {
        {"web", KEEPER_FD_STDOUT, {0}, 0, GRPC_INVALID_ARGUMENT},
        {"web", KEEPER_FD_STDOUT | KEEPER_FD_STDERR, {a}, 1, GRPC_INVALID_ARGUMENT},
        {"web", 0, {a}, 1, GRPC_INVALID_ARGUMENT},
        {"web", 0, {0}, 0, GRPC_INVALID_ARGUMENT},
        {"web", KEEPER_FD_STDIN | KEEPER_FD_STDOUT, {a, b}, 2, GRPC_INVALID_ARGUMENT},
        {"web", 1U << 31 | KEEPER_FD_STDOUT, {a, b}, 2, GRPC_INVALID_ARGUMENT},
        {"web", KEEPER_FD_STDOUT, {file}, 1, GRPC_INVALID_ARGUMENT},
        {"nowhere", KEEPER_FD_STDOUT, {a}, 1, GRPC_NOT_FOUND},
        {"", KEEPER_FD_STDOUT, {a}, 1, GRPC_NOT_FOUND},
    };
    for (size_t i = 0; i < countof(rows); i++) {
        send_attach(rows[i].id, rows[i].mask, rows[i].fds, rows[i].n);
        assert_int_equal(pod.done_err.grpc, rows[i].grpc);
        assert_int_equal(settled_fds(), want_fds);
    }
    send_attach("web", KEEPER_FD_STDERR, (int[]){a, b, file}, 3); /* more than announced: the rest is closed */
    assert_int_equal(pod.done_err.grpc, 0);
    assert_int_equal(settled_fds(), want_fds + 1);
    go("web");
    until(heard_exit);
    finish_keeper();
}

static void test_too_many(void **state)
{
    enum { MOST = 32 };
    struct client *c, *other;
    (void)state;
    run("web", "read x < $0.go; echo end");
    want_fds = settled_fds() + MOST;
    for (int i = 0; i < MOST; i++)
        attach("web", &c, NULL);
    ask_attach("web", &c, &other); /* neither of the two */
    assert_int_equal(pod.done_err.grpc, GRPC_RESOURCE_EXHAUSTED);
    assert_int_equal(settled_fds(), want_fds);
    pump(c);
    pump(other);
    assert_true(c->ended && other->ended);
    close(steal_fd(&clients[7].fd)); /* one goes, another may come */
    clients[7].ended = true;
    want_fds--;
    until(fds_are_back);
    attach("web", &c, NULL);
    go("web");
    until(exit_and_all_ended);
    assert_got(c, "end\n");
    assert_got(&clients[0], "end\n");
    finish_keeper();
}

static void test_states(void **state)
{
    struct client *out, *err;
    (void)state;
    ask_create(&(struct ask){.id = "slow", .script = "@sleep 60; exit 1"});
    ask_attach("slow", &out, &err);
    assert_int_equal(pod.done_err.grpc, GRPC_FAILED_PRECONDITION);
    until(all_ended);
    keeper_forget(pod.k, "slow");
    until(heard_created);
    run("web", "exit 0");
    until(heard_exit);
    size_t fds = settled_fds();
    attach("web", &out, &err); /* its streams have ended */
    until(all_ended);
    assert_int_equal(settled_fds(), fds);
    close_stdin("web", 0);
    finish_keeper();
}

static void test_limit_is_checked(void **state)
{
    struct keeper_spec spec = {.binary = binary, .dir = pod.dir, .sink_limit_ms = -1};
    struct err err = {0};
    (void)state;
    assert_int_equal(keeper_start(loop, &spec, &events, NULL, on_ready_event, NULL, &err), 0);
    until(heard_ready);
    assert_null(pod.k);
    assert_non_null(strstr(pod.ready_err.msg, "--sink-limit-ms wants a number of milliseconds above 0"));
    until(keeper_gone);
}

static int run_group(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_streams_apart, setup, no_clients),
        cmocka_unit_test_setup_teardown(test_no_replay, setup, no_clients),
        cmocka_unit_test_setup_teardown(test_terminal, setup, no_clients),
        cmocka_unit_test_setup_teardown(test_flood, setup, no_clients),
        cmocka_unit_test_setup_teardown(test_full_disk, setup, no_clients),
        cmocka_unit_test_setup_teardown(test_reader_goes, setup, no_clients),
        cmocka_unit_test_setup_teardown(test_daemon_goes, setup, no_clients),
        cmocka_unit_test_setup_teardown(test_forgotten_with_open_output, setup, no_clients),
        cmocka_unit_test_setup_teardown(test_keeper_killed, setup, no_clients),
        cmocka_unit_test_setup_teardown(test_terminal_after_restart, setup, no_clients),
        cmocka_unit_test_setup_teardown(test_malformed, setup, no_clients),
        cmocka_unit_test_setup_teardown(test_too_many, setup, no_clients),
        cmocka_unit_test_setup_teardown(test_states, setup, no_clients),
        cmocka_unit_test_setup(test_limit_is_checked, make_pod),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

int main(int argc, char **argv)
{
    return fixture_main(argc, argv, run_group);
}
