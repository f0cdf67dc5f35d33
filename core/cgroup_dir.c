/* What happens to the directories of a cgroup: made, removed, listed, killed. */
#include "core/cgroup.h"
#include "core/file.h"
#include "core/mem.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

enum { DEPTH_MAX = 8, DIRS_MAX = 1024, PROCS_MAX = 1 << 20, KILL_AT_ONCE = 4096, CPUSET_MAX = 4096 };

char *cgroup_dir_path(const struct cgroup_mount *m, const char *dir)
{
    size_t n = strlen(m->root);

    if (n > 1 && strncmp(dir, m->root, n) == 0 && (dir[n] == '/' || dir[n] == '\0'))
        dir += n;
    return mem_printf("%s%s", m->path, dir);
}

/* "/", or a name that could mean it. */
static bool is_root(const char *dir)
{
    for (const char *p = dir; (p = strstr(p, "/..")); p += 3)
        if (p[3] == '/' || p[3] == '\0')
            return true;
    return dir[strspn(dir, "/.")] == '\0';
}

static int write_file(int dirfd, const char *name, const char *text)
{
    cleanup_close int fd = openat(dirfd, name, O_WRONLY | O_CLOEXEC);

    if (fd < 0 || write(fd, text, strlen(text)) < 0)
        return -errno;
    return 0;
}

/* v1's cpuset takes no process until it has processors and memory nodes; they come from the parent. */
static void inherit_cpuset(int parent, int dir)
{
    static const char *const names[] = {"cpuset.cpus", "cpuset.mems"};

    for (size_t i = 0; i < countof(names); i++) {
        cleanup_buf struct buf b = {0};
        if (file_read_at(parent, names[i], CPUSET_MAX, &b, NULL) == 0 && b.len && b.data[0] != '\n')
            (void)!write_file(dir, names[i], b.data);
    }
}

static int make_in(const struct cgroup_mount *m, const char *dir, struct err *err)
{
    cleanup_free char *path = cgroup_dir_path(m, dir);
    cleanup_close int at = open(m->path, O_PATH | O_DIRECTORY | O_CLOEXEC);
    char *save = NULL;

    if (at < 0)
        return err_set(err, GRPC_INTERNAL, errno, "cannot open cgroup mount %s", m->path);
    for (char *part = strtok_r(path + strlen(m->path), "/", &save); part; part = strtok_r(NULL, "/", &save)) {
        bool fresh = mkdirat(at, part, 0755) == 0;
        if (!fresh && errno != EEXIST)
            return err_set(err, GRPC_INTERNAL, errno, "cannot make cgroup %s in %s", dir, m->path);
        int next = openat(at, part, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
        if (next < 0)
            return err_set(err, GRPC_INTERNAL, errno, "cannot open cgroup %s in %s", dir, m->path);
        if (fresh && strstr(m->controllers, "cpuset") && !m->v2)
            inherit_cpuset(at, next);
        close(at);
        at = next;
    }
    return 0;
}

int cgroup_make(const struct cgroups *c, const char *dir, struct err *err)
{
    for (size_t i = 0; i < c->n; i++) {
        int r = make_in(&c->mounts[i], dir, err);
        if (r < 0)
            return r;
    }
    return 0;
}

struct walk {
    int (*leave)(struct walk *w, int parent, const char *name); /* called for each directory, children first */
    unsigned dirs;
    unsigned polls; /* of directories that are busy, all together */
    struct err *err;
    const char *dir; /* for errors */
    pid_t *pids;
    size_t n, max;
};

static int walk_tree(struct walk *w, int parent, const char *name, int depth)
{
    int fd = openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC), r = 0;
    struct dirent *e;

    if (fd < 0)
        return errno == ENOENT ? 0 : err_set(w->err, GRPC_INTERNAL, errno, "cannot open cgroup %s", w->dir);
    if (depth > DEPTH_MAX || ++w->dirs > DIRS_MAX) {
        close(fd);
        return err_set(w->err, GRPC_RESOURCE_EXHAUSTED, 0,
                       "cgroup %s has more than %d levels or %d directories", w->dir, DEPTH_MAX, DIRS_MAX);
    }
    DIR *d = fdopendir(fd);
    while (r == 0 && d && (e = readdir(d)))
        if (e->d_type == DT_DIR && e->d_name[0] != '.')
            r = walk_tree(w, fd, e->d_name, depth + 1);
    if (d)
        closedir(d);
    return r < 0 ? r : w->leave(w, parent, name);
}

/* A process that has ended, and is not even a zombie any more, keeps its cgroup busy for a moment. */
enum { BUSY_POLLS = 100, BUSY_POLL_MS = 10 };

static int leave_remove(struct walk *w, int parent, const char *name)
{
    const struct timespec pause = {.tv_nsec = BUSY_POLL_MS * 1000000L};

    for (;;) {
        if (unlinkat(parent, name, AT_REMOVEDIR) == 0 || errno == ENOENT)
            return 0;
        if (errno != EBUSY || w->polls++ >= BUSY_POLLS)
            break;
        nanosleep(&pause, NULL);
    }
    if (errno == EBUSY)
        return err_set(w->err, GRPC_FAILED_PRECONDITION, EBUSY, "cgroup %s (%s) still has processes", w->dir,
                       name);
    return err_set(w->err, GRPC_INTERNAL, errno, "cannot remove cgroup %s (%s)", w->dir, name);
}

