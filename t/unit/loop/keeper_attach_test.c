/* Attached clients: copies of the containers' output through pipes of ours, and the end of their stdin. */
#include "t/unit/loop/keeper_fixture.h"

#include <sys/ioctl.h>

enum { PIPE_SIZE = 65536, CLIENTS_MAX = 80 };

/* The reading end of one stream of an attached client. */
struct client {
    int fd; /* -1: not attached, or closed */
    bool ended, stuck;
    struct buf got;
};
static struct client clients[CLIENTS_MAX];
static size_t clients_n;

/* ---- clients ---- */
static void pump(struct client *c)
{
    char chunk[PIPE_SIZE];
    ssize_t n = 1;

    while (c->fd >= 0 && !c->ended && (n = read(c->fd, chunk, sizeof(chunk))) > 0)
        buf_add(&c->got, chunk, (size_t)n);
    c->ended = c->ended || n == 0;
}

static bool all_ended(void)
{
    bool all = true;

    for (size_t i = 0; i < clients_n; i++) {
        if (clients[i].stuck)
            continue;
        pump(&clients[i]);
        all = all && clients[i].ended;
    }
    return all;
}

static bool exit_and_all_ended(void)
{
    return all_ended() && heard_exit();
}

static void assert_got(struct client *c, const char *want)
{
    buf_add(&c->got, "", 0);
    assert_string_equal(c->got.len ? c->got.data : "", want);
}

/* Makes a pipe and returns its write end; the other one is a new client's. */
static int new_client(struct client **ret_client)
{
    struct client *c = &clients[clients_n++];
    int fds[2];

    assert_true(clients_n <= CLIENTS_MAX);
    assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
    fcntl(fds[0], F_SETFL, O_NONBLOCK);
    *c = (struct client){.fd = fds[0]};
    *ret_client = c;
    return fds[1];
}

/* NULL: that stream is not wanted. */
static void ask_attach(const char *id, struct client **out, struct client **error)
{
    cleanup_close int out_fd = out ? new_client(out) : -1, err_fd = error ? new_client(error) : -1;
    struct err err = {0};

    pod.is_done = false;
    assert_int_equal(keeper_attach(pod.k, id, out_fd, err_fd, on_done, NULL, &err), 0);
    assert_false(pod.is_done);
    until(heard_done);
}

static void attach(const char *id, struct client **out, struct client **error)
{
    ask_attach(id, out, error);
    assert_string_equal(pod.done_err.msg, "");
}

static void close_stdin(const char *id, int want_grpc)
{
    struct err err = {0};

    pod.is_done = false;
    assert_int_equal(keeper_close_stdin(pod.k, id, on_done, NULL, &err), 0);
    assert_false(pod.is_done);
    until(heard_done);
    assert_int_equal(pod.done_err.grpc, want_grpc);
}

static int no_clients(void **state)
{
    (void)state;
    for (size_t i = 0; i < clients_n; i++) {
        if (clients[i].fd >= 0)
            close(clients[i].fd);
        buf_done(&clients[i].got);
    }
    clients_n = 0;
    return 0;
}

/* Clients that take nothing are dropped soon. */
static int setup_impatient(void **state)
{
    make_pod(state);
    pod.sink_limit_ms = 300;
    start_keeper();
    return 0;
}

/* ---- what the keeper and a container are doing ---- */
static size_t want_fds;

static bool fds_are_back(void)
{
    return count_fds(pod.process) == want_fds;
}

/* Bytes that it wrote so far, of its own and of those that it waited for. */
static long long written_by(int pid)
{
    char path[64];

    snprintf(path, sizeof(path), "/proc/%d/io", pid);
    cleanup_buf struct buf text = read_file(path);
    const char *p = text.data ? strstr(text.data, "wchar: ") : NULL;
    assert_non_null(p);
    return strtoll(p + 7, NULL, 10);
}

/* What the kernel says of it is "PID (NAME) STATE". */
static bool is_asleep(int pid)
{
    char path[64];

    snprintf(path, sizeof(path), "/proc/%d/stat", pid);
    cleanup_buf struct buf text = read_file(path);
    const char *p = text.data ? strrchr(text.data, ')') : NULL;
    return p && p[2] == 'S';
}

