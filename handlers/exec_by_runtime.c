/*
 * A command by the OCI runtime's `exec --detach`.
 *
 *  STARTING --"exec --detach" succeeded--> RUNNING --reaped--> on_exit
 *     '-----------failed-----------------> on_started(err)
 */
#include "core/file.h"
#include "core/json_doc.h"
#include "core/mem.h"
#include "handlers/exec_process.h"
#include "handlers/runtimes.h"
#include "loop/child.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>

enum { SPEC_MAX = 4 << 20, START_TIMEOUT_MS = 120000, EARLY_MAX = 64 };

struct exec_by_runtime {
    struct exec_by_runtime *next;
    struct exec_process_events events;
    void *data;
    struct loop *loop;
    struct child *child; /* the runtime's command, while STARTING */
    pid_t pid;           /* 0 while STARTING */
    int pidfd;
    int status;  /* of one that ended before it was known to run */
    int console; /* listens for the terminal; -1: none */
    int dir;     /* in which console_path is; -1: none */
    char *name, *process_file, *pid_file, *log_file, *console_path;
};

static struct exec_by_runtime *commands;

/* Ends of processes that were nobody's while a command was being started: one of them may turn out to be that command. */
static struct {
    int pid, status;
} early[EARLY_MAX];
static size_t early_n;

/* What only the start needs. */
static void start_done(struct exec_by_runtime *x)
{
    char **const files[] = {&x->process_file, &x->pid_file, &x->log_file, &x->console_path};
    int *const fds[] = {&x->console, &x->dir};

    for (size_t i = 0; i < countof(files); i++) {
        if (*files[i])
            unlink(*files[i]);
        free_ptr(files[i]);
    }
    for (size_t i = 0; i < countof(fds); i++)
        if (*fds[i] >= 0)
            close(steal_fd(fds[i]));
}

static void command_free(struct exec_by_runtime *x)
{
    for (struct exec_by_runtime **at = &commands; *at; at = &(*at)->next)
        if (*at == x) {
            *at = x->next;
            break;
        }
    start_done(x);
    if (x->pidfd >= 0)
        close(x->pidfd);
    free(x->name);
    free(x);
}

static bool any_is_starting(void)
{
    for (struct exec_by_runtime *x = commands; x; x = x->next)
        if (x->pid == 0)
            return true;
    return false;
}

static void ended(struct exec_by_runtime *x, int status)
{
    struct exec_process_events events = x->events;
    void *data = x->data;

    command_free(x);
    events.on_exit(data, status);
}

bool exec_by_runtime_reaped(int pid, int status)
{
    for (struct exec_by_runtime *x = commands; x; x = x->next)
        if (x->pid == pid) {
            ended(x, status);
            return true;
        }
    if (any_is_starting()) {
        if (early_n == EARLY_MAX) /* the oldest are least likely to be asked for */
            memmove(early, early + 1, --early_n * sizeof(early[0]));
        early[early_n].pid = pid;
        early[early_n++].status = status;
    }
    return false;
}

static void on_ended_early(void *data)
{
    struct exec_by_runtime *x = data;

    ended(x, x->status);
}

/* A short command may have been reaped before its starter told its number. */
static bool find_early(struct exec_by_runtime *x)
{
    for (size_t i = early_n; i-- > 0;)
        if (early[i].pid == x->pid) {
            x->status = early[i].status;
            return true;
        }
    return false;
}

/* ---- started ------------------------------------------------------------------------------------------------------- */

static int read_pid(const struct exec_by_runtime *x)
{
    cleanup_buf struct buf text = {0};
    struct err ignored;

    return file_read(x->pid_file, 32, &text, &ignored) == 0 && text.len ? atoi(text.data) : 0;
}

