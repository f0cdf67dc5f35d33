#include "core/tree.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <stdbool.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>

/*
 * A container can make a tree as deep as it likes. At DEPTH_MAX a directory is moved to the top and emptied from there:
 * descriptors and stack stay bounded, and every move shortens what is left.
 */
enum { DEPTH_MAX = 64 };

struct removal {
    int top; /* the directory that is emptied: where too deep ones are moved to */
    dev_t dev;
    unsigned moved;
    struct err *err;
};

static int empty_dir(struct removal *rm, int fd, int depth);

/* A container with CAP_LINUX_IMMUTABLE may have set +i or +a. */
static void clear_flags(int parent, const char *name)
{
    int dirs[] = {parent, openat(parent, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC)};

    for (size_t i = 0; i < countof(dirs); i++) {
        int flags;
        if (dirs[i] >= 0 && ioctl(dirs[i], FS_IOC_GETFLAGS, &flags) == 0 &&
            (flags & (FS_IMMUTABLE_FL | FS_APPEND_FL))) {
            flags &= ~(FS_IMMUTABLE_FL | FS_APPEND_FL);
            (void)!ioctl(dirs[i], FS_IOC_SETFLAGS, &flags);
        }
    }
    if (dirs[1] >= 0)
        close(dirs[1]);
}

static int unlink_entry(int parent, const char *name, int flags, struct err *err)
{
    for (int tries = 0; unlinkat(parent, name, flags) < 0; tries++) {
        if (errno == ENOENT)
            return 0;
        if (errno != EPERM || tries)
            return err_sys(err, errno, "cannot remove %.200s", name);
        clear_flags(parent, name);
    }
    return 0;
}

static int move_up(struct removal *rm, int parent, const char *name)
{
    char to[32];

    for (;;) {
        snprintf(to, sizeof(to), ".deep-%u", rm->moved++);
        if (renameat2(parent, name, rm->top, to, RENAME_NOREPLACE) == 0)
            return 0;
        if (errno == EPERM)
            clear_flags(parent, name);
        if (errno != EEXIST)
            return err_sys(rm->err, errno, "cannot remove %.200s", name);
    }
}

static int remove_dir(struct removal *rm, int parent, const char *name, int depth)
{
    struct stat st;

    if (depth >= DEPTH_MAX)
        return move_up(rm, parent, name);
    int fd = openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0)
        return errno == ENOENT ? 0 : err_sys(rm->err, errno, "cannot open %.200s", name);
    if (fstat(fd, &st) < 0 || st.st_dev != rm->dev) {
        close(fd);
        return err_set(rm->err, GRPC_FAILED_PRECONDITION, EBUSY, "%.200s is a mount point; unmount it", name);
    }
    int r = empty_dir(rm, fd, depth); /* closes fd */
    return r < 0 ? r : unlink_entry(parent, name, AT_REMOVEDIR, rm->err);
}

static bool is_dir(int parent, const struct dirent *e)
{
    struct stat st;

    if (e->d_type != DT_UNKNOWN)
        return e->d_type == DT_DIR;
    return fstatat(parent, e->d_name, &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISDIR(st.st_mode);
}

/* Takes fd. */
static int empty_dir(struct removal *rm, int fd, int depth)
{
    DIR *d = fdopendir(fd);
    struct dirent *e;
    int r = 0;

    if (!d) {
        close(fd);
        return err_sys(rm->err, errno, "cannot read a directory");
    }
    while (r == 0 && (e = readdir(d))) {
        if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0)
            continue;
        if (is_dir(fd, e))
            r = remove_dir(rm, fd, e->d_name, depth + 1);
        else
            r = unlink_entry(fd, e->d_name, 0, rm->err);
    }
    closedir(d);
    return r;
}

/* Once around for each batch of directories that were moved to the top. */
static int empty_top(struct removal *rm)
{
    unsigned before;

    do {
        before = rm->moved;
        int fd = openat(rm->top, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        int r = fd < 0 ? err_sys(rm->err, errno, "cannot open a directory") : empty_dir(rm, fd, 0);
        if (r < 0)
            return r;
    } while (rm->moved != before);
    return 0;
}

int tree_remove_at(int dirfd, const char *name, struct err *err)
{
    cleanup_close int top = openat(dirfd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    struct stat st, outer;

    if (top < 0 && (errno == ENOTDIR || errno == ELOOP))
        return unlink_entry(dirfd, name, 0, err);
    if (top < 0)
        return errno == ENOENT ? 0 : err_sys(err, errno, "cannot open %s", name);
    if (fstat(top, &st) < 0 || fstatat(top, "..", &outer, 0) < 0)
        return err_sys(err, errno, "cannot look at %s", name);
    if (st.st_dev != outer.st_dev)
        return err_set(err, GRPC_FAILED_PRECONDITION, EBUSY, "%.200s is a mount point; unmount it", name);
    struct removal rm = {.top = top, .dev = st.st_dev, .err = err};
    if (empty_top(&rm) < 0)
        return err_wrap(err, "%s", name);
    return unlink_entry(dirfd, name, AT_REMOVEDIR, err);
}

int tree_remove(const char *path, struct err *err)
{
    return tree_remove_at(AT_FDCWD, path, err);
}
