/* cricket-enter and its side in the daemon, with a container made by hand: namespaces and a cgroup of its own. */
#include "loop/enter.c"

#include "core/host.h"

#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/wait.h>
#include <cmocka.h>

static struct loop *loop;
static struct timer limit;
static struct host host;
static char cgroup[256], binary[256];
static bool cgroup_is_v2;
static pid_t init_pid;
static int init_fd;

/* what has been heard */
static int starts, exits, status, pty = -1;
static struct err failure;

static void too_long(void *data)
{
    (void)data;
    fail_msg("nothing happened for 20 s");
}

/* The end of a cricket-enter is heard by nobody: it is looked for. */
static void tick(void *data)
{
    (void)data;
    loop_stop(loop);
}

static void wait_until(bool (*is_so)(void))
{
    struct timer look = {0};

    timer_start(&limit, loop, 20, too_long, NULL);
    while (!is_so()) {
        timer_start(&look, loop, 0.005, tick, NULL);
        loop_run(loop);
    }
    timer_stop(&look);
    timer_stop(&limit);
}

static void on_started(void *data, int pid, int pidfd, int pty_fd, const struct err *err)
{
    (void)data;
    starts++;
    if (err) {
        failure = *err;
    } else {
        assert_true(pid > 1 && pidfd >= 0);
        assert_int_equal(exits, 0);
        pty = pty_fd;
    }
    loop_stop(loop);
}

static void on_exit_status(void *data, int s)
{
    (void)data;
    assert_int_equal(starts, 1);
    exits++;
    status = s;
    loop_stop(loop);
}

static const struct enter_events heard = {on_started, on_exit_status};

static bool has_started(void)
{
    return starts > 0;
}
static bool has_ended(void)
{
    return exits > 0;
}
static bool nothing_runs(void)
{
    return child_count() == 0;
}

/* ---- the container ---- */

static int run_init(void *arg)
{
    int *ready = arg;

    if (sethostname("inside", 6) < 0 || mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 ||
        mount("proc", "/proc", "proc", 0, NULL) < 0)
        _exit(1);
    (void)!write(ready[1], "", 1);
    for (;;)
        pause();
}

static void container_start(void)
{
    static char stack[65536] __attribute__((aligned(16)));
    int ready[2];
    char c;

    assert_int_equal(pipe2(ready, O_CLOEXEC), 0);
    init_pid = clone(run_init, stack + sizeof(stack),
                     CLONE_NEWNS | CLONE_NEWPID | CLONE_NEWUTS | CLONE_NEWIPC | CLONE_NEWNET | SIGCHLD, ready);
    assert_true(init_pid > 0);
    close(ready[1]);
    assert_int_equal(read(ready[0], &c, 1), 1);
    close(ready[0]);
    init_fd = (int)syscall(SYS_pidfd_open, init_pid, 0);
    assert_true(init_fd >= 0);
}

static void on_orphan(void *data, int pid, int s)
{
    (void)data;
    (void)s;
    if (pid == init_pid)
        init_pid = 0;
}

static bool init_is_gone(void)
{
    return init_pid == 0;
}

/* On the loop: the init of a PID namespace cannot go before all that lived in it are reaped. */
static void container_stop(void)
{
    kill(init_pid, SIGKILL);
    wait_until(init_is_gone);
}

/* ---- plans ---- */

struct want {
    const char *argv[4];
    const char *cwd, *cgroup;
    uint32_t flags, uid;
};

static size_t build_plan(const struct want *w, void *block, size_t cap)
{
    uint64_t all = host.oci.bounding_caps;
    struct exec_plan_head head = {
        .flags = w->flags, .uid = w->uid, .gid = w->uid, .umask = 027, .caps = {all, all, 0, all, 0}};
    const char *dir = w->cgroup ? w->cgroup : cgroup;
    struct exec_plan_builder b;

    exec_plan_begin(&b, block, cap, &head);
    exec_plan_put_string(&b, cgroup_is_v2 && !w->cgroup ? dir : "");
    if (!cgroup_is_v2 || w->cgroup)
        exec_plan_put_cgroup(&b, dir);
    exec_plan_put_string(&b, "");
    exec_plan_put_string(&b, w->cwd ? w->cwd : "/");
    exec_plan_put_env(&b, "PATH=/usr/sbin:/usr/bin:/sbin:/bin");
    for (size_t i = 0; w->argv[i]; i++)
        exec_plan_put_arg(&b, w->argv[i]);
    return exec_plan_finish(&b);
}

