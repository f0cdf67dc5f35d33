/*
 * Drives the real cricket-keeper with a runtime made here: a shell script that obeys --pid-file, and this program itself where
 * a terminal is wanted. Its container waits at a fifo until the test starts it, as one made by `crun create` does.
 */
#include "loop/keeper.c"
#include "core/cgroup.h"

#include <dirent.h>
#include <jansson.h>
#include <limits.h>
#include <pty.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <cmocka.h>

enum { LIMIT_MS = 20000 };

static char top[64], binary[PATH_MAX + 32], self[PATH_MAX];
static struct loop *loop;

/* One pod and what was heard of it. */
static struct pod {
    char dir[PATH_MAX];
    struct keeper *k;
    struct err ready_err, created_err, done_err;
    bool is_ready, is_created, is_done, is_lost, auto_forget;
    int created_pid, exits;
    struct keeper_exit last;
    char last_id[65];
    pid_t process;
} pod;

/* ---- waiting for a condition ---- */
static bool (*condition)(void);
static struct timer tick;
static int64_t give_up_us;

static void on_tick(void *data)
{
    (void)data;
    if (condition() || time_monotonic_us() > give_up_us)
        loop_stop(loop);
    else
        timer_start(&tick, loop, 0.002, on_tick, NULL);
}

static void until(bool (*fn)(void))
{
    condition = fn;
    give_up_us = time_monotonic_us() + LIMIT_MS * 1000LL;
    timer_start(&tick, loop, 0.0005, on_tick, NULL);
    loop_run(loop);
    assert_true(fn());
}

static bool heard_ready(void)
{
    return pod.is_ready;
}
static bool heard_created(void)
{
    return pod.is_created;
}
static bool heard_done(void)
{
    return pod.is_done;
}
static bool heard_lost(void)
{
    return pod.is_lost;
}
static bool heard_exit(void)
{
    return pod.exits > 0;
}

/* ---- callbacks ---- */
static void on_exit_event(void *data, const struct keeper_exit *x)
{
    (void)data;
    pod.exits++;
    pod.last = *x;
    snprintf(pod.last_id, sizeof(pod.last_id), "%s", x->container_id);
    if (pod.auto_forget)
        keeper_forget(pod.k, x->container_id);
}

static void on_lost(void *data)
{
    (void)data;
    pod.is_lost = true;
}

static void on_ready_event(void *data, struct keeper *k, const struct err *err)
{
    (void)data;
    pod.is_ready = true;
    if (k)
        pod.k = k;
    pod.ready_err = err ? *err : (struct err){0};
}

static void on_created(void *data, int pid, const struct err *err)
{
    (void)data;
    pod.is_created = true;
    pod.created_pid = pid;
    pod.created_err = err ? *err : (struct err){0};
}

static void on_done(void *data, const struct err *err)
{
    (void)data;
    pod.is_done = true;
    pod.done_err = err ? *err : (struct err){0};
}

static const struct keeper_events events = {.on_exit = on_exit_event, .on_lost = on_lost};

/* ---- files ---- */
static const char *in_dir(const char *name)
{
    static char paths[8][PATH_MAX + 80];
    static unsigned next;
    char *p = paths[next++ % 8];
    snprintf(p, sizeof(paths[0]), "%s/%s", pod.dir, name);
    return p;
}

static struct buf read_file(const char *path)
{
    struct buf b = {0};
    char chunk[65536];
    cleanup_close int fd = open(path, O_RDONLY | O_CLOEXEC);
    for (ssize_t n; fd >= 0 && (n = read(fd, chunk, sizeof(chunk))) > 0;)
        buf_add(&b, chunk, (size_t)n);
    return b;
}

static void write_file(const char *path, const void *data, size_t n, mode_t mode)
{
    cleanup_close int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, mode);
    assert_true(fd >= 0 && write(fd, data, n) == (ssize_t)n);
}

/* The container's bytes of one stream, out of a CRI log; every line is checked. */
static struct buf log_text(const char *path, const char *stream)
{
    cleanup_buf struct buf log = read_file(path);
    struct buf text = {0};

    buf_add(&text, "", 0);
    for (char *p = log.data, *nl; p && p < log.data + log.len; p = nl + 1) {
        nl = memchr(p, '\n', (size_t)(log.data + log.len - p));
        assert_non_null(nl);
        assert_true(nl - p >= 40 && nl - p <= 40 + 16384);
        assert_true(p[10] == 'T' && p[29] == 'Z' && (p[38] == 'F' || p[38] == 'P'));
        if (strncmp(p + 31, stream, 6) == 0)
            buf_add(&text, p + 40, (size_t)(nl - p - 40) + (p[38] == 'F'));
    }
    return text;
}

static void assert_log(const char *path, const char *stream, const char *want)
{
    cleanup_buf struct buf text = log_text(path, stream);
    assert_string_equal(text.data ? text.data : "", want);
}

