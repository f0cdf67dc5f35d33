#include "loop/enter.h"
#include "core/enter_wire.h"
#include "core/exec_plan.h"
#include "core/log.h"
#include "core/mem.h"
#include "loop/child.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>

#ifndef MFD_EXEC
#define MFD_EXEC 0x10u /* Linux 6.3 */
#endif

/* Owned by whoever has a pointer to it: the door's owner until it closes it, and its child until that has ended. */
struct enter_door {
    int socket; /* -1: closed */
    struct child *child;
};

struct enter {
    struct enter *next, **link; /* among those that have not got their command's pid; link NULL: not there */
    struct loop *loop;
    struct enter_door
        *own; /* of a cricket-enter for this command alone; NULL when it has ended, or was never there */
    int status_fd, block_fd;
    struct watch *watch;
    struct timer timer;
    int pid;            /* 0: not known */
    int pidfd, pty_fd;  /* -1: none */
    bool told, started; /* on_started was called; without an error */
    bool reaped, killed, timed_out;
    int exit_status;
    int timeout_ms;
    const struct enter_events *ev;
    void *data;
};

static struct enter *awaiting; /* their pid */
static int program_fd = -1;

/* ---- the program: a sealed copy, which no process in a container can write through its /proc/PID/exe ---- */

static int copy_program(const char *binary, int to, struct err *err)
{
    cleanup_close int from = open(binary, O_RDONLY | O_CLOEXEC);
    struct stat st;
    off_t at = 0;

    if (from < 0 || fstat(from, &st) < 0)
        return err_sys(err, errno, "cannot read helper %s", binary);
    while (at < st.st_size) {
        ssize_t n = sendfile(to, from, &at, (size_t)(st.st_size - at));
        if (n <= 0)
            return err_sys(err, n < 0 ? errno : EIO, "cannot copy helper %s", binary);
    }
    return 0;
}

