#include "helpers/keeper.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

enum { DRAIN_MS = 1000, STATUS_RETRY_MS = 100, STATUS_TRIES = 25 };

/* Of linux/pidfd.h, which musl's headers lack; PIDFD_INFO_EXIT came with Linux 6.15. */
struct pidfd_info_v0 {
    uint64_t mask, cgroupid;
    uint32_t pid, tgid, ppid, ids[8];
    int32_t exit_code; /* as waitpid(2) gives it */
};
_Static_assert(sizeof(struct pidfd_info_v0) == 64, "the size is part of the request's number");
#define PIDFD_GET_INFO_V0 _IOWR(0xFF, 11, struct pidfd_info_v0)
enum { PIDFD_WANT_EXIT = 1 << 3 };

static void record_name(char name[static ID_MAX + 16], const char *prefix, const char *id)
{
    struct text t;

    text_init(&t, name, ID_MAX + 16);
    text_add(&t, prefix);
    text_add(&t, id);
}

static void add_line(struct text *t, const char *key, int64_t value)
{
    text_add(t, key);
    text_add(t, " ");
    text_add_number(t, value);
    text_add(t, "\n");
}

/* On disk before anyone is told. Without room there (--state is a tmpfs) the keeper's memory is the only record. */
static void record_write(const struct container *c)
{
    char temp[ID_MAX + 16], name[ID_MAX + 16], text[160];
    struct text t;

    record_name(temp, "exits/.", c->id);
    record_name(name, "exits/", c->id);
    text_init(&t, text, sizeof(text));
    add_line(&t, "code", c->code);
    add_line(&t, "signal", c->signal);
    add_line(&t, "known", (c->exit_flags & KEEPER_EXIT_KNOWN) != 0);
    add_line(&t, "oom", (c->exit_flags & KEEPER_EXIT_OOM) != 0);
    add_line(&t, "finished_ns", c->finished_ns);
    int fd = openat(keeper.dir, temp, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (fd < 0)
        return;
    bool written = write(fd, text, t.len) == (ssize_t)t.len;
    close(fd);
    if (!written || renameat(keeper.dir, temp, keeper.dir, name) < 0)
        unlinkat(keeper.dir, temp, 0);
}

void record_forget(struct container *c)
{
    char name[ID_MAX + 16];

    record_name(name, "exits/", c->id);
    unlinkat(keeper.dir, name, 0);
    container_free(c);
}

static void record_load(const char *id)
{
    char name[ID_MAX + 16], text[256];
    struct container *c;

    record_name(name, "exits/", id);
    if (id[0] == '.' || strlen(id) > ID_MAX) {
        unlinkat(keeper.dir, name, 0); /* half-written by a keeper that died */
        return;
    }
    if (read_text(keeper.dir, name, text, sizeof(text)) < 0 || !(c = container_new(id)))
        return;
    c->state = CONTAINER_ENDED;
    c->code = (int32_t)number_after(text, "code");
    c->signal = (int32_t)number_after(text, "signal");
    c->finished_ns = number_after(text, "finished_ns");
    c->exit_flags = (number_after(text, "known") == 1 ? KEEPER_EXIT_KNOWN : 0) |
                    (number_after(text, "oom") == 1 ? KEEPER_EXIT_OOM : 0);
}

/* What an earlier keeper of this pod had recorded and nobody has forgotten yet. Not opendir(3): that takes heap. */
void records_load(void)
{
    struct entry {
        uint64_t ino;
        int64_t off;
        unsigned short len;
        unsigned char type;
        char name[];
    };
    cleanup_close int dir = openat(keeper.dir, "exits", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    long n;

    while (dir >= 0 && (n = syscall(SYS_getdents64, dir, scratch, sizeof(scratch))) > 0)
        for (long at = 0; at < n;) {
            const struct entry *e = (const struct entry *)(scratch + at);
            at += e->len;
            if (strcmp(e->name, ".") != 0 && strcmp(e->name, "..") != 0)
                record_load(e->name);
        }
}

static void end(struct container *c)
{
    c->state = CONTAINER_ENDED;
    c->deadline_ms = 0;
    log_write_loss(c);
    if (c->forget)
        record_forget(c);
    else
        send_exit(c);
}

/* Joins the exit and the end of the output, which arrive in either order: a log is complete only after both. */
void container_check_end(struct container *c)
{
    if (c->out.fd >= 0 || c->err.fd >= 0)
        return;
    if (c->state == CONTAINER_DRAINING)
        end(c); /* c may be gone */
    else if (c->state == CONTAINER_ENDED && c->log_fd >= 0) {
        close(c->log_fd);
        c->log_fd = -1;
    }
}

void container_exited(struct container *c, int status, bool known, int64_t finished_ns)
{
    oom_read(c);
    c->pid = 0;
    c->code = WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
    c->signal = WIFSIGNALED(status) ? WTERMSIG(status) : 0;
    c->finished_ns = finished_ns;
    c->exit_flags = (known ? KEEPER_EXIT_KNOWN : 0) | (c->ooms > c->ooms_before ? KEEPER_EXIT_OOM : 0);
    source_close(&c->pidfd);
    source_close(&c->oom);
    if (c->in_fd >= 0)
        close(c->in_fd);
    c->in_fd = -1;
    c->state = CONTAINER_DRAINING;
    c->deadline_ms = now_ms() + DRAIN_MS;
    record_write(c);
    log_drain(&c->out);
    log_drain(&c->err);
    container_check_end(c);
}

/*
 * Whether a container that was somebody else's child has become ours: crun's `run --detach` leaves it with a process that
 * may end a little after the command, and only then are we the parent. From then on it needs no pidfd.
 */
static bool becomes_ours(struct container *c)
{
    siginfo_t info;

    if (c->pidfd.fd < 0 || waitid(P_PIDFD, (id_t)c->pidfd.fd, &info, WEXITED | WNOHANG | WNOWAIT) < 0)
        return false;
    source_close(&c->pidfd);
    c->deadline_ms = 0;
    keeper.reap = true;
    return true;
}

/* The kernel tells the status of another's child once its parent has reaped it (Linux 6.15), or the daemon does. */
static void try_status(struct container *c)
{
    struct pidfd_info_v0 info = {.mask = PIDFD_WANT_EXIT};

    if (becomes_ours(c))
        return;
    if (ioctl(c->pidfd.fd, PIDFD_GET_INFO_V0, &info) == 0 && (info.mask & PIDFD_WANT_EXIT))
        container_exited(c, info.exit_code, true, c->finished_ns);
    else if (c->tries++ < STATUS_TRIES)
        c->deadline_ms = now_ms() + STATUS_RETRY_MS;
    else
        container_exited(c, 0, false, c->finished_ns);
}

static void pidfd_on_ready(struct source *s, uint32_t events)
{
    (void)events;
    epoll_ctl(keeper.epoll, EPOLL_CTL_DEL, s->fd, NULL); /* it stays ready */
    s->container->finished_ns = now_ns();
    try_status(s->container);
}

void container_watch(struct container *c)
{
    siginfo_t info;

    c->state = CONTAINER_RUNNING;
    keeper.reap = true; /* it may have ended already, and its SIGCHLD be consumed */
    if (c->out.fd >= 0)
        source_add(&c->out, EPOLLIN);
    if (c->err.fd >= 0)
        source_add(&c->err, EPOLLIN);
    oom_watch(c);
    if (waitid(P_PID, (id_t)c->pid, &info, WEXITED | WNOHANG | WNOWAIT) == 0)
        return;
    c->pidfd.fd = (int)syscall(SYS_pidfd_open, c->pid, 0);
    c->pidfd.on_ready = pidfd_on_ready;
    if (c->pidfd.fd >= 0) {
        source_add(&c->pidfd, EPOLLIN);
        return;
    }
    c->finished_ns = now_ns();
    c->deadline_ms = now_ms() + STATUS_RETRY_MS; /* gone: the daemon may still know how */
    c->tries = STATUS_TRIES - 10;
}

void container_timeout(struct container *c)
{
    if (c->state == CONTAINER_CREATING)
        create_timeout(c);
    else if (c->state == CONTAINER_DRAINING)
        end(c); /* a grandchild holds the output: it goes on to the log, but the exit is told */
    else if (c->state == CONTAINER_RUNNING)
        try_status(c);
}

static void dispatch(pid_t pid, int status)
{
    struct container *c = keeper.containers;

    while (c && c->command != pid && (c->pid != pid || c->pidfd.fd >= 0))
        c = c->next;
    keeper.reap = true; /* look again: a command that ended names a container that may have ended too */
    if (pid == keeper.mover) {
        keeper.mover = 0;
        if (status != 0) {
            keeper.flags |= KEEPER_NO_CGROUP;
            send_flags();
        }
        return;
    }
    if (!c)
        return; /* an orphan */
    if (c->command == pid)
        create_ended(c, status);
    else
        container_exited(c, status, true, now_ns());
}

static bool reap_one(pid_t pid)
{
    int status;

    if (pid <= 0 || waitpid(pid, &status, WNOHANG) != pid)
        return false;
    dispatch(pid, status);
    return true;
}

/* Looks before it reaps: what is dead by then and has become ours is known to be a container, not an orphan. */
static void reap_any(void)
{
    siginfo_t info = {0};

    if (waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT) < 0 || info.si_pid == 0)
        return;
    for (struct container *c = keeper.containers; c; c = c->next)
        becomes_ours(c);
    reap_one(info.si_pid);
}

/* While a command runs, only those that we know: the orphan of an unknown number may be the container that it makes. */
void reap(void)
{
    while (keeper.reap) {
        keeper.reap = false;
        if (keeper.creating == 0) {
            reap_any();
            continue;
        }
        reap_one(keeper.mover);
        for (struct container *c = keeper.containers; c; c = c->next) {
            becomes_ours(c);
            if (c->pidfd.fd < 0 && reap_one(c->command ? c->command : c->pid))
                break; /* the list may have changed */
        }
    }
}