static size_t count_fds(int pid)
{
    char path[64];
    size_t n = 0;
    snprintf(path, sizeof(path), "/proc/%d/fd", pid);
    DIR *d = opendir(path);
    assert_non_null(d);
    while (readdir(d))
        n++;
    closedir(d);
    return n;
}

/* ---- steps ---- */
static void start_keeper_in(const char *cgroup)
{
    struct err err = {0};
    struct keeper_spec spec = {.binary = binary, .dir = pod.dir, .pod_id = "pod", .cgroup = cgroup};
    pod.is_ready = false;
    assert_int_equal(keeper_start(loop, &spec, &events, NULL, on_ready_event, NULL, &err), 0);
    assert_false(pod.is_ready);
    until(heard_ready);
    assert_string_equal(pod.ready_err.msg, "");
    pod.process = keeper_pid(pod.k);
}

static void start_keeper(void)
{
    start_keeper_in(NULL);
}

static void connect_keeper(void)
{
    struct err err = {0};
    pod.is_ready = false;
    assert_int_equal(keeper_connect(loop, pod.dir, &events, NULL, on_ready_event, NULL, &err), 0);
    until(heard_ready);
}

struct ask {
    const char *id, *script;
    bool tty, open_stdin, no_log;
    int timeout_ms;
    const char *runtime;
};

static void ask_create(const struct ask *a)
{
    struct err err = {0};
    cleanup_free char *pid_file = mem_printf("%s/%s.pid", pod.dir, a->id);
    cleanup_free char *console = mem_printf("%s/%s.tty", pod.dir, a->id);
    cleanup_free char *log = mem_printf("%s/%s.log", pod.dir, a->id);
    cleanup_free char *sh = mem_printf("%s/runtime", top);
    const char *argv[] = {a->runtime ? a->runtime
                          : a->tty   ? self
                                     : sh,
                          "--pid-file",
                          pid_file,
                          "--console-socket",
                          console,
                          a->script,
                          NULL};
    struct keeper_create c = {.container_id = a->id,
                              .argv = argv,
                              .pid_file = pid_file,
                              .console_socket = a->tty ? console : NULL,
                              .log_path = a->no_log ? NULL : log,
                              .stdin_open = a->open_stdin,
                              .timeout_ms = a->timeout_ms ? a->timeout_ms : 15000};
    pod.is_created = false;
    assert_int_equal(keeper_create(pod.k, &c, on_created, NULL, &err), 0);
    assert_false(pod.is_created);
}

static void create(const struct ask *a)
{
    ask_create(a);
    until(heard_created);
    assert_string_equal(pod.created_err.msg, "");
    assert_true(pod.created_pid > 1);
}

static void write_fifo(const char *id, const char *name)
{
    cleanup_free char *fifo = mem_printf("%s/%s.pid.%s", pod.dir, id, name);
    cleanup_close int fd = open(fifo, O_WRONLY | O_CLOEXEC);
    assert_true(fd >= 0 && write(fd, "go\n", 3) == 3);
}

/* What `crun start` does. */
static void start(const char *id)
{
    write_fifo(id, "start");
}

/* Lets a script go on that waits at the second fifo. */
static void go(const char *id)
{
    write_fifo(id, "go");
}

static void run(const char *id, const char *script)
{
    pod.exits = 0;
    create(&(struct ask){.id = id, .script = script});
    start(id);
}

static void quit_keeper(void)
{
    struct err err = {0};
    pod.is_done = false;
    assert_int_equal(keeper_quit(pod.k, on_done, NULL, &err), 0);
    until(heard_done);
}

static bool keeper_gone(void)
{
    return child_count() == 0;
}

/* The keeper ends, and its process with it. */
static void finish_keeper(void)
{
    quit_keeper();
    assert_string_equal(pod.done_err.msg, "");
    pod.k = NULL;
    until(keeper_gone);
    assert_int_not_equal(access(in_dir("keeper.sock"), F_OK), 0);
}

static int make_pod(void **state)
{
    static int n;
    (void)state;
    memset(&pod, 0, sizeof(pod));
    snprintf(pod.dir, sizeof(pod.dir), "%s/pod%d", top, n++);
    assert_int_equal(mkdir(pod.dir, 0755), 0);
    return 0;
}

static int setup(void **state)
{
    make_pod(state);
    start_keeper();
    return 0;
}

static void on_orphan(void *data, int pid, int status)
{
    (void)data;
    if (pod.k)
        keeper_orphan(pod.k, pid, status);
}