static int blocked_pid, blocked_client;

/* The client's pipe is full, and so is the container's, whose process has written more than one pipe takes and sleeps. */
static bool is_blocked(void)
{
    int unread = 0;

    return ioctl(clients[blocked_client].fd, FIONREAD, &unread) == 0 && unread > PIPE_SIZE - PIPE_BUF &&
           is_asleep(blocked_pid) && written_by(blocked_pid) >= 2 * PIPE_SIZE;
}

/* ---- data ---- */
enum { BIG = 4 << 20 };

/* Lines of all lengths, also beyond what one line of a log takes. */
static char *make_data(size_t n)
{
    char *data = mem_alloc(n);
    size_t line = 0;

    srandom(2);
    for (size_t i = 0; i < n; i++, line++) {
        data[i] = (char)random();
        if (data[i] == '\n' && line < 40000 && i > n / 2)
            data[i] = 'x';
        if (data[i] == '\n')
            line = 0;
    }
    write_file(in_dir("data"), data, n, 0600);
    return data;
}

static void assert_same(const struct buf *b, const char *data, size_t n)
{
    assert_int_equal(b->len, n);
    assert_memory_equal(b->data, data, n);
}

/* A container that prints the file when told to go, by a process that has the container's number. */
static void run_printer(const char *id)
{
    cleanup_free char *script = mem_printf("read x < $0.go; exec cat %s", in_dir("data"));

    run(id, script);
}

/* ---- tests: output ---- */
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

/* ---- tests: slow clients ---- */
static void test_slow_client_slows_the_container(void **state)
{
    cleanup_free char *data = make_data(BIG);
    struct client *slow, *quick;
    (void)state;
    run_printer("web");
    attach("web", &slow, NULL);
    attach("web", &quick, NULL);
    slow->stuck = true;
    go("web");
    blocked_pid = pod.created_pid;
    blocked_client = 0;
    until(is_blocked);
    long long written = written_by(blocked_pid);
    cleanup_buf struct buf log = log_text(in_dir("web.log"), "stdout");
    assert_true(log.len <= 2 * PIPE_SIZE && written <= 3 * PIPE_SIZE);
    assert_memory_equal(log.data, data, log.len);

    run("other", "echo not held up; exit 3"); /* in the same pod */
    until(heard_exit);
    assert_string_equal(pod.last_id, "other");
    keeper_forget(pod.k, "other");
    assert_true(is_blocked());
    assert_int_equal(written_by(blocked_pid), written);

    pod.exits = 0;
    slow->stuck = false;
    until(exit_and_all_ended);
    assert_int_equal(pod.last.code, 0);
    assert_same(&slow->got, data, BIG);
    assert_same(&quick->got, data, BIG);
    cleanup_buf struct buf whole = log_text(in_dir("web.log"), "stdout");
    assert_same(&whole, data, BIG);
    finish_keeper();
}

static void test_stuck_client_is_dropped(void **state)
{
    cleanup_free char *data = make_data(BIG);
    struct client *stuck, *quick;
    (void)state;
    run_printer("web");
    attach("web", &stuck, NULL);
    attach("web", &quick, NULL);
    stuck->stuck = true;
    int64_t begin = time_monotonic_us();
    go("web");
    until(exit_and_all_ended);
    assert_true(time_monotonic_us() - begin >= pod.sink_limit_ms * 1000LL);
    assert_int_equal(pod.last.code, 0);
    assert_same(&quick->got, data, BIG);
    stuck->stuck = false;
    until(all_ended);
    assert_true(stuck->got.len > 0 && stuck->got.len <= PIPE_SIZE);
    assert_memory_equal(stuck->got.data, data, stuck->got.len);
    finish_keeper();
}

static int64_t read_slowly_until;

/* Less than the page that would make room in the pipe. */
static bool read_slowly(void)
{
    char byte;

    if (read(clients[0].fd, &byte, 1) == 1)
        buf_add(&clients[0].got, &byte, 1);
    return time_monotonic_us() > read_slowly_until;
}