/* Starts it; its output goes to *ret_out. */
static struct enter *start(const struct want *w, struct enter_door *door, int timeout_ms, int *ret_out)
{
    static uint64_t block[1024];
    cleanup_close int null = open("/dev/null", O_RDWR | O_CLOEXEC);
    struct enter *e = NULL;
    struct err err = {0};
    int out[2];

    starts = exits = status = 0;
    failure = (struct err){0};
    pty = -1;
    assert_int_equal(pipe2(out, O_CLOEXEC), 0);
    struct enter_spec spec = {.plan = block,
                              .plan_len = build_plan(w, block, sizeof(block)),
                              .init_pidfd = init_fd,
                              .timeout_ms = timeout_ms,
                              .door = door};
    if (!(w->flags & EXEC_PLAN_TTY)) {
        spec.stdin_fd = null;
        spec.stdout_fd = out[1];
        spec.stderr_fd = null;
    }
    assert_int_equal(enter_start(loop, binary, &spec, &heard, NULL, &e, &err), 0);
    assert_int_equal(starts, 0);
    close(out[1]);
    if (ret_out)
        *ret_out = out[0];
    else
        close(out[0]);
    return e;
}

static void assert_output(int fd, const char *want)
{
    char text[512];
    size_t len = 0;
    ssize_t n;

    while ((n = read(fd, text + len, sizeof(text) - 1 - len)) > 0)
        len += (size_t)n;
    text[len] = '\0';
    close(fd);
    assert_string_equal(text, want);
}

static void assert_fails(const struct want *w, struct enter_door *door, const char *words)
{
    start(w, door, 0, NULL);
    wait_until(has_started);
    assert_non_null(strstr(failure.msg, words));
    wait_until(nothing_runs);
    assert_int_equal(exits, 0);
}

static const struct want sleeps = {.argv = {"sleep", "1000"}};

/* ---- tests ---- */

static void a_command(void **state)
{
    int out;

    (void)state;
    start(&(struct want){.argv = {"sh", "-c", "hostname; pwd; umask; id -u; exit 3"}, .cwd = "/usr", .uid = 7},
          NULL, 0, &out);
    wait_until(has_ended);
    assert_int_equal(failure.grpc, GRPC_OK);
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 3);
    assert_output(out, "inside\n/usr\n0027\n7\n");
    wait_until(nothing_runs);
}

static void it_is_in_the_cgroup_alone_of_ours(void **state)
{
    char want[512];
    int out;

    (void)state;
    start(&(struct want){.argv = {"sh", "-c",
                                  "grep -o cricket-enter-test-.* /proc/self/cgroup; ls /proc | grep -c "
                                  "'^[0-9]'; ls /proc/self/fd"}},
          NULL, 0, &out);
    wait_until(has_ended);
    /* init, the shell, ls and grep; the three streams and what ls opens */
    snprintf(want, sizeof(want), "%s\n4\n0\n1\n2\n3\n", strrchr(cgroup, '/') + 1);
    assert_output(out, want);
}

static void what_cannot_run(void **state)
{
    (void)state;
    assert_fails(&(struct want){.argv = {"no-such-program"}}, NULL, "no-such-program");
    assert_fails(&(struct want){.argv = {"/etc/passwd"}}, NULL, "Permission denied");
    assert_fails(&(struct want){.argv = {"/etc"}}, NULL, "/etc");
    assert_fails(&(struct want){.argv = {"true"}, .cwd = "/no/such"}, NULL, "chdir to /no/such: No such file");
    assert_fails(&(struct want){.argv = {"true"}, .cgroup = "/no/such"}, NULL, "cgroup");
}

