#include "helpers/enter.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#ifndef CLONE_NEWTIME
#define CLONE_NEWTIME 0x80
#endif
#define INTO_CGROUP UINT64_C(0x200000000) /* CLONE_INTO_CGROUP of linux/sched.h, which musl has not */

/* struct clone_args of linux/sched.h, version 2 */
struct clone3_args {
    uint64_t flags, pidfd, child_tid, parent_tid, exit_signal, stack, stack_size, tls, set_tid, set_tid_size,
        cgroup;
};

enum { PATH_CAP = 4096 };

static int v2_dir = -1; /* the container's directory in the v2 hierarchy */

static bool write_file(const char *path, const char *text)
{
    int fd = open(path, O_WRONLY | O_CLOEXEC), saved;

    if (fd < 0)
        return false;
    bool ok = write(fd, text, strlen(text)) >= 0;
    saved = errno;
    close(fd);
    errno = saved;
    return ok;
}

static bool procs_of(const char *dir, char *path)
{
    static const char name[] = "/cgroup.procs";
    if (strlen(dir) + sizeof(name) > PATH_CAP)
        return false;
    strcpy(stpcpy(path, dir), name);
    return true;
}

/* A hierarchy of v1 where the runtime made no directory is none of the container's; but it must be in one at least. */
static bool join_cgroups(struct enter *e)
{
    struct exec_plan_strings dirs = e->plan.cgroups;
    const char *dir;
    char path[PATH_CAP];
    int joined = 0;

    while ((dir = exec_plan_next(&dirs))) {
        if (!procs_of(dir, path))
            return enter_failed(e, ENAMETOOLONG, "cgroup ", dir);
        if (write_file(path, "0"))
            joined++;
        else if (errno != ENOENT)
            return enter_failed(e, errno, "cannot enter cgroup ", dir);
    }
    if (e->plan.cgroup_v2[0]) {
        v2_dir = open(e->plan.cgroup_v2, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (v2_dir < 0 && (errno != ENOENT || joined == 0))
            return enter_failed(e, errno, "cannot enter cgroup ", e->plan.cgroup_v2);
    }
    return joined || v2_dir >= 0 || enter_failed(e, ENOENT, "the container has no cgroup any more", NULL);
}

static void number(char *to, int n)
{
    char digits[16];
    size_t at = sizeof(digits);
    unsigned u = n < 0 ? -(unsigned)n : (unsigned)n;

    digits[--at] = '\0';
    do
        digits[--at] = (char)('0' + u % 10);
    while (u /= 10);
    if (n < 0)
        digits[--at] = '-';
    memcpy(to, digits + at, sizeof(digits) - at);
}

static bool set_oom_score_adj(struct enter *e)
{
    char text[16];

    if (!(e->plan.head->flags & EXEC_PLAN_OOM_SCORE_ADJ))
        return true;
    number(text, e->plan.head->oom_score_adj);
    return write_file("/proc/self/oom_score_adj", text) ||
           enter_failed(e, errno, "cannot set oom_score_adj to ", text);
}

/*
 * All that init has, at once, so that it is those of one process even if it ends meanwhile. Its cgroup namespace comes later:
 * from within, CLONE_INTO_CGROUP could not see where we come from.
 */
static bool join_namespaces(struct enter *e)
{
    const int flags = CLONE_NEWNS | CLONE_NEWPID | CLONE_NEWNET | CLONE_NEWIPC | CLONE_NEWUTS;
    int init = e->fds[ENTER_FD_INIT];

    if (setns(init, flags | CLONE_NEWTIME) == 0)
        return true;
    if (errno == EINVAL && setns(init, flags) == 0) /* a kernel without time namespaces */
        return true;
    return enter_failed(e, errno, "cannot enter the namespaces of the container's process", NULL);
}

bool enter_join(struct enter *e)
{
    return join_cgroups(e) && set_oom_score_adj(e) && join_namespaces(e);
}

/*
 * Born in the v2 group rather than moved there: moving waits for a grace period of RCU, some 10 ms. Where a limit of processes
 * forbids that, the runtime is asked: it moves, which no limit forbids, so that a probe still runs in a full container.
 */
pid_t enter_clone(struct enter *e)
{
    /* no exit signal: it is that of ourselves, whose sibling the command becomes */
    struct clone3_args a = {.flags = CLONE_PARENT};

    if (v2_dir >= 0) {
        a.flags |= INTO_CGROUP;
        a.cgroup = (uint64_t)v2_dir;
    }
    pid_t pid = (pid_t)syscall(SYS_clone3, &a, sizeof(a));
    if (pid < 0)
        enter_failed(e, errno, "cannot fork in the container", NULL);
    return pid;
}