/* ---- tests ---- */
static void test_exit_codes(void **state)
{
    static const struct {
        const char *script;
        int code, signal;
    } rows[] = {{"exit 0", 0, 0},
                {"exit 7", 7, 0},
                {"exit 255", 255, 0},
                {"kill -9 $$", 137, 9},
                {"kill -TERM $$", 143, 15}};
    (void)state;
    for (size_t i = 0; i < countof(rows); i++) {
        int64_t before = time_now_ns();
        run("web", rows[i].script);
        until(heard_exit);
        assert_string_equal(pod.last_id, "web");
        assert_true(pod.last.known);
        assert_int_equal(pod.last.code, rows[i].code);
        assert_int_equal(pod.last.signal, rows[i].signal);
        assert_false(pod.last.oom_killed);
        assert_true(pod.last.finished_ns > before && pod.last.finished_ns < time_now_ns());
        assert_int_equal(access(in_dir("exits/web"), F_OK), 0);
        assert_true(keeper_container(pod.k, 0)->ended);
        keeper_forget(pod.k, "web");
        assert_null(keeper_container(pod.k, 0));
        unlink(in_dir("web.pid.start"));
    }
    finish_keeper();
    assert_int_not_equal(access(in_dir("exits/web"), F_OK), 0);
}

static void test_streams(void **state)
{
    (void)state;
    run("web", "echo one; echo two >&2; printf three; printf four >&2");
    until(heard_exit);
    assert_log(in_dir("web.log"), "stdout", "one\nthree");
    assert_log(in_dir("web.log"), "stderr", "two\nfour");
    struct stat st;
    assert_int_equal(stat(in_dir("web.log"), &st), 0);
    assert_int_equal(st.st_mode & 07777, 0640);
    finish_keeper();
}

static void test_stdin(void **state)
{
    (void)state;
    pod.exits = 0;
    create(&(struct ask){.id = "web", .script = "read x; echo got $x", .open_stdin = true});
    start("web");
    assert_true(write(box_find(pod.k, "web")->fds[0], "hello\n", 6) == 6);
    until(heard_exit);
    assert_log(in_dir("web.log"), "stdout", "got hello\n");
    finish_keeper();
}

static void test_terminal(void **state)
{
    (void)state;
    pod.exits = 0;
    create(&(struct ask){.id = "web", .script = "tty >/dev/null && echo terminal; exit 4", .tty = true});
    assert_int_not_equal(access(in_dir("web.tty"), F_OK), 0);
    start("web");
    until(heard_exit);
    assert_int_equal(pod.last.code, 4);
    assert_log(in_dir("web.log"), "stdout", "terminal\r\n");
    finish_keeper();
}

static void test_flood(void **state)
{
    enum { SIZE = 10 << 20 };
    cleanup_free char *data = mem_alloc(SIZE), *script = NULL;
    size_t line = 0;
    (void)state;
    srandom(1);
    for (size_t i = 0; i < SIZE; i++, line++) {
        data[i] = (char)random();
        if (data[i] == '\n' && line < 40000 &&
            i > SIZE / 2) /* in the second half, lines longer than 16 KiB too */
            data[i] = 'x';
        if (data[i] == '\n')
            line = 0;
    }
    write_file(in_dir("data"), data, SIZE, 0600);
    script = mem_printf("cat %s; cat %s >&2", in_dir("data"), in_dir("data"));
    run("web", script);
    until(heard_exit);
    static const char *const streams[] = {"stdout", "stderr"};
    for (size_t i = 0; i < countof(streams); i++) {
        cleanup_buf struct buf text = log_text(in_dir("web.log"), streams[i]);
        assert_int_equal(text.len, SIZE);
        assert_memory_equal(text.data, data, SIZE);
    }
    finish_keeper();
}

static void reopen(void)
{
    struct err err = {0};
    pod.is_done = false;
    assert_int_equal(keeper_reopen_log(pod.k, "web", on_done, NULL, &err), 0);
    until(heard_done);
}

static bool first_logged(void)
{
    cleanup_buf struct buf log = read_file(in_dir("web.log"));
    return log.data && strstr(log.data, "first") != NULL;
}

static void test_reopen(void **state)
{
    (void)state;
    run("web", "echo first; read x < $0.go; echo second");
    until(first_logged);
    assert_int_equal(rename(in_dir("web.log"), in_dir("web.log.1")), 0);
    reopen();
    assert_string_equal(pod.done_err.msg, "");
    assert_int_equal(access(in_dir("web.log"), F_OK), 0);
    go("web");
    until(heard_exit);
    assert_log(in_dir("web.log.1"), "stdout", "first\n");
    assert_log(in_dir("web.log"), "stdout", "second\n");
    keeper_forget(pod.k, "web");
    reopen();
    assert_int_equal(pod.done_err.grpc, GRPC_NOT_FOUND);
    finish_keeper();
}