int enter_load(const char *binary, struct err *err)
{
    if (program_fd >= 0)
        return 0;
    cleanup_close int fd = memfd_create("cricket-enter", MFD_CLOEXEC | MFD_ALLOW_SEALING | MFD_EXEC);
    if (fd < 0 && errno == EINVAL)
        fd = memfd_create("cricket-enter", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    if (fd < 0)
        return err_sys(err, errno, "cannot make a memfd for helper %s", binary);
    if (copy_program(binary, fd, err) < 0)
        return err_errno(err);
    if (fcntl(fd, F_ADD_SEALS, F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE) < 0)
        return err_sys(err, errno, "cannot seal the copy of helper %s", binary);
    program_fd = steal_fd(&fd);
    return 0;
}

/* ---- a running cricket-enter ---- */

static void door_unref(struct enter_door *d)
{
    if (d->socket < 0 && !d->child)
        free(d);
}

static void on_helper_end(void *data, struct child_result *r)
{
    struct enter_door *d = data;
    struct err err;

    if (child_check(r, "cricket-enter", &err) < 0 && !r->cancelled)
        log_debug("%s", err.msg); /* what it means for a command is told there */
    d->child = NULL;
    door_unref(d);
}

int enter_door_open(struct loop *l, const char *binary, struct enter_door **ret_door, struct err *err)
{
    static const char *const argv[] = {"cricket-enter", NULL};
    static const char *const envp[] = {NULL};
    cleanup_close int ours = -1, theirs = -1;
    char file[32];
    int pair[2];

    if (enter_load(binary, err) < 0)
        return err_errno(err);
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
        return err_sys(err, errno, "cannot make a socket for cricket-enter");
    ours = pair[0];
    theirs = pair[1];
    snprintf(file, sizeof(file), "/proc/self/fd/%d", program_fd);
    struct child_spec spec = {
        .argv = argv, .envp = envp, .file = file, .fd3 = theirs, .out_max = 1024, .err_max = 1024};
    struct enter_door *d = mem_new(struct enter_door);
    d->socket = -1;
    if (child_start(l, &spec, on_helper_end, d, &d->child, err) < 0) {
        free(d);
        return err_errno(err);
    }
    d->socket = steal_fd(&ours);
    *ret_door = d;
    return 0;
}

void enter_door_close(struct enter_door *d)
{
    if (!d)
        return;
    close(d->socket);
    d->socket = -1;
    door_unref(d);
}

bool enter_door_works(const struct enter_door *d)
{
    return d->child != NULL;
}

/* ---- one command ---- */

static void forget_awaiting(struct enter *e)
{
    if (!e->link)
        return;
    *e->link = e->next;
    if (e->next)
        e->next->link = e->link;
    e->link = NULL;
}

static void add_awaiting(struct enter *e)
{
    e->next = awaiting;
    if (awaiting)
        awaiting->link = &e->next;
    e->link = &awaiting;
    awaiting = e;
}

static void close_status(struct enter *e)
{
    timer_stop(&e->timer);
    watch_stop(e->watch);
    e->watch = NULL;
    forget_awaiting(e);
    if (e->status_fd >= 0)
        close(steal_fd(&e->status_fd));
    if (e->block_fd >= 0)
        close(steal_fd(&e->block_fd));
    enter_door_close(e->own);
    e->own = NULL;
}

static void enter_free(struct enter *e)
{
    close_status(e);
    if (e->pidfd >= 0)
        close(e->pidfd);
    if (e->pty_fd >= 0)
        close(e->pty_fd);
    free(e);
}

static int outcome(struct enter *e, struct err *err)
{
    struct enter_outcome o = {0};

    if (pread(e->block_fd, &o, sizeof(o), 0) != (ssize_t)sizeof(o))
        return err_set(err, GRPC_INTERNAL, errno, "the outcome of cricket-enter cannot be read");
    o.text[sizeof(o.text) - 1] = '\0';
    if (o.state == ENTER_RUNS && e->pid > 0)
        return 0;
    if (e->timed_out)
        return err_set(err, GRPC_DEADLINE_EXCEEDED, 0, "it had not begun after %d ms", e->timeout_ms);
    if (e->killed)
        return err_set(err, GRPC_CANCELLED, 0, "killed before it had begun");
    if (o.state == ENTER_FAILED)
        return err_set(err, GRPC_INTERNAL, o.error, "%s", o.text);
    return err_set(err, GRPC_INTERNAL, 0, "it ended before it had begun");
}

/* Both its start and its end are known, or the first alone: tells what has not been told. */
static void tell(struct enter *e)
{
    const struct enter_events *ev = e->ev;
    void *data = e->data;

    if (!e->told)
        return;
    if (!e->reaped && e->pid > 0)
        return;
    int status = e->exit_status;
    bool started = e->started;
    enter_free(e);
    if (started)
        ev->on_exit(data, status);
}

static void on_status_end(struct enter *e)
{
    struct err err;

    e->started = outcome(e, &err) == 0;
    e->told = true;
    close_status(e);
    if (e->started && e->pidfd < 0)
        e->pidfd = (int)syscall(SYS_pidfd_open, e->pid, 0);
    e->ev->on_started(e->data, e->started ? e->pid : 0, e->started ? e->pidfd : -1,
                      e->started ? steal_fd(&e->pty_fd) : -1, e->started ? NULL : &err);
    tell(e);
}

static void on_reaped(void *data, int status)
{
    struct enter *e = data;

    e->reaped = true;
    e->exit_status = status;
    tell(e); /* or else the end of the status socket is about to be read */
}

static void take_pid(struct enter *e, int pid)
{
    forget_awaiting(e);
    e->pid = pid;
    if (child_adopt(e->loop, pid, on_reaped, e) < 0)
        e->reaped = true; /* killed before it was let go, so that it has not begun */
    else if (e->killed)
        kill(pid, SIGKILL);
}

/* 1: a reply; 0: its end; -1: none now. */
static int receive(struct enter *e, struct enter_reply *r, int *ret_fd)
{
    struct iovec iov = {.iov_base = r, .iov_len = sizeof(*r)};
    union {
        struct cmsghdr head;
        char bytes[CMSG_SPACE(sizeof(int))];
    } control;
    struct msghdr m = {.msg_iov = &iov,
                       .msg_iovlen = 1,
                       .msg_control = control.bytes,
                       .msg_controllen = sizeof(control.bytes)};
    ssize_t n = recvmsg(e->status_fd, &m, MSG_CMSG_CLOEXEC | MSG_DONTWAIT);

    *ret_fd = -1;
    if (n < 0)
        return errno == EAGAIN || errno == EINTR ? -1 : 0;
    struct cmsghdr *c = CMSG_FIRSTHDR(&m);
    if (n > 0 && c && c->cmsg_type == SCM_RIGHTS && c->cmsg_len == CMSG_LEN(sizeof(int)))
        memcpy(ret_fd, CMSG_DATA(c), sizeof(int));
    return n == (ssize_t)sizeof(*r);
}

static void on_status(void *data, int events)
{
    struct enter *e = data;
    struct enter_reply r;
    int fd, got;

    (void)events;
    while ((got = receive(e, &r, &fd)) > 0) {
        if (r.kind == ENTER_PID && e->pid == 0 && r.pid > 1)
            take_pid(e, r.pid);
        if (fd >= 0 && r.kind == ENTER_TERMINAL && e->pty_fd < 0)
            e->pty_fd = steal_fd(&fd);
        if (fd >= 0)
            close(fd);
    }
    if (got == 0)
        on_status_end(e);
}

static void look_for_pid(struct enter *e)
{
    struct enter_reply r;
    int fd;

    if (receive(e, &r, &fd) > 0 && r.kind == ENTER_PID && r.pid > 1)
        take_pid(e, r.pid);
    if (fd >= 0)
        close(fd);
}

/* A child has ended that nobody knows. The pid of a command was sent before it was let go: it can be read by now. */
static void look_for_pids(void)
{
    struct enter *next;

    for (struct enter *e = awaiting; e; e = next) {
        next = e->next;
        look_for_pid(e);
    }
}

static void on_timeout(void *data)
{
    struct enter *e = data;

    e->timed_out = true;
    enter_kill(e);
}

/*
 * A door that does not get to it, and serves others: nothing can be sent to us any more, so what has not been sent is not let
 * go; what has been tells the pid.
 */
static void give_up(void *data)
{
    struct enter *e = data;

    shutdown(e->status_fd, SHUT_RD);
    look_for_pid(e);
    if (e->pid == 0)
        on_status_end(e);
}

void enter_kill(struct enter *e)
{
    e->killed = true;
    if (e->pid > 0 && !e->reaped)
        kill(e->pid, SIGKILL); /* not reaped: the number is its own */
    else if (e->pid == 0 && e->own && e->own->child)
        child_cancel(e->own->child); /* a command that it has made is not let go then */
    else if (e->pid == 0 && !e->own)
        timer_start(&e->timer, e->loop, 0, give_up, e);
}

/* The outcome, zero, and the plan. */
static int make_block(const struct enter_spec *s, struct err *err)
{
    int fd = memfd_create("exec-plan", MFD_CLOEXEC);

    if (fd < 0)
        return err_sys(err, errno, "cannot make a memfd for an exec plan");
    if (pwrite(fd, s->plan, s->plan_len, ENTER_PLAN_OFFSET) == (ssize_t)s->plan_len)
        return fd;
    int sys = errno;
    close(fd);
    return err_sys(err, sys, "cannot write an exec plan of %zu bytes", s->plan_len);
}

static int send_request(int socket, uint32_t flags, int status, int block, const struct enter_spec *s)
{
    const int fds[ENTER_FDS] = {status, block, s->init_pidfd, s->stdin_fd, s->stdout_fd, s->stderr_fd};
    size_t size = sizeof(int) * (s->stdin_fd > 0 ? ENTER_FDS : ENTER_FD_STDIN);
    struct enter_request r = {.version = ENTER_VERSION, .flags = flags};
    struct iovec iov = {.iov_base = &r, .iov_len = sizeof(r)};
    union {
        struct cmsghdr head;
        char bytes[CMSG_SPACE(sizeof(fds))];
    } control = {0};
    struct msghdr m = {
        .msg_iov = &iov, .msg_iovlen = 1, .msg_control = control.bytes, .msg_controllen = CMSG_SPACE(size)};

    control.head.cmsg_level = SOL_SOCKET;
    control.head.cmsg_type = SCM_RIGHTS;
    control.head.cmsg_len = CMSG_LEN(size);
    memcpy(CMSG_DATA(&control.head), fds, size);
    return sendmsg(socket, &m, MSG_NOSIGNAL | MSG_DONTWAIT) < 0 ? -errno : 0;
}

int enter_start(struct loop *l, const char *binary, const struct enter_spec *spec,
                const struct enter_events *ev, void *data, struct enter **ret_enter, struct err *err)
{
    cleanup_close int ours = -1, theirs = -1, block = make_block(spec, err);
    struct enter_door *own = NULL;
    int pair[2], r;

    if (block < 0)
        return err_errno(err);
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
        return err_sys(err, errno, "cannot make a socket for cricket-enter");
    ours = pair[0];
    theirs = pair[1];
    if (!spec->door && enter_door_open(l, binary, &own, err) < 0)
        return err_errno(err);
    r = send_request(own ? own->socket : spec->door->socket, own ? ENTER_LAST : 0, theirs, block, spec);
    if (r < 0) {
        enter_door_close(own);
        return err_sys(err, -r, "cannot send a plan to cricket-enter");
    }
    child_set_stranger_hook(l, look_for_pids);
    struct enter *e = mem_new(struct enter);
    *e = (struct enter){.loop = l,
                        .own = own,
                        .status_fd = steal_fd(&ours),
                        .block_fd = steal_fd(&block),
                        .pidfd = -1,
                        .pty_fd = -1,
                        .timeout_ms = spec->timeout_ms,
                        .ev = ev,
                        .data = data};
    e->watch = watch_start(l, e->status_fd, WATCH_READ, on_status, e);
    if (spec->timeout_ms > 0)
        timer_start(&e->timer, l, spec->timeout_ms / 1000., on_timeout, e);
    add_awaiting(e);
    *ret_enter = e;
    return 0;
}
