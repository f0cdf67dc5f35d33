#include "helpers/keeper.h"
#include "core/err.h"
#include "core/program_mount.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

extern char **environ;

struct stdio {
    int fds[3]; /* the command's stdin, stdout and stderr; -1: our /dev/null */
};

static void stdio_close(struct stdio *io)
{
    for (int i = 0; i < 3; i++)
        if (io->fds[i] >= 0)
            close(io->fds[i]);
}

/* Nothing is left of a create that failed when the daemon hears of it: neither descriptors, nor a socket, nor a log that it began. */
static void create_failed(struct container *c, int grpc, const char *why)
{
    uint32_t seq = c->seq;
    struct stat st;

    if (c->console_path[0])
        unlink(c->console_path);
    if (c->log_is_new && fstat(c->log_fd, &st) == 0 && st.st_size == 0)
        unlink(c->log_path);
    container_free(c);
    send_reply(seq, grpc, why);
}

static void create_failed_errno(struct container *c, const char *what, const char *object)
{
    char why[512];
    struct text t;
    int e = errno;

    text_init(&t, why, sizeof(why));
    text_add(&t, what);
    text_add(&t, " ");
    text_add(&t, object);
    text_add(&t, ": ");
    text_add(&t, strerror(e));
    create_failed(c, e == ENOSPC || e == EMFILE || e == ENFILE ? GRPC_RESOURCE_EXHAUSTED : GRPC_INTERNAL, why);
}

/* `ours` gets the end of ours, which does not block; *theirs the other one. */
static bool make_pipe(int *ours, int *theirs, bool we_read)
{
    int fds[2];

    if (pipe2(fds, O_CLOEXEC) < 0)
        return false;
    *ours = fds[we_read ? 0 : 1];
    *theirs = fds[we_read ? 1 : 0];
    fcntl(*ours, F_SETFL, O_NONBLOCK);
    return true;
}

static bool make_console(struct container *c)
{
    struct sockaddr_un a = {.sun_family = AF_UNIX};

    text_copy(a.sun_path, sizeof(a.sun_path), c->console_path);
    unlink(c->console_path);
    c->console.fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    return c->console.fd >= 0 && bind(c->console.fd, (struct sockaddr *)&a, sizeof(a)) == 0 &&
           chmod(c->console_path, 0600) == 0 && listen(c->console.fd, 1) == 0;
}

static bool make_stdio(struct container *c, struct stdio *io, uint32_t flags)
{
    if (!make_pipe(&c->err.fd, &io->fds[2], true))
        return false;
    if (c->tty)
        return make_console(c);
    if (!make_pipe(&c->out.fd, &io->fds[1], true))
        return false;
    return !(flags & KEEPER_STDIN_OPEN) || make_pipe(&c->in_fd, &io->fds[0], false);
}

/* In the child. Its output is the container's, so its last words on stderr reach whoever asked. */
static void run_command(const struct stdio *io, struct keeper_strings strings,
                        const struct keeper_create_msg *m)
{
    char *argv[KEEPER_ARGC_MAX + 1];
    sigset_t none;

    setsid(); /* the time limit kills all of it */
    for (int i = 1; i < _NSIG; i++)
        signal(i, SIG_DFL);
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    if (keeper.oom_score_adj[0]) {
        int fd = open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC);
        if (fd < 0 || write(fd, keeper.oom_score_adj, strlen(keeper.oom_score_adj)) < 0)
            _exit(126); /* a container must not inherit our protection */
    }
    /* a pod with a tenth of a processor would take ten times as long to start; where that fails, it does */
    if (keeper.home >= 0)
        (void)!write(keeper.home, "0", 1);
    for (int i = 0; i < 3; i++)
        if (io->fds[i] >= 0)
            dup2(io->fds[i], i);
    for (uint32_t i = 0; i < m->argc; i++)
        argv[i] = (char *)(uintptr_t)keeper_next_string(&strings);
    argv[m->argc] = NULL;
    int program = m->flags & KEEPER_PROGRAM_MOUNT ? program_mount(argv[0]) : -1;
    if (program >= 0)
        syscall(SYS_execveat, program, "", argv, environ, AT_EMPTY_PATH);
    execvp(argv[0], argv);

    struct text t;
    text_init(&t, answer, sizeof(answer));
    text_add(&t, "cannot run ");
    text_add(&t, argv[0]);
    text_add(&t, ": ");
    text_add(&t, strerror(errno));
    _exit(write(2, answer, t.len) < 0 ? 126 : 127);
}

static void start_command(struct container *c, const struct keeper_create_msg *m, struct keeper_strings argv)
{
    struct stdio io = {.fds = {-1, -1, -1}};

    if (!make_stdio(c, &io, m->flags)) {
        create_failed_errno(c, c->tty ? "cannot listen at console socket" : "cannot make pipes for",
                            c->tty ? c->console_path : c->id);
        stdio_close(&io);
        return;
    }
    c->command = fork();
    if (c->command == 0)
        run_command(&io, argv, m);
    stdio_close(&io);
    if (c->command < 0) {
        c->command = 0;
        create_failed_errno(c, "cannot fork for", c->id);
        return;
    }
    keeper.creating++;
    /*
     * Without a tty the command's stderr is the container's, which may print before `run` has ended: it is not read
     * before the outcome tells whose words they are, an error's or the log's.
     */
    if (c->tty)
        source_add(&c->err, EPOLLIN);
    if (m->timeout_ms)
        c->deadline_ms = now_ms() + m->timeout_ms;
}