static void test_create_fails(void **state)
{
    const struct {
        struct ask ask;
        int grpc;
        const char *text;
    } rows[] = {
        {{.id = "web", .script = "@echo no such image >&2; exit 3"},
         GRPC_INTERNAL,
         "runtime: exit status 3: no such image"},
        {{.id = "web", .script = "@kill -9 $$"}, GRPC_INTERNAL, "runtime: killed by signal 9"},
        {{.id = "web", .script = "@exit 0"}, GRPC_INTERNAL, "wrote no process id"},
        {{.id = "web", .script = "@echo hang >&2; sleep 100 | sleep 100", .timeout_ms = 150},
         GRPC_DEADLINE_EXCEEDED,
         "took too long and was killed: hang"},
        {{.id = "web", .script = "", .runtime = "/nowhere/crun"}, GRPC_INTERNAL, "No such file or directory"},
        {{.id = "web", .script = "", .runtime = "/bin/true", .tty = true},
         GRPC_INTERNAL,
         "wrote no process id"},
        {{.id = "web", .script = "", .runtime = "/bin/false", .tty = true},
         GRPC_INTERNAL,
         "false: exit status 1"},
        {{.id = "../web", .script = ""}, GRPC_INVALID_ARGUMENT, "container id"},
    };
    (void)state;
    quit_keeper(); /* counts descriptors of one that has done nothing yet */
    until(keeper_gone);
    start_keeper();
    size_t fds = count_fds(pod.process);
    for (size_t i = 0; i < countof(rows); i++) {
        ask_create(&rows[i].ask);
        until(heard_created);
        assert_int_equal(pod.created_err.grpc, rows[i].grpc);
        assert_non_null(strstr(pod.created_err.msg, rows[i].text));
        assert_null(keeper_container(pod.k, 0));
        assert_int_not_equal(access(in_dir("web.log"), F_OK), 0);
        assert_int_not_equal(access(in_dir("web.tty"), F_OK), 0);
        assert_int_equal(count_fds(pod.process), fds);
    }
    finish_keeper();
}

static void test_creates_side_by_side(void **state)
{
    (void)state;
    ask_create(&(struct ask){.id = "slow", .script = "@sleep 60; exit 1"});
    create(&(struct ask){.id = "fast", .script = "exit 5"}); /* while the other one hangs */
    pod.exits = 0;
    start("fast");
    until(heard_exit);
    assert_int_equal(pod.last.code, 5);
    quit_keeper();
    assert_int_equal(pod.done_err.grpc, GRPC_FAILED_PRECONDITION);
    pod.is_created = false;
    keeper_forget(pod.k, "slow");
    until(heard_created);
    assert_int_equal(pod.created_err.grpc, GRPC_CANCELLED);
    finish_keeper();
}

static bool record_exists(void)
{
    return access(in_dir("exits/web"), F_OK) == 0;
}

static void test_reconnect(void **state)
{
    (void)state;
    run("web", "echo up; read x < $0.go; echo down; exit 9");
    keeper_disconnect(pod.k);
    connect_keeper();
    const struct keeper_container_state *s = keeper_container(pod.k, 0);
    assert_string_equal(s->id, "web");
    assert_int_equal(s->pid, pod.created_pid);
    assert_false(s->ended);
    assert_true(box_find(pod.k, "web")->fds[1] >= 0);
    keeper_disconnect(pod.k);
    go("web");
    until(record_exists);         /* it ended with nobody listening */
    for (int i = 0; i < 2; i++) { /* told again until it is forgotten */
        pod.exits = 0;
        connect_keeper();
        assert_true(keeper_container(pod.k, 0)->ended);
        until(heard_exit);
        assert_int_equal(pod.last.code, 9);
        if (i == 0)
            keeper_disconnect(pod.k);
    }
    keeper_forget(pod.k, "web");
    assert_log(in_dir("web.log"), "stdout", "up\ndown\n");
    finish_keeper();
    connect_keeper();
    assert_int_equal(pod.ready_err.grpc, GRPC_NOT_FOUND);
}

static bool late_logged(void)
{
    cleanup_buf struct buf log = read_file(in_dir("web.log"));
    return log.data && strstr(log.data, " stdout F late\n") != NULL;
}

static void test_exit_with_open_output(void **state)
{
    (void)state;
    run("web", "(read x < $0.go; echo late) & exit 2");
    until(heard_exit);
    assert_int_equal(pod.last.code, 2);
    go("web");
    until(late_logged);
    finish_keeper();
}

static int count_lines(const char *path)
{
    cleanup_buf struct buf text = log_text(path, "stdout");
    int n = 0;
    for (size_t i = 0; i < text.len; i++)
        n += text.data[i] == '\n';
    return n;
}

static bool many_lines(void)
{
    return count_lines(in_dir("web.log")) > 200;
}

/* The exit is told a second after it at the latest, even if a busy machine has not let all of the output be written. */
static bool all_is_written(void)
{
    cleanup_buf struct buf log = read_file(in_dir("web.log"));
    static const char end[] = " F last\n";

    return log.len >= strlen(end) && memcmp(log.data + log.len - strlen(end), end, strlen(end)) == 0;
}

static void restart_keeper(void)
{
    struct err err = {0};
    struct keeper_spec spec = {.binary = binary, .dir = pod.dir, .pod_id = "pod"};
    until(heard_lost);
    pod.is_ready = false;
    assert_int_equal(keeper_restart(pod.k, &spec, on_ready_event, NULL, &err), 0);
    until(heard_ready);
    assert_string_equal(pod.ready_err.msg, "");
    assert_int_not_equal(keeper_pid(pod.k), pod.process);
    pod.process = keeper_pid(pod.k);
}

