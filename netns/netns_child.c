#include "netns/netns_child.h"
#include "netns/loopback.h"
#include "netns/sysctl.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sched.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>

static const struct {
    const char *name; /* of the pin, and below /proc/self/ns */
    size_t wanted;    /* offset of the flag in netns_spec */
    int clone_flag;
} kinds[] = {
    {"net", offsetof(struct netns_spec, net), CLONE_NEWNET},
    {"ipc", offsetof(struct netns_spec, ipc), CLONE_NEWIPC},
    {"uts", offsetof(struct netns_spec, uts), CLONE_NEWUTS},
};

static bool wanted(const struct netns_spec *s, size_t kind)
{
    return *(const bool *)((const char *)s + kinds[kind].wanted);
}

static int join_path(char ret[static PATH_MAX], const char *dir, const char *name, struct err *err)
{
    if (snprintf(ret, PATH_MAX, "%s/%s", dir, name) >= PATH_MAX)
        return err_set(err, GRPC_INVALID_ARGUMENT, ENAMETOOLONG, "%.64s/%s", dir, name);
    return 0;
}

/* ---- removal ------------------------------------------------------------------------------------------------------- */

enum { STACKED_MAX = 64 }; /* mounts on one place: a crash between two attempts may have left more than one */

/* Unmounts whatever is mounted on path. A place that is no mount, or is not there, is fine. */
static int unmount_all(const char *path, struct err *err)
{
    for (int i = 0; i < STACKED_MAX; i++)
        if (umount2(path, MNT_DETACH | UMOUNT_NOFOLLOW) < 0)
            return errno == EINVAL || errno == ENOENT || errno == ENOTDIR
                       ? 0
                       : err_sys(err, errno, "unmount %s", path);
    return err_set(err, GRPC_INTERNAL, 0, "unmount %s: more than %d mounts there", path, STACKED_MAX);
}

static int remove_pin(const char *path, struct err *err)
{
    int r = unmount_all(path, err);

    if (r == 0 && unlink(path) < 0 && errno != ENOENT && errno != ENOTDIR)
        return err_sys(err, errno, "remove %s", path);
    return r;
}

static int remove_shm(const char *path, struct err *err)
{
    int r = unmount_all(path, err);

    if (r == 0 && rmdir(path) < 0 && errno != ENOENT && errno != ENOTDIR)
        return err_sys(err, errno, "remove %s", path);
    return r;
}

static void keep_first(struct err *first, const struct err *e)
{
    if (!first->grpc)
        *first = *e;
}

int netns_child_unpin(const char *dir, const char *shm_dir, struct err *err)
{
    struct err first = {0}, e;
    char path[PATH_MAX];

    for (size_t i = 0; i < countof(kinds); i++)
        if (join_path(path, dir, kinds[i].name, &e) < 0 || remove_pin(path, &e) < 0)
            keep_first(&first, &e);
    if (shm_dir && remove_shm(shm_dir, &e) < 0)
        keep_first(&first, &e);
    if (rmdir(dir) < 0 && errno != ENOENT && errno != ENOTEMPTY && errno != EEXIST && errno != ENOTDIR &&
        errno != EBUSY)
        keep_first(&first, (err_sys(&e, errno, "remove %s", dir), &e));
    if (first.grpc) {
        *err = first;
        return err_errno(err);
    }
    return 0;
}

/* ---- making -------------------------------------------------------------------------------------------------------- */

static int make_dirs(const char *path, mode_t mode, struct err *err)
{
    char part[PATH_MAX];
    size_t n = strlen(path);

    if (n >= sizeof(part))
        return err_set(err, GRPC_INVALID_ARGUMENT, ENAMETOOLONG, "make directory %.64s...", path);
    memcpy(part, path, n + 1);
    for (size_t i = 1; i <= n; i++) {
        if (part[i] != '/' && part[i])
            continue;
        part[i] = '\0';
        if (mkdir(part, mode) < 0 && errno != EEXIST)
            return err_sys(err, errno, "make directory %s", part);
        part[i] = path[i];
    }
    return 0;
}

static int make_namespaces(const struct netns_spec *s, struct err *err)
{
    int flags = 0;

    for (size_t i = 0; i < countof(kinds); i++)
        if (wanted(s, i))
            flags |= kinds[i].clone_flag;
    if (flags && unshare(flags) < 0)
        return err_sys(err, errno, "unshare");
    return 0;
}

static int set_up_inside(const struct netns_spec *s, struct err *err)
{
    int r;

    if (s->uts && s->hostname && *s->hostname && sethostname(s->hostname, strlen(s->hostname)) < 0)
        return err_set(err, GRPC_INVALID_ARGUMENT, errno, "hostname \"%.128s\"", s->hostname);
    if (s->net && (r = loopback_up(err)) < 0)
        return r;
    for (size_t i = 0; s->sysctls && i < s->sysctls->n; i++)
        if ((r = sysctl_write(s->sysctls->items[i].key, s->sysctls->items[i].value, err)) < 0)
            return r;
    return 0;
}

static int pin_one(const char *dir, const char *name, struct err *err)
{
    char path[PATH_MAX], self[32];
    int r = join_path(path, dir, name, err);

    /* a daemon that was killed may have left a pin here: it goes, rather than being covered */
    if (r < 0 || (r = unmount_all(path, err)) < 0)
        return r;
    cleanup_close int fd = open(path, O_RDONLY | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0444);
    if (fd < 0)
        return err_sys(err, errno, "make %s", path);
    snprintf(self, sizeof(self), "/proc/self/ns/%s", name);
    if (mount(self, path, NULL, MS_BIND, NULL) < 0)
        return err_sys(err, errno, "mount %s on %s", self, path);
    return 0;
}

static int mount_shm(const struct netns_spec *s, struct err *err)
{
    char options[64];
    int r = make_dirs(s->shm_dir, 0755, err);

    if (r < 0 || (r = unmount_all(s->shm_dir, err)) < 0)
        return r;
    snprintf(options, sizeof(options), "mode=1777,size=%ld", s->shm_size > 0 ? s->shm_size : 64l << 20);
    if (mount("shm", s->shm_dir, "tmpfs", MS_NOSUID | MS_NODEV | MS_NOEXEC, options) < 0)
        return err_sys(err, errno, "mount tmpfs on %s", s->shm_dir);
    return 0;
}

static int pin(const struct netns_spec *s, struct err *err)
{
    int r = make_dirs(s->dir, 0711, err);

    if (r < 0 || (r = make_namespaces(s, err)) < 0 || (r = set_up_inside(s, err)) < 0)
        return r;
    for (size_t i = 0; i < countof(kinds); i++)
        if (wanted(s, i) && (r = pin_one(s->dir, kinds[i].name, err)) < 0)
            return r;
    return s->shm_dir ? mount_shm(s, err) : 0;
}

int netns_child_pin(const struct netns_spec *spec, struct err *err)
{
    struct err undo;
    int r = pin(spec, err);

    if (r < 0 && netns_child_unpin(spec->dir, spec->shm_dir, &undo) < 0)
        return err_set(err, err->grpc, 0, "%.200s; and then: %.200s", err->msg, undo.msg);
    return r;
}

int netns_child_join(const char *path, struct err *err)
{
    cleanup_close int fd = open(path, O_RDONLY | O_CLOEXEC);

    if (fd < 0)
        return err_sys(err, errno, "open network namespace %s", path);
    if (setns(fd, CLONE_NEWNET) < 0)
        return err_set(err, errno == EINVAL ? GRPC_FAILED_PRECONDITION : GRPC_INTERNAL, errno,
                       "join network namespace %s", path);
    return 0;
}