static void a_kill_at_any_moment(void **state)
{
    (void)state;
    for (int i = 0; i < 100; i++) {
        struct enter *e = start(&sleeps, NULL, 0, NULL);
        struct timer wait = {0};
        if (i < 50) { /* later and later into its start */
            timer_start(&wait, loop, i * 0.0001, tick, NULL);
            loop_run(loop);
            timer_stop(&wait);
        } else {
            wait_until(has_started);
        }
        if (starts == 0 || failure.grpc == GRPC_OK)
            enter_kill(e);
        wait_until(has_started);
        if (failure.grpc == GRPC_OK) {
            wait_until(has_ended);
            assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
        } else {
            assert_int_equal(failure.grpc, GRPC_CANCELLED);
        }
        wait_until(nothing_runs);
    }
}

static void one_that_does_not_begin_in_time(void **state)
{
    char dir[] = "/tmp/cricket-enter-XXXXXX", fifo[64];

    (void)state;
    assert_non_null(mkdtemp(dir));
    snprintf(fifo, sizeof(fifo), "%s/cgroup.procs", dir);
    assert_int_equal(mkfifo(fifo, 0600), 0); /* nobody reads: opening it takes for ever */
    start(&(struct want){.argv = {"true"}, .cgroup = dir}, NULL, 50, NULL);
    wait_until(has_started);
    assert_int_equal(failure.grpc, GRPC_DEADLINE_EXCEEDED);
    wait_until(nothing_runs);
    unlink(fifo);
    rmdir(dir);
}

static void a_container_that_is_gone(void **state)
{
    (void)state;
    container_stop();
    assert_fails(&(struct want){.argv = {"true"}}, NULL, "No such process");
    close(init_fd);
    container_start();
}

static void a_terminal(void **state)
{
    const struct want w = {
        .argv = {"sh", "-c", "tty >/dev/null && read x </dev/tty && echo got $x && stat -c %u $(tty)"},
        .flags = EXEC_PLAN_TTY,
        .uid = 7};
    char text[256];
    size_t len = 0;
    ssize_t n;

    (void)state;
    start(&w, NULL, 0, NULL);
    wait_until(has_started);
    assert_int_equal(failure.grpc, GRPC_OK);
    assert_true(pty >= 0);
    assert_true(fcntl(pty, F_GETFL) & O_NONBLOCK);
    assert_int_equal(fcntl(pty, F_GETFD), FD_CLOEXEC);
    assert_int_equal(write(pty, "word\n", 5), 5);
    wait_until(has_ended);
    assert_int_equal(status, 0);
    while ((n = read(pty, text + len, sizeof(text) - 1 - len)) > 0)
        len += (size_t)n;
    text[len] = '\0';
    close(pty);
    assert_non_null(strstr(text, "got word\r\n7\r\n"));
}

static void a_door(void **state)
{
    struct enter_door *door = NULL;
    struct err err;
    int out;

    (void)state;
    assert_int_equal(enter_door_open(loop, binary, &door, &err), 0);
    for (int i = 0; i < 50; i++) {
        start(&(struct want){.argv = {"sh", "-c", "hostname; exit 5"}}, door, 0, &out);
        wait_until(has_ended);
        assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 5);
        assert_output(out, "inside\n");
    }
    start(&(struct want){.argv = {"no-such-program"}}, door, 0, NULL);
    wait_until(has_started);
    assert_non_null(strstr(failure.msg, "no-such-program"));
    struct enter *e = start(&sleeps, door, 0, NULL);
    enter_kill(e); /* before the door has seen it */
    wait_until(has_started);
    if (failure.grpc == GRPC_OK)
        wait_until(has_ended);
    assert_true(enter_door_works(door));
    assert_int_equal(child_count(), 1);
    enter_door_close(door);
    wait_until(nothing_runs);
}

static void a_door_that_dies(void **state)
{
    struct enter_door *door = NULL;
    struct err err;

    (void)state;
    assert_int_equal(enter_door_open(loop, binary, &door, &err), 0);
    child_signal(door->child, SIGSTOP);
    start(&sleeps, door, 0, NULL);
    child_signal(door->child, SIGKILL);
    wait_until(has_started);
    assert_int_equal(failure.grpc, GRPC_INTERNAL);
    wait_until(nothing_runs);
    assert_false(enter_door_works(door));
    enter_door_close(door);
}