static void test_keeper_killed(void **state)
{
    (void)state;
    run("done", "exit 6");
    until(heard_exit);
    run("web", "i=0; while [ ! -e $0.end ]; do i=$((i+1)); echo $i; done; echo last; exit 3");
    until(many_lines);
    pod.exits = 0;
    kill(pod.process, SIGKILL);
    restart_keeper();
    until(heard_exit); /* the one that the dead keeper had recorded and nobody has forgotten */
    assert_string_equal(pod.last_id, "done");
    assert_int_equal(pod.last.code, 6);
    keeper_forget(pod.k, "done");
    assert_int_equal(box_find(pod.k, "web")->state.pid, pod.created_pid);
    pod.exits = 0;
    write_file(in_dir("web.pid.end"), "", 0, 0600);
    until(heard_exit);
    assert_string_equal(pod.last_id, "web");
    assert_true(pod.last.known);
    assert_int_equal(pod.last.code, 3);
    until(all_is_written);
    /* every line but what the dead keeper may have read and not written */
    cleanup_buf struct buf text = log_text(in_dir("web.log"), "stdout");
    long expect = 0, jumps = 0;
    for (char *p = text.data, *nl; (nl = strchr(p, '\n')); p = nl + 1) {
        long n = strtol(p, NULL, 10);
        jumps += n != ++expect && n != 0;
        expect = n;
    }
    assert_true(jumps <= 1);
    assert_non_null(strstr(text.data, "last\n"));
    finish_keeper();
}

static void test_container_ends_without_keeper(void **state)
{
    (void)state;
    run("web", "read x < $0.go; exit 8");
    kill(pod.process, SIGKILL);
    until(heard_lost);
    go("web");
    int64_t limit = time_monotonic_us() + LIMIT_MS * 1000LL;
    while (kill(pod.created_pid, 0) == 0 && time_monotonic_us() < limit) {
        siginfo_t info = {0}; /* it stays a zombie of ours until the loop reaps it */
        if (waitid(P_PID, (id_t)pod.created_pid, &info, WEXITED | WNOHANG | WNOWAIT) == 0 && info.si_pid)
            break;
    }
    restart_keeper();
    until(heard_exit);
    assert_true(pod.last.known);
    assert_int_equal(pod.last.code, 8);
    finish_keeper();
}

static bool keeper_has_pidfd(void)
{
    char path[PATH_MAX], to[64];
    bool found = false;

    snprintf(path, sizeof(path), "/proc/%d/fd", pod.process);
    DIR *d = opendir(path);
    assert_non_null(d);
    for (struct dirent *e; (e = readdir(d));) {
        ssize_t n = readlinkat(dirfd(d), e->d_name, to, sizeof(to) - 1);
        to[n > 0 ? n : 0] = '\0';
        found = found || strstr(to, "pidfd");
    }
    closedir(d);
    return found;
}

static bool keeper_is_parent(void)
{
    return !keeper_has_pidfd();
}

static bool container_is_zombie(void)
{
    char path[64];
    snprintf(path, sizeof(path), "/proc/%d/stat", pod.created_pid);
    cleanup_buf struct buf text = read_file(path);
    return text.data && memmem(text.data, text.len, ") Z ", 4);
}

/* The keeper becomes the parent some time after the command, before or after the container's end. */
static void test_parent_outlives_command(void **state)
{
    (void)state;
    create(&(struct ask){.id = "web", .script = "&read x < $0.go; exit 9"});
    until(keeper_has_pidfd);
    write_fifo("web", "leave");
    until(keeper_is_parent);
    go("web");
    until(heard_exit);
    assert_true(pod.last.known);
    assert_int_equal(pod.last.code, 9);

    pod.exits = 0;
    create(&(struct ask){.id = "late", .script = "&read x < $0.go; kill -9 $$"});
    go("late");
    until(container_is_zombie);
    write_fifo("late", "leave");
    until(heard_exit);
    assert_true(pod.last.known);
    assert_int_equal(pod.last.signal, 9);
    finish_keeper();
}

/* The pod's limit of processor time holds for its keeper, not for the runtime's commands. */
static void test_commands_run_outside_of_the_pod(void **state)
{
    cleanup_free char *cgroup = mem_printf("/cricket-keeper-test-%d", getpid());
    struct cgroups cgroups = {0};
    struct err err = {0};
    (void)state;
    start_keeper_in(cgroup);
    cleanup_free char *proc = mem_printf("/proc/%d/cgroup", pod.process);
    cleanup_buf struct buf keepers = read_file(proc);
    buf_add(&keepers, "", 1);
    assert_non_null(strstr(keepers.data, cgroup));
    ask_create(
        &(struct ask){.id = "web", .script = "@grep -E '^0::|[:,]cpu[,:]' /proc/self/cgroup >&2; exit 1"});
    until(heard_created);
    assert_non_null(strstr(pod.created_err.msg, ":/"));
    assert_null(strstr(pod.created_err.msg, cgroup));
    finish_keeper();
    assert_int_equal(cgroups_read("", &cgroups, &err), 0);
    assert_int_equal(cgroup_remove(&cgroups, cgroup, &err), 0);
    cgroups_done(&cgroups);
}

