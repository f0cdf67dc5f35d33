/*
 * Few system calls a file: openat, write, utimensat, close, and fchown or fchmod only where the kernel's own choice is
 * wrong. The directory of the last entries stays open (unpack_dirs.h).
 */
#include "helpers/unpack_tree.h"
#include "core/mem.h"
#include "core/tar_entry.h"
#include "core/tree.h"
#include "helpers/unpack_dirs.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>

struct tree {
    struct dirs dirs;
    int file; /* the regular file that is being written */
    uint64_t file_end;
    bool root_seen;
    char *implied_text;
};

/* ---- what is there already ------------------------------------------------------------------------------------ */

/* Takes away what stands where an entry is to be made. Slots may look into what goes: all are closed. */
static int clear_place(struct tree *t, const char *path, struct err *err)
{
    struct dir_slot *s;
    const char *name;

    dirs_close(&t->dirs);
    int r = dirs_of(&t->dirs, path, &s, &name, err);
    if (r < 0)
        return r;
    s->touched = true;
    dirs_implied_drop(&t->dirs, path);
    return tree_remove_at(s->fd, name, err);
}

/* ---- attributes ----------------------------------------------------------------------------------------------- */

static int xattr_failed(const struct tree_xattr *x, const char *path, struct err *err)
{
    char q[TAR_QUOTED_SIZE], qx[TAR_QUOTED_SIZE];
    int sys = errno;

    if (tar_xattr_rule(x->name) == TAR_XATTR_OPTIONAL && (sys == ENOTSUP || sys == EPERM || sys == EINVAL))
        return 0;
    return err_sys(err, sys, "set xattr %s of %s", tar_quote(x->name, qx), *path ? tar_quote(path, q) : "/");
}

/* There is no setxattrat(2) before Linux 6.13: the working directory is changed instead. */
static int xattrs_set_at(int dir, const char *name, const struct tree_entry *e, struct err *err)
{
    if (e->xattrs_n == 0)
        return 0;
    if (fchdir(dir) < 0)
        return tree_fail(err, "chdir to the directory of", e->path);
    for (size_t i = 0; i < e->xattrs_n; i++) {
        const struct tree_xattr *x = &e->xattrs[i];
        if (lsetxattr(name, x->name, x->value, x->size, 0) < 0) {
            int r = xattr_failed(x, e->path, err);
            if (r < 0)
                return r;
        }
    }
    return 0;
}

static int xattrs_set_fd(int fd, const struct tree_entry *e, struct err *err)
{
    for (size_t i = 0; i < e->xattrs_n; i++) {
        const struct tree_xattr *x = &e->xattrs[i];
        if (fsetxattr(fd, x->name, x->value, x->size, 0) < 0) {
            int r = xattr_failed(x, e->path, err);
            if (r < 0)
                return r;
        }
    }
    return 0;
}

/* Owner before mode and xattrs: chown(2) takes set-user-ID and file capabilities away. The time comes last. */
static int attributes_set(const struct tree *t, int dir, const char *name, const struct tree_entry *e,
                          struct err *err)
{
    const struct timespec times[2] = {{.tv_nsec = UTIME_OMIT}, e->mtime};

    if (t->dirs.plain)
        return 0;
    if (fchownat(dir, name, e->uid, e->gid, AT_SYMLINK_NOFOLLOW) < 0)
        return tree_fail(err, "chown", e->path);
    if (!S_ISLNK(e->mode) && fchmodat(dir, name, e->mode & 07777, 0) < 0)
        return tree_fail(err, "chmod", e->path);
    int r = xattrs_set_at(dir, name, e, err);
    if (r < 0)
        return r;
    if (utimensat(dir, name, times, AT_SYMLINK_NOFOLLOW) < 0)
        return tree_fail(err, "set the time of", e->path);
    return 0;
}

/* ---- entries -------------------------------------------------------------------------------------------------- */

int tree_file_open(struct tree *t, const struct tree_entry *e, struct err *err)
{
    const int flags = O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC;
    const mode_t mode = e->mode & 0777;
    struct dir_slot *s;
    const char *name;
    int r = dirs_of(&t->dirs, e->path, &s, &name, err);

    if (r < 0)
        return r;
    t->file = openat(s->fd, name, flags, mode);
    if (t->file < 0 && errno == EEXIST) {
        if ((r = clear_place(t, e->path, err)) < 0 || (r = dirs_of(&t->dirs, e->path, &s, &name, err)) < 0)
            return r;
        t->file = openat(s->fd, name, flags, mode);
    }
    if (t->file < 0)
        return tree_fail(err, "create", e->path);
    s->touched = true;
    t->file_end = 0;
    return 0;
}

int tree_file_write(struct tree *t, const struct tree_entry *e, const void *p, size_t n, uint64_t offset,
                    struct err *err)
{
    const char *at = p;