static void a_door_that_hangs(void **state)
{
    struct enter_door *door = NULL;
    struct err err;

    (void)state;
    assert_int_equal(enter_door_open(loop, binary, &door, &err), 0);
    child_signal(door->child, SIGSTOP);
    start(&sleeps, door, 50, NULL);
    wait_until(has_started);
    assert_int_equal(failure.grpc, GRPC_DEADLINE_EXCEEDED);
    child_signal(door->child, SIGCONT); /* what it makes now is not let go */
    enter_door_close(door);
    wait_until(nothing_runs);
    assert_int_equal(exits, 0);
}

static void a_helper_that_is_missing(void **state)
{
    struct enter_door *door = NULL;
    struct err err;
    int sealed = program_fd;

    (void)state;
    program_fd = -1;
    assert_int_equal(enter_door_open(loop, "/no/such", &door, &err), -ENOENT);
    assert_non_null(strstr(err.msg, "/no/such"));
    program_fd = sealed;
}

static void the_program_cannot_be_written(void **state)
{
    char path[64];

    (void)state;
    snprintf(path, sizeof(path), "/proc/self/fd/%d", program_fd);
    cleanup_close int fd = open(path, O_RDWR);
    assert_true(fd < 0 || (pwrite(fd, "x", 1, 0) < 0 && errno == EPERM));
    assert_true(fd < 0 || ftruncate(fd, 0) < 0);
}

static void no_descriptor_stays(void **state)
{
    int before = dup(0), after;

    (void)state;
    close(before);
    for (int i = 0; i < 5; i++) {
        start(&(struct want){.argv = {"true"}}, NULL, 0, NULL);
        wait_until(has_ended);
        assert_fails(&(struct want){.argv = {"no-such-program"}}, NULL, "no-such-program");
    }
    wait_until(nothing_runs);
    after = dup(0);
    close(after);
    assert_int_equal(before, after);
}

static void find_binary(void)
{
    ssize_t n = readlink("/proc/self/exe", binary, sizeof(binary) - 32);

    assert_true(n > 0);
    binary[n] = '\0';
    for (int up = 0; up < 4; up++)
        *strrchr(binary, '/') = '\0'; /* BUILD/t/unit/loop/enter_test */
    strcat(binary, "/cricket-enter");
}

static void make_cgroup(void)
{
    const struct cgroup_mount *m = cgroup_controller(&host.cgroups, "pids");

    if (!m)
        m = cgroup_unified(&host.cgroups);
    assert_non_null(m);
    cgroup_is_v2 = m->v2;
    snprintf(cgroup, sizeof(cgroup), "%s/cricket-enter-test-%d", m->path, getpid());
    assert_int_equal(mkdir(cgroup, 0755), 0);
}

static int set_up(void **state)
{
    struct err err;

    (void)state;
    find_binary();
    assert_int_equal(host_probe("", &host, &err), 0);
    make_cgroup();
    container_start();
    return 0;
}

static bool the_cgroup_goes(void)
{
    return rmdir(cgroup) == 0 || errno != EBUSY;
}

static int clear(void **state)
{
    (void)state;
    container_stop();
    close(init_fd);
    wait_until(the_cgroup_goes);
    host_done(&host);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_command),
        cmocka_unit_test(it_is_in_the_cgroup_alone_of_ours),
        cmocka_unit_test(what_cannot_run),
        cmocka_unit_test(a_kill_at_any_moment),
        cmocka_unit_test(one_that_does_not_begin_in_time),
        cmocka_unit_test(a_container_that_is_gone),
        cmocka_unit_test(a_terminal),
        cmocka_unit_test(a_door),
        cmocka_unit_test(a_door_that_dies),
        cmocka_unit_test(a_door_that_hangs),
        cmocka_unit_test(a_helper_that_is_missing),
        cmocka_unit_test(the_program_cannot_be_written),
        cmocka_unit_test(no_descriptor_stays),
    };

    signal(SIGPIPE, SIG_IGN);
    loop = loop_new();
    child_set_orphan_hook(loop, on_orphan, NULL);
    int r = cmocka_run_group_tests(tests, set_up, clear);
    loop_free(loop);
    return r;
}