static const char *check_request(const struct keeper_create_msg *m, const char *id, struct keeper_strings argv)
{
    uint32_t n = 0;

    if (id[0] == '\0' || id[0] == '.' || strlen(id) > ID_MAX || strchr(id, '/'))
        return "container id is not 1 to 64 characters without a slash";
    while (keeper_has_string(&argv) && n <= KEEPER_ARGC_MAX) {
        keeper_next_string(&argv);
        n++;
    }
    if (m->argc == 0 || m->argc > KEEPER_ARGC_MAX || n < m->argc)
        return "the command has no or too many arguments, at most 256";
    return NULL;
}

void create_start(const struct keeper_create_msg *m, struct keeper_strings *strings)
{
    const char *id = keeper_next_string(strings), *pid_path = keeper_next_string(strings);
    const char *console = keeper_next_string(strings), *log_path = keeper_next_string(strings);
    const char *wrong = check_request(m, id, *strings);

    if (wrong) {
        send_reply(m->head.seq, GRPC_INVALID_ARGUMENT, wrong);
        return;
    }
    if (container_find(id)) {
        send_reply(m->head.seq, GRPC_ALREADY_EXISTS, "the keeper has this container already");
        return;
    }
    struct container *c = container_new(id);
    if (!c) {
        send_reply(m->head.seq, GRPC_RESOURCE_EXHAUSTED, "no memory for another container");
        return;
    }
    c->seq = m->head.seq;
    c->tty = console[0] != '\0';
    if (!text_copy(c->pid_path, sizeof(c->pid_path), pid_path) ||
        !text_copy(c->log_path, sizeof(c->log_path), log_path) ||
        !text_copy(c->console_path, sizeof(c->console_path), console)) {
        c->console_path[0] = '\0';
        create_failed(c, GRPC_INVALID_ARGUMENT,
                      "a path is too long: pid file at most 699, log 1399, console socket 107 bytes");
        return;
    }
    if (log_path[0] && (c->log_fd = log_open(log_path, &c->log_is_new)) < 0) {
        c->console_path[0] = '\0';
        create_failed_errno(c, "cannot open log", log_path);
        return;
    }
    start_command(c, m, *strings);
}

void create_timeout(struct container *c)
{
    c->timed_out = true;
    kill(-c->command, SIGKILL);
    kill(c->command, SIGKILL); /* it may not have made its session yet */
}

/* The runtime sends the master of the pty before it ends, so that it waits in the socket by now. */
static bool receive_pty(struct container *c)
{
    char byte[64];
    union { /* CMSG_LEN, not SPACE, limits it to one descriptor: the kernel drops more */
        struct cmsghdr head;
        char room[CMSG_SPACE(sizeof(int))];
    } control;
    struct iovec iov = {.iov_base = byte, .iov_len = sizeof(byte)};
    struct msghdr m = {
        .msg_iov = &iov, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = CMSG_LEN(sizeof(int))};
    cleanup_close int fd = accept4(c->console.fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);

    if (fd < 0 || recvmsg(fd, &m, MSG_CMSG_CLOEXEC) <= 0)
        return false;
    struct cmsghdr *h = CMSG_FIRSTHDR(&m);
    if (!h || h->cmsg_level != SOL_SOCKET || h->cmsg_type != SCM_RIGHTS)
        return false;
    memcpy(&c->out.fd, CMSG_DATA(h), sizeof(int));
    fcntl(c->out.fd, F_SETFL, O_NONBLOCK);
    return true;
}

static void say_status(struct container *c, int status, struct text *t)
{
    while (c->tail_len && (c->tail[c->tail_len - 1] == '\n' || c->tail[c->tail_len - 1] == '\r'))
        c->tail_len--;
    if (c->timed_out)
        text_add(t, "took too long and was killed");
    else if (c->forget)
        text_add(t, "was killed, as the container is not wanted any more");
    else {
        text_add(t, WIFSIGNALED(status) ? "killed by signal " : "exit status ");
        text_add_number(t, WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status));
    }
    if (c->tail_len)
        text_add(t, ": ");
    text_add_n(t, c->tail, c->tail_len);
}

static pid_t read_pid(const char *path)
{
    char text[32];
    pid_t pid = 0;

    if (read_text(AT_FDCWD, path, text, sizeof(text)) <= 0)
        return 0;
    for (const char *p = text; *p >= '0' && *p <= '9' && pid < 100000000; p++)
        pid = pid * 10 + (*p - '0');
    return pid;
}

void create_ended(struct container *c, int status)
{
    char why[TAIL_MAX + 100];
    struct text t;

    c->command = 0;
    c->deadline_ms = 0;
    keeper.creating--;
    if (status != 0 || c->timed_out || c->forget) {
        log_drain(&c->err);
        text_init(&t, why, sizeof(why));
        say_status(c, status, &t);
        create_failed(c,
                      c->timed_out ? GRPC_DEADLINE_EXCEEDED
                      : c->forget  ? GRPC_CANCELLED
                                   : GRPC_INTERNAL,
                      why);
        return;
    }
    c->pid = read_pid(c->pid_path);
    if (c->pid <= 1) {
        create_failed(c, GRPC_INTERNAL, "the command succeeded but wrote no process id to its --pid-file");
        return;
    }
    if (c->tty) {
        bool received = receive_pty(c);
        source_close(&c->console);
        source_close(&c->err);
        if (!received) {
            create_failed(c, GRPC_INTERNAL,
                          "the command succeeded but sent no terminal to its --console-socket");
            return;
        }
        unlink(c->console_path);
    }
    send_created(c);
    container_watch(c);
}
