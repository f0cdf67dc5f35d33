/* What a connection does when the other side is not there, goes away, or speaks something else; that it works, t/90-bench.t shows. */
#include "bench/conn.c"

#include <setjmp.h>
#include <stdarg.h>
#include <sys/wait.h>
#include <cmocka.h>

static char path[64];

/* Accepts one connection, sends `words` once something has come, and closes. */
static pid_t serve(const char *words)
{
    struct sockaddr_un a = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    char part[256];

    snprintf(path, sizeof(path), "/tmp/cribench-test-%d", getpid());
    unlink(path);
    strcpy(a.sun_path, path);
    assert_int_equal(bind(fd, (struct sockaddr *)&a, sizeof(a)), 0);
    assert_int_equal(listen(fd, 1), 0);
    pid_t pid = fork();
    if (pid == 0) {
        int c = accept(fd, NULL, NULL);
        if (read(c, part, sizeof(part)) < 0 || write(c, words, strlen(words)) < 0)
            _exit(1);
        shutdown(c, SHUT_WR); /* a close with something unread would be a reset */
        while (read(c, part, sizeof(part)) > 0)
            ;
        _exit(0);
    }
    close(fd);
    return pid;
}

static void call_fails(struct conn *c, const char *want)
{
    struct call call = {.path = "/runtime.v1.RuntimeService/Version"};
    struct err err = {0};

    buf_add(&call.request, "\0\0\0\0\0", 5);
    assert_true(conn_call(c, &call, &err) < 0);
    assert_int_equal(err.grpc, GRPC_UNAVAILABLE);
    assert_non_null(strstr(err.msg, want));
    assert_true(call.ended_ns >= call.started_ns);
    call_done(&call);
}

static void against(const char *words, const char *want)
{
    pid_t pid = serve(words);
    struct conn *c;

    assert_int_equal(conn_open(path, &c, NULL), 0);
    call_fails(c, want);
    call_fails(c, want); /* once broken, it stays so and still answers */
    assert_null(conn_next(c, 0));
    conn_free(c);
    waitpid(pid, NULL, 0);
    unlink(path);
}

static void test_a_runtime_that_closes(void **state)
{
    (void)state;
    against("", "closed by the runtime");
}

static void test_what_is_no_http2(void **state)
{
    (void)state;
    against("HTTP/1.1 400 Bad Request\r\n\r\nThis is longer than the header of a frame.",
            "the connection broke");
}

static void test_nobody_listens(void **state)
{
    struct conn *c;
    struct err err;
    (void)state;

    assert_true(conn_open("/nonexistent/cribench.sock", &c, &err) < 0);
    assert_non_null(strstr(err.msg, "/nonexistent/cribench.sock"));
}

static void test_calls_under_way_all_end(void **state)
{
    pid_t pid = serve("");
    struct call calls[3] = {0};
    struct conn *c;
    unsigned n = 0;
    (void)state;

    assert_int_equal(conn_open(path, &c, NULL), 0);
    for (size_t i = 0; i < countof(calls); i++) {
        calls[i].path = "/x/y";
        buf_add(&calls[i].request, "\0\0\0\0\0", 5);
        conn_start(c, &calls[i]);
    }
    for (struct call *call; (call = conn_next(c, -1)); n++)
        assert_int_equal(call->status, GRPC_UNAVAILABLE);
    assert_int_equal(n, countof(calls));
    for (size_t i = 0; i < countof(calls); i++)
        call_done(&calls[i]);
    conn_free(c);
    waitpid(pid, NULL, 0);
    unlink(path);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_runtime_that_closes),
        cmocka_unit_test(test_what_is_no_http2),
        cmocka_unit_test(test_nobody_listens),
        cmocka_unit_test(test_calls_under_way_all_end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
