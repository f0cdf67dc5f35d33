/* Attached clients that do not take what they get: who waits, for how long, and what is lost. */
#include "t/unit/loop/keeper_clients.h"

#include <sys/ioctl.h>

/* Clients that take nothing are dropped soon. */
static int setup_impatient(void **state)
{
    make_pod(state);
    pod.sink_limit_ms = 500;
    start_keeper();
    return 0;
}

/* ---- what a container is doing ---- */
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

/* ---- while the container runs ---- */
static void test_slow_client_slows_the_container(void **state)
{
    cleanup_free char *data = make_data(BIG);
    struct client *slow, *quick, *late;
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

    run("other", "echo not held up; exit 3"); /* in the same pod */
    until(heard_exit);
    assert_string_equal(pod.last_id, "other");
    keeper_forget(pod.k, "other");
    assert_true(is_blocked());
    assert_int_equal(written_by(blocked_pid), written);
    cleanup_buf struct buf log = log_text(in_dir("web.log"), "stdout");
    assert_true(log.len <= 2 * PIPE_SIZE && written <= 3 * PIPE_SIZE);
    assert_memory_equal(log.data, data, log.len);
    attach("web", &late, NULL); /* gets nothing of what the slow one has still to take */

    pod.exits = 0;
    slow->stuck = false;
    until(exit_and_all_ended);
    assert_int_equal(pod.last.code, 0);
    assert_same(&slow->got, data, BIG);
    assert_same(&quick->got, data, BIG);
    assert_same(&late->got, data + log.len, BIG - log.len);
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
    read_slowly_until = time_monotonic_us() + 3 * pod.sink_limit_ms * 1000LL;
    until(read_slowly);
    assert_true(slow->got.len < PIPE_BUF);
    until(exit_and_all_ended);
    assert_same(&slow->got, data, BIG);
    finish_keeper();
}

/* ---- after its end ---- */

/* More than the client's pipe takes, less than what the process can get rid of without a reader. */
enum { TAIL = 120000 };

static size_t logged;

static bool is_logged(void)
{
    cleanup_buf struct buf text = log_text_so_far(in_dir("web.log"), "stdout");

    return text.len == logged;
}

static void test_exit_is_told_in_time(void **state)
{
    enum { FIRST = PIPE_SIZE + 1000 };
    cleanup_free char *data = make_data(TAIL);
    cleanup_free char *script =
        mem_printf("read x < $0.go; head -c %d %s; read x < $0.again; exec tail -c +%d %s", FIRST,
                   in_dir("data"), FIRST + 1, in_dir("data"));
    struct client *stuck;
    (void)state;
    pod.auto_forget = true;
    run("web", script);
    attach("web", &stuck, NULL);
    stuck->stuck = true;
    go("web");
    logged =
        FIRST; /* which is more than the client's pipe takes: the rest is not read while the container runs */
    until(is_logged);
    go_again("web");
    until(heard_exit);
    /* not after the second that an open output is waited for: then the log would lack what the client holds up */
    logged = TAIL;
    assert_true(is_logged());
    assert_true(pod.last.known);
    assert_null(keeper_container(pod.k, 0));
    run("next", "exit 1"); /* by its answer the keeper has forgotten the first one */
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
    pod.auto_forget = true;
    want_fds = count_fds(pod.process);
    run_printer("web");
    attach("web", &stuck, NULL);
    stuck->stuck = true;
    go("web");
    until(heard_exit);
    until(fds_are_back); /* those of the container, and in the end the client's */
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

static int run_group(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_slow_client_slows_the_container, setup, no_clients),
        cmocka_unit_test_setup_teardown(test_stuck_client_is_dropped, setup_impatient, no_clients),
        cmocka_unit_test_setup_teardown(test_slow_is_not_stuck, setup_impatient, no_clients),
        cmocka_unit_test_setup_teardown(test_exit_is_told_in_time, setup, no_clients),
        cmocka_unit_test_setup_teardown(test_stuck_after_the_end_is_dropped, setup_impatient, no_clients),
        cmocka_unit_test_setup_teardown(test_large_pipe, setup, no_clients),
        cmocka_unit_test_setup_teardown(test_quit_with_a_stuck_client, setup, no_clients),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

int main(int argc, char **argv)
{
    return fixture_main(argc, argv, run_group);
}