/* The runtime sends the terminal before it ends: it waits in the socket by now. */
static int receive_pty(const struct exec_by_runtime *x)
{
    char byte[64];
    union {
        struct cmsghdr head;
        char room[CMSG_SPACE(sizeof(int))];
    } control;
    struct iovec iov = {.iov_base = byte, .iov_len = sizeof(byte)};
    struct msghdr m = {
        .msg_iov = &iov, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = CMSG_LEN(sizeof(int))};
    cleanup_close int fd = accept4(x->console, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    int pty;

    if (fd < 0 || recvmsg(fd, &m, MSG_CMSG_CLOEXEC) <= 0)
        return -1;
    const struct cmsghdr *h = CMSG_FIRSTHDR(&m);
    if (!h || h->cmsg_level != SOL_SOCKET || h->cmsg_type != SCM_RIGHTS)
        return -1;
    memcpy(&pty, CMSG_DATA(h), sizeof(pty));
    fcntl(pty, F_SETFL, O_NONBLOCK);
    return pty;
}

/* The runtime's own words are in its log; what it printed is second best. */
static void explain(const struct exec_by_runtime *x, const struct child_result *r, struct err *ret)
{
    cleanup_buf struct buf log = {0};
    struct err ignored;

    child_check(r, x->name, ret);
    if (r->timed_out || r->cancelled || file_read(x->log_file, 1 << 20, &log, &ignored) < 0 || !log.len)
        return;
    cleanup_free char *words = runtime_log_error(log.data, log.len);
    if (words)
        err_set(ret, GRPC_INTERNAL, 0, "%s: %s", x->name, words);
}

static int look_at_result(struct exec_by_runtime *x, const struct child_result *r, int *ret_pty,
                          struct err *err)
{
    x->pid = read_pid(x);
    if (x->pid <= 1)
        x->pid = 0;
    if (r->status != 0 || r->timed_out || r->cancelled) {
        explain(x, r, err);
        return err_errno(err);
    }
    if (!x->pid)
        return err_set(err, GRPC_INTERNAL, 0, "%s: the runtime wrote no process id to its --pid-file", x->name);
    if (x->console >= 0 && (*ret_pty = receive_pty(x)) < 0)
        return err_set(err, GRPC_INTERNAL, 0, "%s: the runtime sent no terminal to its --console-socket",
                       x->name);
    return 0;
}

/* Only a child of ours, so that the number cannot have gone to another process. */
static void kill_pid(pid_t pid)
{
    siginfo_t info;

    if (pid && waitid(P_PID, (id_t)pid, &info, WEXITED | WNOHANG | WNOWAIT) == 0)
        kill(pid, SIGKILL);
}

static void on_starter_ended(void *data, struct child_result *r)
{
    struct exec_by_runtime *x = data;
    int pty = -1;
    struct err err;

    x->child = NULL;
    if (look_at_result(x, r, &pty, &err) < 0) {
        kill_pid(x->pid); /* it has got that far all the same */
        x->events.on_started(x->data, -1, &err);
        command_free(x);
    } else {
        if (find_early(x))
            loop_defer(x->loop, on_ended_early, x);
        else
            x->pidfd = (int)syscall(SYS_pidfd_open, x->pid, 0);
        start_done(x);
        x->events.on_started(x->data, pty, NULL);
    }
    if (!any_is_starting())
        early_n = 0;
}

/* ---- starting ------------------------------------------------------------------------------------------------------ */

/* By way of our descriptor of the directory: a socket's path has 107 bytes at most, which a container's may use up. */
static int listen_for_console(struct exec_by_runtime *x, const char *dir, unsigned number, struct err *err)
{
    struct sockaddr_un a = {.sun_family = AF_UNIX};

    x->dir = open(dir, O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (x->dir < 0)
        return err_sys(err, errno, "%s: open %s", x->name, dir);
    x->console_path = mem_printf("/proc/%d/fd/%d/t%u", getpid(), x->dir, number);
    snprintf(a.sun_path, sizeof(a.sun_path), "%s", x->console_path);
    x->console = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (x->console < 0 || bind(x->console, (struct sockaddr *)&a, sizeof(a)) < 0 ||
        chmod(x->console_path, 0600) < 0 || listen(x->console, 1) < 0)
        return err_sys(err, errno, "%s: listen at %s, for the terminal", x->name, x->console_path);
    return 0;
}

/* The container's own process with another command line: user, capabilities, environment, limits stay as they are. */
static int write_process(struct container *c, const struct exec_spec *spec, const char *file, struct err *err)
{
    cleanup_free char *path = container_path(c, "config.json");
    cleanup_buf struct buf text = {0};

    if (file_read(path, SPEC_MAX, &text, err) < 0)
        return err_errno(err);
    cleanup_json json_t *config = json_loadb(text.data, text.len, 0, NULL);
    json_t *process = json_object_get(config, "process"), *args = json_array();
    for (size_t i = 0; spec->argv[i]; i++)
        json_array_append_new(args, json_string(spec->argv[i]));
    json_object_set_new(process, "args", args);
    json_object_set_new(process, "terminal", json_boolean(spec->tty));
    cleanup_free char *dump = process ? json_dumps(process, JSON_COMPACT) : NULL;
    if (!dump)
        return err_set(err, GRPC_INTERNAL, 0, "%s: %s has no process", spec->name, path);
    return file_write(file, dump, strlen(dump), 0600, err);
}

static int start(struct exec_by_runtime *x, struct container *c, const struct exec_spec *spec, unsigned number,
                 struct err *err)
{
    const struct runtime *rt;

    if (runtime_find(c->daemon->runtimes, container_pod(c)->runtime, &rt, err) < 0 ||
        write_process(c, spec, x->process_file, err) < 0 ||
        (spec->tty && listen_for_console(x, c->dir, number, err) < 0))
        return err_errno(err);
    struct runtime_exec rx = {.id = c->id,
                              .process_file = x->process_file,
                              .pid_file = x->pid_file,
                              .console_socket = x->console_path,
                              .log_file = x->log_file,
                              .detach = true};
    cleanup_free char **argv = runtime_exec_argv(rt, &rx);
    struct child_spec child = {.name = x->name,
                               .argv = (const char *const *)argv,
                               .stdin_fd = spec->fds[0],
                               .stdout_fd = spec->fds[1],
                               .stderr_fd = spec->fds[2],
                               .timeout_ms = START_TIMEOUT_MS};
    return child_start(x->loop, &child, on_starter_ended, x, &x->child, err);
}

int exec_by_runtime_start(struct container *c, const struct exec_spec *spec,
                          const struct exec_process_events *events, void *data, struct exec_by_runtime **ret,
                          struct err *err)
{
    static unsigned counter;
    struct exec_by_runtime *x = mem_new(struct exec_by_runtime);

    *x = (struct exec_by_runtime){.events = *events,
                                  .data = data,
                                  .loop = c->daemon->loop,
                                  .pidfd = -1,
                                  .console = -1,
                                  .dir = -1,
                                  .name = mem_strdup(spec->name)};
    counter++;
    x->process_file = mem_printf("%s/x%u.json", c->dir, counter);
    x->pid_file = mem_printf("%s/x%u.pid", c->dir, counter);
    x->log_file = mem_printf("%s/x%u.log", c->dir, counter);
    if (start(x, c, spec, counter, err) < 0) {
        command_free(x);
        return err_errno(err);
    }
    x->next = commands;
    commands = x;
    *ret = x;
    return 0;
}

void exec_by_runtime_kill(struct exec_by_runtime *x)
{
    if (x->child)
        child_cancel(x->child);
    else if (x->pidfd >= 0)
        syscall(SYS_pidfd_send_signal, x->pidfd, SIGKILL, NULL, 0);
}