    while (n > 0) {
        ssize_t w = offset == t->file_end ? write(t->file, at, n) : pwrite(t->file, at, n, (off_t)offset);
        if (w < 0 && errno == EINTR)
            continue;
        if (w < 0)
            return tree_fail(err, "write", e->path);
        if (offset == t->file_end)
            t->file_end += (uint64_t)w;
        at += w;
        n -= (size_t)w;
        offset += (uint64_t)w;
    }
    return 0;
}

static int file_attributes(struct tree *t, const struct tree_entry *e, struct err *err)
{
    const struct timespec times[2] = {{.tv_nsec = UTIME_OMIT}, e->mtime};

    if (t->dirs.plain)
        return 0;
    if ((e->uid || e->gid || (t->dirs.last && t->dirs.last->setgid)) && fchown(t->file, e->uid, e->gid) < 0)
        return tree_fail(err, "chown", e->path);
    if ((e->mode & 07000) && fchmod(t->file, e->mode & 07777) < 0)
        return tree_fail(err, "chmod", e->path);
    int r = xattrs_set_fd(t->file, e, err);
    if (r < 0)
        return r;
    if (futimens(t->file, times) < 0)
        return tree_fail(err, "set the time of", e->path);
    return 0;
}

int tree_file_close(struct tree *t, const struct tree_entry *e, uint64_t size, struct err *err)
{
    int r = 0;

    if (t->file_end != size &&
        ftruncate(t->file, (off_t)size) < 0) /* a hole at the end, or written out of order */
        r = tree_fail(err, "set the size of", e->path);
    if (r == 0)
        r = file_attributes(t, e, err);
    if (close(t->file) < 0 && r == 0)
        r = tree_fail(err, "write", e->path);
    t->file = -1;
    return r;
}

static int make_at(int dir, const char *name, const struct tree_entry *e)
{
    if (S_ISDIR(e->mode))
        return mkdirat(dir, name, e->mode & 0777);
    if (S_ISLNK(e->mode))
        return symlinkat(e->link, dir, name);
    return mknodat(dir, name, e->mode & (S_IFMT | 0777), e->rdev);
}

static int make_failed(const struct tree_entry *e, struct err *err)
{
    char q[TAR_QUOTED_SIZE];
    bool device = S_ISCHR(e->mode) || S_ISBLK(e->mode);

    if (errno == EPERM && device)
        return err_set(err, GRPC_FAILED_PRECONDITION, EPERM,
                       "mknod %s (device %u:%u): making devices needs CAP_MKNOD outside a user namespace",
                       tar_quote(e->path, q), major(e->rdev), minor(e->rdev));
    return tree_fail(err, S_ISDIR(e->mode) ? "mkdir" : S_ISLNK(e->mode) ? "symlink" : "mknod", e->path);
}

/* The directory itself: its entry is "." or "./". */
static int make_root(struct tree *t, const struct tree_entry *e, struct err *err)
{
    if (!S_ISDIR(e->mode))
        return err_set(err, GRPC_DATA_LOSS, 0, "the entry of the root is not a directory");
    t->root_seen = true;
    dirs_close(&t->dirs);
    return attributes_set(t, t->dirs.root, ".", e, err);
}

