#include "handlers/exec_process.h"
#include "core/file.h"
#include "core/json_doc.h"
#include "core/log.h"
#include "core/mem.h"
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

/*
 *  STARTING --"exec --detach" succeeded--> RUNNING --reaped--> on_exit
 *     '-----------failed-----------------> on_started(err)
 */
struct exec_process {
    struct exec_process *next;
    struct exec_process_events events;
    void *data;
    struct loop *loop;
    struct child *child; /* the runtime's command, while STARTING */
    bool left;
    pid_t pid; /* 0 while STARTING */
    int pidfd;
    int code;    /* of one that ended before it was known to run */
    int console; /* listens for the terminal; -1: none */
    char *name, *process_file, *pid_file, *log_file, *console_path;
};

static struct exec_process *processes;

/* Ends of processes that were nobody's while a command was being started: one of them may turn out to be that command. */
static struct {
    int pid, status;
} early[EARLY_MAX];
static size_t early_n;

/* What only the start needs. */
static void start_done(struct exec_process *x)
{
    char **const files[] = {&x->process_file, &x->pid_file, &x->log_file, &x->console_path};

    for (size_t i = 0; i < countof(files); i++) {
        if (*files[i])
            unlink(*files[i]);
        free_ptr(files[i]);
    }
    if (x->console >= 0)
        close(steal_fd(&x->console));
}

static void exec_process_free(struct exec_process *x)
{
    for (struct exec_process **at = &processes; *at; at = &(*at)->next)
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
    for (struct exec_process *x = processes; x; x = x->next)
        if (x->pid == 0)
            return true;
    return false;
}

static int code_of(int status)
{
    return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}

static void ended(struct exec_process *x, int code)
{
    struct exec_process_events events = x->events;
    void *data = x->data;
    bool left = x->left;

    exec_process_free(x);
    if (!left)
        events.on_exit(data, code);
}