static void test_slow_is_not_stuck(void **state)
{
    cleanup_free char *data = make_data(BIG);
    struct client *slow;
    (void)state;
    run_printer("web");
    attach("web", &slow, NULL);
    go("web");
    read_slowly_until = time_monotonic_us() + 4 * pod.sink_limit_ms * 1000LL;
    until(read_slowly);
    assert_true(slow->got.len < PIPE_BUF);
    until(exit_and_all_ended);
    assert_same(&slow->got, data, BIG);
    finish_keeper();
}

/* ---- tests: ends ---- */

/* More than the client's pipe takes, less than what the process can get rid of without a reader. */
enum { TAIL = 120000 };

static void test_exit_is_told_in_time(void **state)
{
    cleanup_free char *data = make_data(TAIL);
    struct client *stuck;
    (void)state;
    pod.auto_forget = true;
    run_printer("web");
    attach("web", &stuck, NULL);
    stuck->stuck = true;
    go("web");
    until(heard_exit);
    /* not after the second that an open output is waited for: then the log would lack what the client holds up */
    cleanup_buf struct buf text = log_text(in_dir("web.log"), "stdout");
    assert_same(&text, data, TAIL);
    assert_true(pod.last.known);
    assert_null(keeper_container(pod.k, 0));
    run("web2", "exit 1"); /* a message later the first one is forgotten */
    pod.exits = 0;
    until(heard_exit);
    stuck->stuck = false;
    until(all_ended);
    assert_same(&stuck->got, data, TAIL);
    finish_keeper();
}

static void test_stuck_after_the_end_is_dropped(void **state)
{
    cleanup_free char *data = make_data(TAIL);
    struct client *stuck;
    (void)state;
    run_printer("web");
    want_fds =
        count_fds(pod.process) - 4; /* without pipes, log and the group's file or pidfd, if there is one */
    attach("web", &stuck, NULL);
    stuck->stuck = true;
    go("web");
    until(heard_exit);
    size_t held = count_fds(pod.process);
    want_fds = held - 1;
    until(fds_are_back);
    stuck->stuck = false;
    until(all_ended);
    assert_true(stuck->got.len <= PIPE_SIZE);
    assert_memory_equal(stuck->got.data, data, stuck->got.len);
    finish_keeper();
}

/* A container may make its pipe larger than what is held for a client: its log is whole, the client's copy is not. */
static void test_large_pipe(void **state)
{
    enum { SIZE = 600000 };
    cleanup_free char *data = make_data(SIZE);
    cleanup_free char *script = mem_printf("read x < $0.go; perl -e 'fcntl(STDOUT, 1031, 1 << 20) or die $!'; "
                                           "exec cat %s",
                                           in_dir("data"));
    struct client *stuck;
    (void)state;
    run("web", script);
    attach("web", &stuck, NULL);
    stuck->stuck = true;
    go("web");
    until(heard_exit);
    assert_int_equal(pod.last.code, 0);
    cleanup_buf struct buf text = log_text(in_dir("web.log"), "stdout");
    assert_same(&text, data, SIZE);
    stuck->stuck = false;
    until(all_ended);
    assert_true(stuck->got.len > 0 && stuck->got.len < SIZE);
    assert_memory_equal(stuck->got.data, data, stuck->got.len);
    finish_keeper();
}

static void test_quit_with_a_stuck_client(void **state)
{
    cleanup_free char *data = make_data(TAIL);
    struct client *stuck;
    (void)state;
    run_printer("web");
    attach("web", &stuck, NULL);
    stuck->stuck = true;
    go("web");
    until(heard_exit);
    keeper_forget(pod.k, "web");
    finish_keeper();
    stuck->stuck = false;
    until(all_ended);
    assert_memory_equal(stuck->got.data, data, stuck->got.len);
}

static void test_reader_goes(void **state)
{
    struct client *out, *err, *stays;
    (void)state;
    run("web", "read x < $0.go; i=0; while [ $i -lt 3000 ]; do echo some line; i=$((i+1)); done; "
               "read x < $0.go; echo end");
    want_fds = count_fds(pod.process);
    attach("web", &out, &err);
    assert_int_equal(count_fds(pod.process), want_fds + 2);
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
    go("web");
    until(exit_and_all_ended);
    assert_int_equal(stays->got.len, 3000 * strlen("some line\n") + strlen("end\n"));
    finish_keeper();
}

