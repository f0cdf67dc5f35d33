#include "helpers/keeper.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <unistd.h>

#define CGROUP_ROOT "/sys/fs/cgroup"

static bool make_directories(char *path, size_t from)
{
    for (char *p = path + from; (p = strchr(p + 1, '/'));) {
        *p = '\0';
        int r = mkdir(path, 0755);
        *p = '/';
        if (r < 0 && errno != EEXIST)
            return false;
    }
    return mkdir(path, 0755) == 0 || errno == EEXIST;
}

static bool enter(const char *hierarchy, const char *path, const char *leaf, pid_t pid)
{
    char *dir = scratch; /* not the stack: its pages stay */
    struct text t;

    text_init(&t, dir, PATH_MAX - sizeof("/cgroup.procs"));
    text_add(&t, hierarchy);
    text_add(&t, path);
    text_add(&t, leaf);
    if (t.len + 1 >= t.cap || !make_directories(dir, strlen(hierarchy)))
        return false;
    strcpy(dir + t.len, "/cgroup.procs");
    cleanup_close int fd = open(dir, O_WRONLY | O_CLOEXEC);
    text_init(&t, dir, PATH_MAX);
    text_add_number(&t, pid);
    return fd >= 0 && write(fd, dir, t.len) == (ssize_t)t.len;
}

static bool is_v2(void)
{
    return access(CGROUP_ROOT "/cgroup.controllers", F_OK) == 0;
}

/* The value of the line of /proc/PID/cgroup ("4:memory:/a", v2 "0::/a") that names the controller. */
static bool find_line(const char *text, const char *controller, const char **ret_path, size_t *ret_len)
{
    size_t n = strlen(controller);

    for (const char *line = text; line && *line; line = strchr(line, '\n'), line = line ? line + 1 : NULL) {
        const char *names = strchr(line, ':');
        const char *path = names ? strchr(names + 1, ':') : NULL;
        if (!path)
            return false;
        for (const char *p = names + 1; p <= path; p += strcspn(p, ",:") + 1) {
            if (strcspn(p, ",:") != n || strncmp(p, controller, n) != 0)
                continue;
            *ret_path = path + 1;
            *ret_len = strcspn(path + 1, "\n");
            return true;
        }
    }
    return false;
}

/* Where we are, for what must not be slowed down by the pod's limit: v1's cpu hierarchy, or the only one. -1: not known. */
int cgroup_home(void)
{
    bool v2 = is_v2();
    const char *path;
    char *file = scratch + sizeof(scratch) / 2;
    size_t len;
    struct text t;

    if (read_text(AT_FDCWD, "/proc/self/cgroup", scratch, sizeof(scratch) / 2) < 0 ||
        !find_line(scratch, v2 ? "" : "cpu", &path, &len))
        return -1;
    text_init(&t, file, PATH_MAX);
    text_add(&t, v2 ? CGROUP_ROOT : CGROUP_ROOT "/cpu");
    text_add_n(&t, path, len);
    text_add(&t, "/cgroup.procs");
    return open(file, O_WRONLY | O_CLOEXEC);
}

static bool enter_all(const char *path, pid_t pid)
{
    /* those that account for what a keeper costs; its memory is the pod's */
    static const char *const v1[] = {CGROUP_ROOT "/memory", CGROUP_ROOT "/cpu", CGROUP_ROOT "/cpuacct",
                                     CGROUP_ROOT "/pids"};
    bool ok = true, any = false;

    if (path[0] != '/' || strstr(path, "/../"))
        return false;
    /* v2 lets no process live in a group that has controllers on for its children: a leaf of our own */
    if (is_v2())
        return enter(CGROUP_ROOT, path, "/cricket-keeper", pid);
    for (size_t i = 0; i < countof(v1); i++) {
        if (access(v1[i], F_OK) != 0)
            continue;
        any = true;
        ok = enter(v1[i], path, "", pid) && ok;
    }
    return any && ok;
}

/*
 * Moving a process takes the kernel a grace period of RCU, some 10 ms, which the starting pod would have to wait for: a
 * child writes our number instead.
 */
pid_t cgroup_enter(const char *path)
{
    pid_t keeper_pid = getpid(), mover = fork();

    if (mover != 0)
        return mover;
    prctl(PR_SET_PDEATHSIG, SIGKILL); /* it must not make the group again when we and the pod are gone */
    if (getppid() != keeper_pid)
        _exit(1);
    _exit(enter_all(path, keeper_pid) ? 0 : 1);
}

static void oom_on_ready(struct source *s, uint32_t events)
{
    (void)events;
    if (!oom_read(s->container))
        source_close(s); /* a removed group is ready for ever */
}

void oom_watch(struct container *c)
{
    char proc[32];
    const char *path;
    size_t len;
    struct text t;
    bool v2 = false;

    text_init(&t, proc, sizeof(proc));
    text_add(&t, "/proc/");
    text_add_number(&t, c->pid);
    text_add(&t, "/cgroup");
    if (read_text(AT_FDCWD, proc, scratch, sizeof(scratch)) < 0)
        return;
    if (!find_line(scratch, "memory", &path, &len)) {
        v2 = true;
        if (!find_line(scratch, "", &path, &len))
            return;
    }
    text_init(&t, c->oom_path, sizeof(c->oom_path));
    text_add(&t, v2 ? CGROUP_ROOT : CGROUP_ROOT "/memory");
    text_add_n(&t, path, len);
    text_add(&t, v2 ? "/memory.events" : "/memory.oom_control");
    c->oom.fd = open(c->oom_path, O_RDONLY | O_CLOEXEC);
    c->oom.on_ready = oom_on_ready;
    if (c->oom.fd < 0)
        return;
    oom_read(c);
    c->ooms_before = c->ooms;
    /* systemd removes a scope's group as soon as it is empty: on v2 the kernel tells of each change before that */
    if (v2)
        source_add(&c->oom, EPOLLPRI);
}

bool oom_read(struct container *c)
{
    char text[512];
    ssize_t n = c->oom.fd < 0 ? -1 : pread(c->oom.fd, text, sizeof(text) - 1, 0);

    if (n < 0)
        return false; /* the group is gone: the last count stands */
    text[n] = '\0';
    int64_t kills = number_after(text, "oom_kill");
    if (kills > c->ooms)
        c->ooms = kills;
    return true;
}