/* Something stands there. Two directories become one; else the later wins, and what a whiteout hid stays hidden. */
static int make_over(struct tree *t, const struct tree_entry *e, struct err *err)
{
    struct dir_slot *s;
    const char *name;
    struct stat st;
    int r = dirs_of(&t->dirs, e->path, &s, &name, err);

    if (r < 0)
        return r;
    if (fstatat(s->fd, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
        return tree_fail(err, "stat", e->path);
    if (S_ISDIR(e->mode) && S_ISDIR(st.st_mode)) {
        dirs_close(&t->dirs); /* one of them may hold the time that this entry changes */
        return 0;
    }
    if ((r = clear_place(t, e->path, err)) < 0 || (r = dirs_of(&t->dirs, e->path, &s, &name, err)) < 0)
        return r;
    if (make_at(s->fd, name, e) < 0)
        return make_failed(e, err);
    if (S_ISDIR(e->mode) && is_whiteout(&st) && !t->dirs.plain)
        return make_opaque(s->fd, name, e->path, err);
    return 0;
}

int tree_make(struct tree *t, const struct tree_entry *e, struct err *err)
{
    struct dir_slot *s;
    const char *name;

    if (!*e->path)
        return make_root(t, e, err);
    int r = dirs_of(&t->dirs, e->path, &s, &name, err);
    if (r < 0)
        return r;
    if (make_at(s->fd, name, e) < 0) {
        if (errno != EEXIST)
            return make_failed(e, err);
        if ((r = make_over(t, e, err)) < 0 || (r = dirs_of(&t->dirs, e->path, &s, &name, err)) < 0)
            return r;
    }
    s->touched = true;
    if (S_ISDIR(e->mode))
        dirs_implied_drop(&t->dirs, e->path);
    return attributes_set(t, s->fd, name, e, err);
}

static int same_file(int a_dir, const char *a, int b_dir, const char *b)
{
    struct stat sa, sb;

    return fstatat(a_dir, a, &sa, AT_SYMLINK_NOFOLLOW) == 0 &&
           fstatat(b_dir, b, &sb, AT_SYMLINK_NOFOLLOW) == 0 && sa.st_dev == sb.st_dev && sa.st_ino == sb.st_ino;
}

/* The directory of the other name is opened without a slot: a slot would be made for a directory that is missing. */
static int link_target_dir(const struct tree *t, const struct tree_entry *e, const char **ret_name)
{
    char dir[TAR_PATH_SIZE];
    const char *slash = strrchr(e->link, '/');
    size_t n = slash ? (size_t)(slash - e->link) : 0;

    memcpy(dir, e->link, n);
    dir[n] = '\0';
    *ret_name = slash ? slash + 1 : e->link;
    return dirs_open_existing(&t->dirs, dir, O_PATH | O_DIRECTORY);
}

static int hardlink_failed(const struct tree_entry *e, struct err *err)
{
    char q[TAR_QUOTED_SIZE], ql[TAR_QUOTED_SIZE];
    int sys = errno;

    if (sys == ENOENT || sys == ENOTDIR)
        return err_set(err, GRPC_DATA_LOSS, 0, "hard link %s: its target %s is not in this layer",
                       tar_quote(e->path, q), tar_quote(e->link, ql));
    return err_sys(err, sys, "hard link %s to %s", tar_quote(e->path, q), tar_quote(e->link, ql));
}

int tree_hardlink(struct tree *t, const struct tree_entry *e, struct err *err)
{
    const char *name, *target;
    struct dir_slot *s;
    struct stat st;
    cleanup_close int dir = link_target_dir(t, e, &target);

    if (dir < 0 || !*target || fstatat(dir, target, &st, AT_SYMLINK_NOFOLLOW) < 0) {
        errno = dir >= 0 && !*target ? EISDIR : errno;
        return hardlink_failed(e, err);
    }
    int r = dirs_of(&t->dirs, e->path, &s, &name, err);
    if (r < 0)
        return r;
    if (linkat(dir, target, s->fd, name, 0) < 0) {
        if (errno != EEXIST)
            return hardlink_failed(e, err);
        if (same_file(dir, target, s->fd, name))
            return 0;
        if ((r = clear_place(t, e->path, err)) < 0 || (r = dirs_of(&t->dirs, e->path, &s, &name, err)) < 0)
            return r;
        if (linkat(dir, target, s->fd, name, 0) < 0)
            return hardlink_failed(e, err);
    }
    s->touched = true;
    return 0;
}

int tree_whiteout(struct tree *t, const char *path, struct err *err)
{
    const struct tree_entry e = {.path = path, .mode = S_IFCHR};
    struct dir_slot *s;
    const char *name;
    struct stat st;
    int r = dirs_of(&t->dirs, path, &s, &name, err);

    if (r < 0)
        return r;
    if (mknodat(s->fd, name, S_IFCHR, makedev(0, 0)) == 0) {
        s->touched = true;
        return 0;
    }
    if (errno != EEXIST)
        return make_failed(&e, err);
    if (fstatat(s->fd, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
        return tree_fail(err, "stat", path);
    if (!S_ISDIR(st.st_mode))
        return 0;
    dirs_implied_drop(&t->dirs, path); /* it has nothing to do with the directory of the lower layers */
    return make_opaque(s->fd, name, path, err);
}

int tree_opaque(struct tree *t, const char *dir, struct err *err)
{
    struct dir_slot *s;
    int r = dirs_open(&t->dirs, dir, &s, err);

    return r < 0 ? r : make_opaque(s->fd, ".", dir, err);
}

struct tree *tree_new(int root, bool plain)
{
    struct tree *t = mem_new(struct tree);

    dirs_init(&t->dirs, root, plain);
    t->file = -1;
    return t;
}

int tree_finish(struct tree *t, const char **ret_implied, size_t *ret_bytes, uint64_t *ret_count,
                struct err *err)
{
    dirs_close(&t->dirs);
    if (!t->root_seen) {
        int r = dirs_implied_add(&t->dirs, ".", err);
        if (r < 0)
            return r;
    }
    t->implied_text = dirs_implied_text(&t->dirs, ret_bytes, ret_count);
    *ret_implied = t->implied_text;
    return 0;
}

void tree_free(struct tree *t)
{
    if (!t)
        return;
    dirs_done(&t->dirs);
    if (t->file >= 0)
        close(t->file);
    free(t->implied_text);
    free(t);
}
