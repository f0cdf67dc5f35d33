/*
 * Drives the real cricket-keeper with a runtime made here: a shell script that obeys --pid-file, and the test program itself
 * where a terminal is wanted. Its container waits at a fifo until the test starts it, as one made by `crun create` does.
 */
#pragma once
#include "core/buf.h"
#include "core/mem.h"
#include "loop/child.h"
#include "loop/keeper_conn.h"

#include <dirent.h>
#include <fcntl.h>
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
    int sink_limit_ms;
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

/* The failure is the caller's, not this file's. */
#define until(fn) until_at((fn), #fn, __FILE__, __LINE__)
static void until_at(bool (*fn)(void), const char *name, const char *file, int line)
{
    condition = fn;
    give_up_us = time_monotonic_us() + LIMIT_MS * 1000LL;
    timer_start(&tick, loop, 0.0005, on_tick, NULL);
    loop_run(loop);
    _assert_true(fn(), name, file, line);
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
static struct buf text_of(const struct buf *log, const char *stream)
{
    struct buf text = {0};

    buf_add(&text, "", 0);
    for (char *p = log->data, *nl; p && p < log->data + log->len; p = nl + 1) {
        nl = memchr(p, '\n', (size_t)(log->data + log->len - p));
        assert_non_null(nl);
        assert_true(nl - p >= 40 && nl - p <= 40 + 16384);
        assert_true(p[10] == 'T' && p[29] == 'Z' && (p[38] == 'F' || p[38] == 'P'));
        if (strncmp(p + 31, stream, 6) == 0)
            buf_add(&text, p + 40, (size_t)(nl - p - 40) + (p[38] == 'F'));
    }
    return text;
}

static struct buf log_text(const char *path, const char *stream)
{
    cleanup_buf struct buf log = read_file(path);

    return text_of(&log, stream);
}

/* Of a log that is being written: without the line that is on its way. */
static struct buf log_text_so_far(const char *path, const char *stream)
{
    cleanup_buf struct buf log = read_file(path);

    while (log.len && log.data[log.len - 1] != '\n')
        log.len--;
    return text_of(&log, stream);
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
    struct keeper_spec spec = {.binary = binary,
                               .dir = pod.dir,
                               .pod_id = "pod",
                               .cgroup = cgroup,
                               .sink_limit_ms = pod.sink_limit_ms};
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

/* A second time needs a fifo of its own: in the first one the text may meet a reader that has read and is about to close. */
static void go_again(const char *id)
{
    write_fifo(id, "again");
}

static void run(const char *id, const char *script)
{
    pod.exits = 0;
    create(&(struct ask){.id = id, .script = script});
    start(id);
}

static void restart_keeper(void)
{
    struct err err = {0};
    struct keeper_spec spec = {
        .binary = binary, .dir = pod.dir, .pod_id = "pod", .sink_limit_ms = pod.sink_limit_ms};
    until(heard_lost);
    pod.is_ready = false;
    assert_int_equal(keeper_restart(pod.k, &spec, on_ready_event, NULL, &err), 0);
    until(heard_ready);
    assert_string_equal(pod.ready_err.msg, "");
    assert_int_not_equal(keeper_pid(pod.k), pod.process);
    pod.process = keeper_pid(pod.k);
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

static void on_quit(void *data, const struct err *err)
{
    if (!err)
        pod.k = NULL; /* freed, while orphans may still be reaped */
    on_done(data, err);
}

static void quit_keeper(void)
{
    struct err err = {0};
    pod.is_done = false;
    assert_int_equal(keeper_quit(pod.k, on_quit, NULL, &err), 0);
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
                              "rm -f $2.start $2.go $2.again; mkfifo $2.start $2.go $2.again\n"
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
    } else { /* BUILD/t/unit/loop/NAME_test */
        snprintf(binary, sizeof(binary), "%s", self);
        for (int i = 0; i < 4; i++)
            *strrchr(binary, '/') = '\0';
    }
    strcat(binary, "/cricket-keeper");
    assert_int_equal(access(binary, X_OK), 0);
}

/* The body of main(). */
static int fixture_main(int argc, char **argv, int (*run_group)(void))
{
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
    int failed = run_group();
    loop_free(loop);
    remove_tree(top);
    return failed;
}