static void test_malformed_messages(void **state)
{
    struct err err = {0};
    unsigned char msg[300];
    int fd;
    (void)state;
    assert_int_equal(keeper_connect_to(pod.dir, &fd, &err), 0); /* replaces the test's own connection */
    fcntl(fd, F_SETFL, 0);
    assert_true(recv(fd, msg, sizeof(msg), 0) >= (ssize_t)sizeof(struct keeper_greeting_msg));
    for (int type = 0; type < 300; type++)
        for (unsigned cut = 1; cut < 64; cut++) {
            memset(msg, cut % 3 ? 0xff : 0, sizeof(msg));
            struct keeper_head h = {.size = cut % 4 ? cut : cut * 7,
                                    .type = (uint16_t)type,
                                    .fixed = (uint16_t)(cut % 5 ? 16 : cut),
                                    .seq = 5};
            memcpy(msg, &h, sizeof(h));
            msg[cut - 1] = 0;
            if (type == KEEPER_QUIT && h.size == cut && h.fixed >= sizeof(h) && h.fixed <= cut)
                continue; /* that would be a valid one */
            if (type == KEEPER_FORGET)
                continue; /* has no answer */
            assert_true(send(fd, msg, cut, MSG_NOSIGNAL) == (ssize_t)cut);
            unsigned char answer[1000];
            struct keeper_reply_msg r;
            ssize_t n = recv(fd, answer, sizeof(answer), 0);
            assert_true(n > 0 && keeper_msg_read(answer, (size_t)n, &r, sizeof(r)));
            assert_int_equal(r.head.type, KEEPER_REPLY);
            assert_int_not_equal(r.grpc, 0);
        }
    close(fd);
    keeper_disconnect(pod.k);
    connect_keeper();
    run("web", "exit 1");
    until(heard_exit);
    finish_keeper();
}

static bool loss_reported(void)
{
    cleanup_buf struct buf log = read_file(in_dir("small/web.log"));
    return log.data && strstr(log.data, " bytes of output lost: No space left on device]\n") != NULL;
}

static bool disk_full(void)
{
    struct stat st;
    return stat(in_dir("small/web.log"), &st) == 0 && st.st_size > 100000 &&
           access(in_dir("web.pid.filled"), F_OK) == 0;
}

static void test_disk_full(void **state)
{
    (void)state;
    mkdir(in_dir("small"), 0755);
    assert_int_equal(mount("tmpfs", in_dir("small"), "tmpfs", 0, "size=256k"), 0);
    char filler[64 << 10] = "";
    write_file(in_dir("small/filler"), filler, sizeof(filler), 0600);
    create(&(struct ask){.id = "big", .script = "exit 0", .no_log = true});
    cleanup_free char *log = mem_printf("%s/small/web.log", pod.dir);
    cleanup_free char *sh = mem_printf("%s/runtime", top);
    cleanup_free char *pid_file = mem_printf("%s/web.pid", pod.dir);
    const char *argv[] = {
        sh,
        "--pid-file",
        pid_file,
        "-",
        "-",
        "i=0; while [ $i -lt 9000 ]; do echo line $i of a long text that fills the disk; i=$((i+1)); done; "
        "echo > $0.filled; read x < $0.go; echo after; exit 0",
        NULL};
    struct keeper_create c = {.container_id = "web", .argv = argv, .pid_file = pid_file, .log_path = log};
    struct err err = {0};
    pod.is_created = false;
    assert_int_equal(keeper_create(pod.k, &c, on_created, NULL, &err), 0);
    until(heard_created);
    start("web");
    until(disk_full);
    unlink(in_dir("small/filler"));
    go("web");
    until(loss_reported);
    start("big");
    pod.exits = 0;
    cleanup_buf struct buf text = log_text(log, "stdout"); /* checks that no line is torn */
    assert_non_null(strstr(text.data, "line 0 of"));
    until(heard_exit);
    cleanup_buf struct buf whole = log_text(log, "stdout");
    assert_non_null(strstr(whole.data, "after\n"));
    while (umount2(in_dir("small"), MNT_DETACH) == 0)
        ;
    pod.exits = 0;
    if (keeper_container(pod.k, 0)->ended + keeper_container(pod.k, 1)->ended < 2)
        until(heard_exit);
    finish_keeper();
}

static void test_many_connections_replace(void **state)
{
    struct err err = {0};
    int fd;
    (void)state;
    run("web", "read x < $0.go; exit 0");
    /* a newer daemon takes over; the older one is cut off, comes back, and knows its container still */
    assert_int_equal(keeper_connect_to(pod.dir, &fd, &err), 0);
    close(fd);
    go("web");
    until(heard_exit);
    finish_keeper();
}