int cgroup_remove(const struct cgroups *c, const char *dir, struct err *err)
{
    int r = 0;

    if (is_root(dir))
        return err_set(err, GRPC_INVALID_ARGUMENT, 0, "refusing to remove cgroup \"%s\"", dir);
    for (size_t i = 0; i < c->n; i++) {
        cleanup_free char *path = cgroup_dir_path(&c->mounts[i], dir);
        struct walk w = {.leave = leave_remove, .dir = path, .err = r == 0 ? err : NULL};
        int one = walk_tree(&w, AT_FDCWD, path, 0);
        r = r < 0 ? r : one; /* the others all the same: the first error is the one that is told */
    }
    return r;
}

bool cgroup_exists(const struct cgroups *c, const char *dir)
{
    for (size_t i = 0; i < c->n; i++) {
        cleanup_free char *path = cgroup_dir_path(&c->mounts[i], dir);
        if (access(path, F_OK) == 0)
            return true;
    }
    return false;
}

static int leave_list(struct walk *w, int parent, const char *name)
{
    cleanup_free char *path = mem_printf("%s/cgroup.procs", name);
    cleanup_buf struct buf b = {0};
    char *save = NULL;

    if (file_read_at(parent, path, PROCS_MAX, &b, NULL) < 0 || !b.len)
        return 0; /* it went away, or is a threaded one without processes of its own */
    for (char *s = strtok_r(b.data, "\n", &save); s && w->n < w->max; s = strtok_r(NULL, "\n", &save)) {
        pid_t pid = (pid_t)strtol(s, NULL, 10);
        if (pid > 1 && pid != getpid())
            w->pids[w->n++] = pid;
    }
    return 0;
}

static const struct cgroup_mount *first_with(const struct cgroups *c, const char *dir, char **ret_path)
{
    for (size_t i = 0; i < c->n; i++) {
        cleanup_free char *path = cgroup_dir_path(&c->mounts[i], dir);
        if (access(path, F_OK) != 0)
            continue;
        *ret_path = steal_ptr(&path);
        return &c->mounts[i];
    }
    return NULL;
}

size_t cgroup_pids(const struct cgroups *c, const char *dir, pid_t *ret_pids, size_t max)
{
    cleanup_free char *path = NULL;
    struct walk w = {.leave = leave_list, .dir = dir, .pids = ret_pids, .max = max};

    if (!first_with(c, dir, &path))
        return 0;
    (void)!walk_tree(&w, AT_FDCWD, path, 0); /* a tree beyond the limits gives what was found */
    return w.n;
}

/* v1 delivers SIGKILL to a frozen process only when it thaws. */
static void thaw(const struct cgroups *c, const char *dir)
{
    const struct cgroup_mount *m = cgroup_controller(c, "freezer");
    cleanup_free char *path = m ? cgroup_dir_path(m, dir) : NULL;
    cleanup_close int fd = path ? open(path, O_PATH | O_DIRECTORY | O_CLOEXEC) : -1;

    if (fd >= 0)
        (void)!write_file(fd, "freezer.state", "THAWED");
}

static void kill_all(const struct cgroups *c, const char *dir, const pid_t *pids, size_t n)
{
    const struct cgroup_mount *m = cgroup_unified(c);
    cleanup_free char *path = m ? cgroup_dir_path(m, dir) : NULL;
    cleanup_close int fd = path ? open(path, O_PATH | O_DIRECTORY | O_CLOEXEC) : -1;

    if (c->kind == CGROUP_V2 && fd >= 0 && write_file(fd, "cgroup.kill", "1") == 0)
        return;
    for (size_t i = 0; i < n; i++)
        kill(pids[i], SIGKILL);
    thaw(c, dir);
}

int cgroup_kill(const struct cgroups *c, const char *dir, int timeout_ms, struct err *err)
{
    static const struct timespec pause = {.tv_nsec = 5 * 1000 * 1000};
    cleanup_free pid_t *pids = mem_alloc(KILL_AT_ONCE * sizeof(*pids));
    size_t n = 0;

    if (is_root(dir))
        return err_set(err, GRPC_INVALID_ARGUMENT, 0, "refusing to kill the processes of cgroup \"%s\"", dir);
    for (int waited = 0;; waited += 5) {
        n = cgroup_pids(c, dir, pids, KILL_AT_ONCE);
        if (n == 0)
            return 0;
        if (waited > timeout_ms)
            break;
        kill_all(c, dir, pids, n);
        nanosleep(&pause, NULL);
    }
    return err_set(err, GRPC_INTERNAL, 0, "cgroup %s: %zu processes (first: %d) survived SIGKILL for %d ms",
                   dir, n, pids[0], timeout_ms);
}