static void test_daemon_goes(void **state)
{
    struct client *out, *err;
    (void)state;
    run("web", "read x < $0.go; echo end");
    want_fds = count_fds(pod.process) - 1;
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

/* ---- tests: refusals ---- */
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
    want_fds = count_fds(pod.process);
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
        assert_int_equal(count_fds(pod.process), want_fds);
    }
    send_attach("web", KEEPER_FD_STDERR, (int[]){a, b, file}, 3); /* more than announced: the rest is closed */
    assert_int_equal(pod.done_err.grpc, 0);
    assert_int_equal(count_fds(pod.process), want_fds + 1);
    close_stdin("nowhere", GRPC_NOT_FOUND);
    assert_string_equal(pod.done_err.msg, "container nowhere: the keeper has no such container");
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
    want_fds = count_fds(pod.process) + MOST;
    for (int i = 0; i < MOST; i++)
        attach("web", &c, NULL);
    ask_attach("web", &c, &other); /* neither of the two */
    assert_int_equal(pod.done_err.grpc, GRPC_RESOURCE_EXHAUSTED);
    assert_int_equal(count_fds(pod.process), want_fds);
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
    size_t fds = count_fds(pod.process);
    attach("web", &out, &err); /* its streams have ended */
    until(all_ended);
    assert_int_equal(count_fds(pod.process), fds);
    close_stdin("web", 0);
    finish_keeper();
}

/* ---- tests: stdin ---- */
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
    say("this\n");
    until(exit_and_all_ended);
    assert_non_null(strstr(out->got.data, "got this\r\n"));
    finish_keeper();
}

static int run_group(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_streams_apart, setup, no_clients),
        cmocka_unit_test_setup_teardown(test_no_replay, setup, no_clients),
        cmocka_unit_test_setup_teardown(test_terminal, setup, no_clients),
        cmocka_unit_test_setup_teardown(test_flood, setup, no_clients),
        cmocka_unit_test_setup_teardown(test_full_disk, setup, no_clients),
        cmocka_unit_test_setup_teardown(test_slow_client_slows_the_container, setup, no_clients),
        cmocka_unit_test_setup_teardown(test_stuck_client_is_dropped, setup_impatient, no_clients),
        cmocka_unit_test_setup_teardown(test_slow_is_not_stuck, setup_impatient, no_clients),
        cmocka_unit_test_setup_teardown(test_exit_is_told_in_time, setup, no_clients),
        cmocka_unit_test_setup_teardown(test_stuck_after_the_end_is_dropped, setup_impatient, no_clients),
        cmocka_unit_test_setup_teardown(test_large_pipe, setup, no_clients),
        cmocka_unit_test_setup_teardown(test_quit_with_a_stuck_client, setup, no_clients),
        cmocka_unit_test_setup_teardown(test_reader_goes, setup, no_clients),
        cmocka_unit_test_setup_teardown(test_daemon_goes, setup, no_clients),
        cmocka_unit_test_setup_teardown(test_keeper_killed, setup, no_clients),
        cmocka_unit_test_setup_teardown(test_malformed, setup, no_clients),
        cmocka_unit_test_setup_teardown(test_too_many, setup, no_clients),
        cmocka_unit_test_setup_teardown(test_states, setup, no_clients),
        cmocka_unit_test_setup_teardown(test_close_stdin, setup, no_clients),
        cmocka_unit_test_setup_teardown(test_close_stdin_after_reconnect, setup, no_clients),
        cmocka_unit_test_setup_teardown(test_close_stdin_and_restart, setup, no_clients),
        cmocka_unit_test_setup_teardown(test_close_stdin_of_a_dying_keeper, setup, no_clients),
        cmocka_unit_test_setup_teardown(test_terminal_after_restart, setup, no_clients),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

int main(int argc, char **argv)
{
    return fixture_main(argc, argv, run_group);
}