/* ---- a real runtime, where there is one ---- */
static void run_runc(const char *root, const char *bundle, const char *verb, const char *id)
{
    const char *argv[] = {"runc", "--root", root, verb, id, NULL};
    const char *spec[] = {"runc", "spec", "-b", bundle, NULL};
    pid_t pid = fork();
    if (pid == 0) {
        execvp("runc", (char *const *)(uintptr_t)(bundle ? spec : argv));
        _exit(127);
    }
    int status;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
}

/* The specification that runc itself proposes, with our command, terminal and memory limit put in. */
static void make_bundle(const char *bundle, const char *script, bool tty, bool limit)
{
    cleanup_free char *config = mem_printf("%s/config.json", bundle), *proposal = NULL;
    unlink(config);
    run_runc(NULL, bundle, NULL, NULL);
    json_t *spec = json_load_file(config, 0, NULL);
    assert_non_null(spec);
    json_t *process = json_object_get(spec, "process"), *host = json_object_get(spec, "linux");
    json_object_set_new(process, "args", json_pack("[sss]", "/bin/busybox", "sh", "-c"));
    json_array_append_new(json_object_get(process, "args"), json_string(script));
    json_object_set_new(process, "terminal", json_boolean(tty));
    json_object_del(process, "rlimits");
    json_object_set_new(host, "cgroupsPath", json_sprintf("/cricket-keeper-test-%d", getpid()));
    if (limit)
        json_object_set_new(json_object_get(host, "resources"), "memory",
                            json_pack("{sisi}", "limit", 20 << 20, "swap", 20 << 20));
    proposal = json_dumps(spec, 0);
    write_file(config, proposal, strlen(proposal), 0600);
    json_decref(spec);
}

static void test_real_runc(void **state)
{
    static const struct {
        const char *id, *script;
        bool tty, limit;
        int code;
        bool oom;
        const char *text;
    } rows[] = {
        {"pipes", "echo hi; exit 5", false, false, 5, false, "hi\n"},
        {"terminal", "echo hi; exit 6", true, false, 6, false, "hi\r\n"},
        {"big", "x=aaaaaaaa; while :; do x=$x$x; done", false, true, 137, true, ""},
    };
    (void)state;
    if (system("runc --version >/dev/null 2>&1 && test -x /bin/busybox") != 0) {
        finish_keeper();
        skip();
    }
    cleanup_free char *root = mem_printf("%s/rt", pod.dir), *bundle = mem_printf("%s/bundle", pod.dir);
    cleanup_free char *fill =
        mem_printf("mkdir -p %s/rootfs/bin && cp /bin/busybox %s/rootfs/bin/", bundle, bundle);
    assert_int_equal(system(fill), 0);
    for (size_t i = 0; i < countof(rows); i++) {
        struct err err = {0};
        cleanup_free char *pid_file = mem_printf("%s/%s.pid", pod.dir, rows[i].id);
        cleanup_free char *console = mem_printf("%s/%s.tty", pod.dir, rows[i].id);
        cleanup_free char *log = mem_printf("%s/%s.log", pod.dir, rows[i].id);
        const char *argv[] = {"runc",
                              "--root",
                              root,
                              "create",
                              "-b",
                              bundle,
                              "--pid-file",
                              pid_file,
                              rows[i].tty ? "--console-socket" : rows[i].id,
                              rows[i].tty ? console : NULL,
                              rows[i].id,
                              NULL};
        struct keeper_create c = {.container_id = rows[i].id,
                                  .argv = argv,
                                  .pid_file = pid_file,
                                  .console_socket = rows[i].tty ? console : NULL,
                                  .log_path = log,
                                  .timeout_ms = 15000};
        make_bundle(bundle, rows[i].script, rows[i].tty, rows[i].limit);
        pod.exits = 0;
        pod.is_created = false;
        assert_int_equal(keeper_create(pod.k, &c, on_created, NULL, &err), 0);
        until(heard_created);
        assert_string_equal(pod.created_err.msg, "");
        run_runc(root, NULL, "start", rows[i].id);
        until(heard_exit);
        run_runc(root, NULL, "delete", rows[i].id);
        assert_int_equal(pod.last.code, rows[i].code);
        assert_int_equal(pod.last.oom_killed, rows[i].oom);
        assert_log(log, "stdout", rows[i].text);
        keeper_forget(pod.k, rows[i].id);
    }
    finish_keeper();
}