bool exec_process_reaped(int pid, int status)
{
    for (struct exec_process *x = processes; x; x = x->next)
        if (x->pid == pid) {
            ended(x, code_of(status));
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
    struct exec_process *x = data;

    ended(x, x->code);
}

/* A short command may have been reaped before its starter told its number. */
static bool find_early(struct exec_process *x)
{
    for (size_t i = early_n; i-- > 0;)
        if (early[i].pid == x->pid) {
            x->code = code_of(early[i].status);
            return true;
        }
    return false;
}

/* ---- starting ------------------------------------------------------------------------------------------------------ */

static int read_pid(const struct exec_process *x)
{
    cleanup_buf struct buf text = {0};
    struct err ignored;

    return file_read(x->pid_file, 32, &text, &ignored) == 0 && text.len ? atoi(text.data) : 0;
}

/* The runtime sends the terminal before it ends: it waits in the socket by now. */
static int receive_pty(const struct exec_process *x)
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
static void explain(const struct exec_process *x, const struct child_result *r, struct err *ret)
{
    cleanup_buf struct buf log = {0};
    struct err ignored;

    child_check(r, x->name, ret);
    if (r->timed_out || file_read(x->log_file, 1 << 20, &log, &ignored) < 0 || !log.len)
        return;
    cleanup_free char *words = runtime_log_error(log.data, log.len);
    if (words)
        err_set(ret, GRPC_INTERNAL, 0, "%s: %s", x->name, words);
}

static int look_at_result(struct exec_process *x, const struct child_result *r, int *ret_pty, struct err *err)
{
    if (r->status != 0 || r->timed_out) {
        explain(x, r, err);
        return err_errno(err);
    }
    x->pid = read_pid(x);
    if (x->pid <= 1) {
        x->pid = 0;
        return err_set(err, GRPC_INTERNAL, 0, "%s: the runtime wrote no process id to its --pid-file", x->name);
    }
    if (x->console >= 0 && (*ret_pty = receive_pty(x)) < 0)
        return err_set(err, GRPC_INTERNAL, 0, "%s: the runtime sent no terminal to its --console-socket", x->name);
    return 0;
}

static void on_starter_ended(void *data, struct child_result *r)
{
    struct exec_process *x = data;
    int pty = -1;
    struct err err;

    x->child = NULL;
    if (look_at_result(x, r, &pty, &err) < 0) {
        if (x->pid) /* it runs without the terminal that it was to have */
            kill(x->pid, SIGKILL);
        if (!x->left)
            x->events.on_started(x->data, -1, &err);
        exec_process_free(x);
    } else {
        bool is_over = find_early(x);
        start_done(x);
        if (!is_over)
            x->pidfd = (int)syscall(SYS_pidfd_open, x->pid, 0);
        else
            loop_defer(x->loop, on_ended_early, x);
        if (x->left && pty >= 0)
            close(pty);
        if (!x->left)
            x->events.on_started(x->data, pty, NULL); /* may leave it, not free it */
    }
    if (!any_is_starting())
        early_n = 0;
}

static int listen_for_console(struct exec_process *x, struct err *err)
{
    struct sockaddr_un a = {.sun_family = AF_UNIX};

    if (strlen(x->console_path) >= sizeof(a.sun_path))
        return err_set(err, GRPC_FAILED_PRECONDITION, 0,
                       "%s: a terminal's socket %s is longer than %zu bytes: start cricketd with a shorter --state",
                       x->name, x->console_path, sizeof(a.sun_path) - 1);
    memcpy(a.sun_path, x->console_path, strlen(x->console_path));
    x->console = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (x->console < 0 || bind(x->console, (struct sockaddr *)&a, sizeof(a)) < 0 ||
        chmod(x->console_path, 0600) < 0 || listen(x->console, 1) < 0)
        return err_sys(err, errno, "%s: listen at %s", x->name, x->console_path);
    return 0;
}

/* The container's own process with another command line: user, capabilities, environment, limits stay as they are. */
static int write_process(const struct exec_process_spec *spec, const char *file, struct err *err)
{
    cleanup_free char *path = container_path(spec->container, "config.json");
    cleanup_buf struct buf text = {0};

    if (file_read(path, SPEC_MAX, &text, err) < 0)
        return err_errno(err);
    json_t *cleanup_json config = json_loadb(text.data, text.len, 0, NULL);
    json_t *process = json_object_get(config, "process"), *args = json_array();
    for (size_t i = 0; i < spec->cmd_n; i++)
        json_array_append_new(args, json_string(spec->cmd[i]));
    json_object_set_new(process, "terminal", json_boolean(spec->tty));
    if (!process || json_array_size(args) != spec->cmd_n) {
        json_decref(args);
        return err_set(err, GRPC_INVALID_ARGUMENT, 0, "container %.13s: the command is not valid UTF-8",
                       spec->container->id);
    }
    json_object_set_new(process, "args", args);
    cleanup_free char *dump = json_dumps(process, JSON_COMPACT);
    return file_write(file, dump, strlen(dump), 0600, err);
}

static int start(struct exec_process *x, const struct exec_process_spec *spec, struct err *err)
{
    struct container *c = spec->container;
    const struct runtime *rt;

    if (runtime_find(c->daemon->runtimes, container_pod(c)->runtime, &rt, err) < 0 ||
        write_process(spec, x->process_file, err) < 0 || (spec->tty && listen_for_console(x, err) < 0))
        return err_errno(err);
    cleanup_close int null = open("/dev/null", O_RDWR | O_CLOEXEC);
    if (null < 0)
        return err_sys(err, errno, "%s: open /dev/null", x->name);
    struct runtime_exec rx = {.id = c->id,
                              .process_file = x->process_file,
                              .pid_file = x->pid_file,
                              .console_socket = x->console_path,
                              .log_file = x->log_file,
                              .detach = true};
    cleanup_free char **argv = runtime_exec_argv(rt, &rx);
    struct child_spec child = {.name = x->name,
                               .argv = (const char *const *)argv,
                               .stdin_fd = spec->stdin_fd,
                               .stdout_fd = spec->stdout_fd >= 0 ? spec->stdout_fd : null,
                               .stderr_fd = spec->stderr_fd >= 0 ? spec->stderr_fd : null,
                               .timeout_ms = START_TIMEOUT_MS};
    return child_start(x->loop, &child, on_starter_ended, x, &x->child, err);
}

int exec_process_start(const struct exec_process_spec *spec, const struct exec_process_events *events, void *data,
                       struct exec_process **ret, struct err *err)
{
    static unsigned counter;
    struct exec_process *x = mem_new(struct exec_process);
    const char *dir = spec->container->dir;
    int r;

    *x = (struct exec_process){.events = *events,
                               .data = data,
                               .loop = spec->container->daemon->loop,
                               .pidfd = -1,
                               .console = -1,
                               .name = mem_printf("exec \"%.40s\" in container %s", spec->cmd[0],
                                                  spec->container->name)};
    counter++;
    x->process_file = mem_printf("%s/x%u.json", dir, counter);
    x->pid_file = mem_printf("%s/x%u.pid", dir, counter);
    x->log_file = mem_printf("%s/x%u.log", dir, counter);
    if (spec->tty)
        x->console_path = mem_printf("%s/t%u", dir, counter);
    r = start(x, spec, err);
    if (r < 0) {
        exec_process_free(x);
        return r;
    }
    x->next = processes;
    processes = x;
    *ret = x;
    return 0;
}

void exec_process_kill(struct exec_process *x)
{
    if (x->child)
        child_cancel(x->child);
    else if (x->pidfd >= 0)
        syscall(SYS_pidfd_send_signal, x->pidfd, SIGKILL, NULL, 0);
}

void exec_process_leave(struct exec_process *x)
{
    x->left = true;
}