/* ---- the runtime with a terminal ---- */
static int tty_runtime(char **argv)
{
    const char *pid_file = argv[2], *console = argv[4], *script = argv[5];
    char fifo[PATH_MAX], text[32], byte = 0;
    struct sockaddr_un a = {.sun_family = AF_UNIX};
    union {
        struct cmsghdr head;
        char room[CMSG_SPACE(sizeof(int))];
    } control = {0};
    struct iovec iov = {.iov_base = &byte, .iov_len = 1};
    struct msghdr m = {
        .msg_iov = &iov, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof(control)};
    int master, slave, s = socket(AF_UNIX, SOCK_STREAM, 0);

    snprintf(a.sun_path, sizeof(a.sun_path), "%s", console);
    snprintf(fifo, sizeof(fifo), "%s.start", pid_file);
    if (mkfifo(fifo, 0600) < 0 || openpty(&master, &slave, NULL, NULL, NULL) < 0 ||
        connect(s, (struct sockaddr *)&a, sizeof(a)) < 0)
        return 1;
    pid_t pid = fork();
    if (pid == 0) {
        setsid();
        for (int i = 0; i < 3; i++)
            dup2(slave, i);
        close(slave);
        close(master);
        int fd = open(fifo, O_RDONLY);
        if (fd >= 0 && read(fd, text, sizeof(text)) > 0)
            execl("/bin/sh", "sh", "-c", script, NULL);
        _exit(99);
    }
    control.head =
        (struct cmsghdr){.cmsg_len = CMSG_LEN(sizeof(int)), .cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS};
    memcpy(CMSG_DATA(&control.head), &master, sizeof(int));
    int n = snprintf(text, sizeof(text), "%d", pid);
    write_file(pid_file, text, (size_t)n, 0600);
    return sendmsg(s, &m, 0) == 1 ? 0 : 1;
}

/*
 * $0 of the container's script is its pid file. A script that begins with @ is the runtime's own, which then fails; one with
 * & is the container of a process that outlives the command and leaves when told so, as crun's `run --detach` makes it.
 */
static const char runtime[] = "#!/bin/sh\n"
                              "case $5 in @*) eval \"${5#@}\"; exit;; esac\n"
                              "case $5 in '&'*) rm -f $2.go $2.leave; mkfifo $2.go $2.leave $2.made\n"
                              "(sh -c \"${5#&}\" $2 & echo $! > $2; echo > $2.made; read x < $2.leave) &\n"
                              "read x < $2.made; exit;; esac\n"
                              "rm -f $2.start $2.go; mkfifo $2.start $2.go\n"
                              "exec 3<&0\n"
                              "(read x < $2.start; exec 3<&- sh -c \"$5\" $2) <&3 &\n"
                              "echo $! > $2\n";

static void remove_tree(const char *path)
{
    const char *argv[] = {"rm", "-rf", path, NULL};
    pid_t pid = fork();
    if (pid == 0) {
        execvp("rm", (char *const *)(uintptr_t)argv);
        _exit(127);
    }
    waitpid(pid, NULL, 0);
}

static void find_binary(void)
{
    const char *build = getenv("CRICKET_BUILD");
    ssize_t n = readlink("/proc/self/exe", self, sizeof(self) - 1);
    assert_true(n > 0);
    self[n] = '\0';
    if (build) {
        assert_non_null(realpath(build, binary));
    } else { /* BUILD/t/unit/loop/keeper_test */
        snprintf(binary, sizeof(binary), "%s", self);
        for (int i = 0; i < 4; i++)
            *strrchr(binary, '/') = '\0';
    }
    strcat(binary, "/cricket-keeper");
    assert_int_equal(access(binary, X_OK), 0);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_exit_codes, setup),
        cmocka_unit_test_setup(test_streams, setup),
        cmocka_unit_test_setup(test_stdin, setup),
        cmocka_unit_test_setup(test_terminal, setup),
        cmocka_unit_test_setup(test_flood, setup),
        cmocka_unit_test_setup(test_reopen, setup),
        cmocka_unit_test_setup(test_create_fails, setup),
        cmocka_unit_test_setup(test_creates_side_by_side, setup),
        cmocka_unit_test_setup(test_reconnect, setup),
        cmocka_unit_test_setup(test_exit_with_open_output, setup),
        cmocka_unit_test_setup(test_keeper_killed, setup),
        cmocka_unit_test_setup(test_container_ends_without_keeper, setup),
        cmocka_unit_test_setup(test_parent_outlives_command, setup),
        cmocka_unit_test_setup(test_commands_run_outside_of_the_pod, make_pod),
        cmocka_unit_test_setup(test_malformed_messages, setup),
        cmocka_unit_test_setup(test_disk_full, setup),
        cmocka_unit_test_setup(test_many_connections_replace, setup),
        cmocka_unit_test_setup(test_real_runc, setup),
    };
    if (argc == 6)
        return tty_runtime(argv);
    find_binary();
    snprintf(top, sizeof(top), "/tmp/cricket-keeper-test-XXXXXX");
    assert_non_null(mkdtemp(top));
    cleanup_free char *script = mem_printf("%s/runtime", top);
    write_file(script, runtime, sizeof(runtime) - 1, 0700);
    /* mounts of the tests go with the process */
    assert_int_equal(unshare(CLONE_NEWNS), 0);
    assert_int_equal(mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL), 0);
    loop = loop_new();
    child_set_orphan_hook(loop, on_orphan, NULL);
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    loop_free(loop);
    remove_tree(top);
    return failed;
}
