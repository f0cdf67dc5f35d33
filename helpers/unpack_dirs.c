#include "helpers/unpack_dirs.h"
#include "core/mem.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>
#include <unistd.h>
#include <uthash.h>

enum { LINK_DEPTH = 8 };

struct implied {
    UT_hash_handle hh;
    char path[];
};

int tree_fail(struct err *err, const char *verb, const char *path)
{
    const int sys = errno;
    const bool archive = sys == ELOOP || sys == ENOTDIR || sys == EISDIR || sys == ENAMETOOLONG ||
                         sys == EINVAL || sys == ENOENT || sys == EFBIG;
    char q[TAR_QUOTED_SIZE];
    const char *what = *path ? tar_quote(path, q) : "the layer's root";

    return archive ? err_set(err, GRPC_DATA_LOSS, sys, "%s %s", verb, what)
                   : err_sys(err, sys, "%s %s", verb, what);
}

bool is_whiteout(const struct stat *st)
{
    return S_ISCHR(st->st_mode) && st->st_rdev == 0;
}

int make_opaque(int dir, const char *name, const char *path, struct err *err)
{
    if (fchdir(dir) < 0 || lsetxattr(name, "trusted.overlay.opaque", "y", 1, 0) < 0)
        return tree_fail(err, "set xattr trusted.overlay.opaque of", path);
    return 0;
}

/* In the root also where a symbolic link says otherwise. The chroot says the same; it alone is there before Linux 5.6. */
int dirs_open_existing(const struct dirs *d, const char *path, uint64_t flags)
{
    struct open_how how = {.flags = flags | O_CLOEXEC, .resolve = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS};
    int fd = (int)syscall(SYS_openat2, d->root, *path ? path : ".", &how, sizeof(how));

    if (fd < 0 && errno == ENOSYS)
        fd = openat(d->root, *path ? path : ".", (int)flags | O_CLOEXEC);
    return fd;
}

static void slot_close(struct dirs *d, struct dir_slot *s)
{
    const struct timespec times[2] = {{.tv_nsec = UTIME_OMIT}, s->mtime};

    if (s->fd < 0)
        return;
    if (s->touched && !d->plain)
        (void)utimensat(s->fd, ".", times, 0); /* no error: the directory may be gone, replaced by a file */
    close(s->fd);
    s->fd = -1;
    if (d->last == s)
        d->last = NULL;
}

void dirs_close(struct dirs *d)
{
    for (size_t i = 0; i < DIRS_SLOTS; i++)
        slot_close(d, &d->slots[i]);
}

static struct dir_slot *slot_find(struct dirs *d, const char *dir)
{
    if (d->last && strcmp(d->last->path, dir) == 0)
        return d->last;
    for (size_t i = 0; i < DIRS_SLOTS; i++)
        if (d->slots[i].fd >= 0 && strcmp(d->slots[i].path, dir) == 0)
            return &d->slots[i];
    return NULL;
}

static struct dir_slot *slot_oldest(struct dirs *d)
{
    struct dir_slot *s = &d->slots[0];

    for (size_t i = 0; i < DIRS_SLOTS; i++) {
        if (d->slots[i].fd < 0)
            return &d->slots[i];
        if (d->slots[i].used < s->used)
            s = &d->slots[i];
    }
    slot_close(d, s);
    return s;
}

/* What fstat(2) says, unless the same directory is open by another path, through a symbolic link, and was changed there. */
static struct timespec right_time(const struct dirs *d, const struct stat *st)
{
    for (size_t i = 0; i < DIRS_SLOTS; i++)
        if (d->slots[i].fd >= 0 && d->slots[i].ino == st->st_ino && d->slots[i].dev == st->st_dev)
            return d->slots[i].mtime;
    return st->st_mtim;
}

static int parents_make(struct dirs *d, const char *dir, int depth, struct err *err);

/* A slot for the directory, which is made if it is missing. */
int dirs_open(struct dirs *d, const char *dir, struct dir_slot **ret_slot, struct err *err)
{
    struct dir_slot *s = slot_find(d, dir);

    if (!s) {
        struct stat st;
        int fd = dirs_open_existing(d, dir, O_PATH | O_DIRECTORY);
        if (fd < 0 && (errno == ENOENT || errno == ENOTDIR)) {
            int r = parents_make(d, dir, 0, err);
            if (r < 0)
                return r;
            fd = dirs_open_existing(d, dir, O_PATH | O_DIRECTORY);
        }
        if (fd < 0)
            return tree_fail(err, "open directory", dir);
        if (fstat(fd, &st) < 0) {
            int r = tree_fail(err, "stat", dir);
            close(fd);
            return r;
        }
        const struct timespec mtime = right_time(d, &st);
        s = slot_oldest(d);
        s->fd = fd;
        s->mtime = mtime;
        s->dev = st.st_dev;
        s->ino = st.st_ino;
        s->setgid = st.st_mode & S_ISGID;
        s->touched = false;
        strcpy(s->path, dir);
    }
    s->used = ++d->clock;
    d->last = s;
    *ret_slot = s;
    return 0;
}

/* Splits a path: the slot of its directory, and its last component. */
int dirs_of(struct dirs *d, const char *path, struct dir_slot **ret_slot, const char **ret_name,
            struct err *err)
{
    char dir[TAR_PATH_SIZE];
    const char *slash = strrchr(path, '/');
    size_t n = slash ? (size_t)(slash - path) : 0;

    *ret_name = slash ? slash + 1 : path;
    if (d->last && strncmp(d->last->path, path, n) == 0 && d->last->path[n] == '\0') {
        *ret_slot = d->last;
        return 0;
    }
    memcpy(dir, path, n);
    dir[n] = '\0';
    return dirs_open(d, dir, ret_slot, err);
}

/* ---- implied directories -------------------------------------------------------------------------------------- */

int dirs_implied_add(struct dirs *d, const char *path, struct err *err)
{
    struct implied *i;
    size_t n = strlen(path) + 1;

    HASH_FIND_STR(d->implied, path, i);
    if (i || d->plain)
        return 0;
    if (HASH_COUNT(d->implied) >= DIRS_IMPLIED_MAX)
        return err_set(err, GRPC_RESOURCE_EXHAUSTED, 0, "more than %d directories have no entry of their own",
                       DIRS_IMPLIED_MAX);
    i = mem_alloc(sizeof(*i) + n);
    memcpy(i->path, path, n);
    HASH_ADD_STR(d->implied, path, i);
    return 0;
}

void dirs_implied_drop(struct dirs *d, const char *path)
{
    struct implied *i;

    if (!d->implied)
        return;
    HASH_FIND_STR(d->implied, path, i);
    if (i) {
        HASH_DEL(d->implied, i);
        free(i);
    }
}

/* Where a link that stands at `at` leads, as a clean path: ".." at the root stays there, as in a chroot. */
static int link_resolve(const char *at, const char *text, char ret_path[static TAR_PATH_SIZE])
{
    char all[2 * TAR_PATH_SIZE + 2], *save = NULL;
    const char *slash = strrchr(at, '/');
    size_t n = 0;

    if (text[0] == '/')
        snprintf(all, sizeof(all), "%s", text);
    else
        snprintf(all, sizeof(all), "%.*s/%s", slash ? (int)(slash - at) : 0, at, text);
    for (char *c = strtok_r(all, "/", &save); c; c = strtok_r(NULL, "/", &save)) {
        size_t len = strlen(c);
        if (strcmp(c, ".") == 0)
            continue;
        if (strcmp(c, "..") == 0) {
            while (n > 0 && ret_path[--n] != '/')
                ;
            continue;
        }
        if (n + 1 + len > TAR_PATH_MAX)
            return -1;
        if (n > 0)
            ret_path[n++] = '/';
        memcpy(ret_path + n, c, len);
        n += len;
    }
    ret_path[n] = '\0';
    return 0;
}

/* A whiteout stands where an entry of the same layer needs a directory: what it hid stays hidden. */
static int parent_over_whiteout(struct dir_slot *s, const char *name, const char *dir, struct err *err)
{
    struct stat st;

    if (fstatat(s->fd, name, &st, AT_SYMLINK_NOFOLLOW) < 0 || !is_whiteout(&st)) {
        errno = ENOTDIR;
        return tree_fail(err, "an entry lies below", dir);
    }
    if (unlinkat(s->fd, name, 0) < 0 || mkdirat(s->fd, name, 0755) < 0)
        return tree_fail(err, "mkdir", dir);
    s->touched = true;
    return make_opaque(s->fd, name, dir, err);
}

/* Something stands in the place of a parent. A link that leads to nothing yet gets its target made. */
static int parent_over(struct dirs *d, struct dir_slot *s, const char *name, const char *dir, int depth,
                       struct err *err)
{
    char text[TAR_PATH_SIZE], target[TAR_PATH_SIZE];
    ssize_t n = readlinkat(s->fd, name, text, sizeof(text) - 1);

    if (n < 0)
        return parent_over_whiteout(s, name, dir, err);
    text[n] = '\0';
    if (depth >= LINK_DEPTH || link_resolve(dir, text, target) < 0) {
        errno = ELOOP;
        return tree_fail(err, "follow symbolic link", dir);
    }
    return parents_make(d, target, depth + 1, err);
}

/* One missing parent; the directory that it is in is there. */
static int parent_make(struct dirs *d, const char *dir, int depth, struct err *err)
{
    struct dir_slot *s = NULL;
    const char *name;
    int r = dirs_of(d, dir, &s, &name, err);

    if (r < 0)
        return r;
    assert(s);
    if (mkdirat(s->fd, name, 0755) < 0)
        return errno == EEXIST ? parent_over(d, s, name, dir, depth, err) : tree_fail(err, "mkdir", dir);
    s->touched = true;
    if (s->setgid && !d->plain && (fchownat(s->fd, name, 0, 0, 0) < 0 || fchmodat(s->fd, name, 0755, 0) < 0))
        return tree_fail(err, "chown", dir);
    return dirs_implied_add(d, dir, err);
}

static int parents_make(struct dirs *d, const char *dir, int depth, struct err *err)
{
    char up[TAR_PATH_SIZE];
    size_t n = 0, len = strlen(dir);

    while (n < len) {
        n += strcspn(dir + n, "/");
        memcpy(up, dir, n);
        up[n] = '\0';
        int fd = dirs_open_existing(d, up, O_PATH | O_DIRECTORY);
        if (fd >= 0) {
            close(fd);
        } else if (errno != ENOENT && errno != ENOTDIR) {
            return tree_fail(err, "open directory", up);
        } else {
            int r = parent_make(d, up, depth, err);
            if (r < 0)
                return r;
        }
        n++;
    }
    return 0;
}

char *dirs_implied_text(const struct dirs *d, size_t *ret_bytes, uint64_t *ret_count)
{
    struct implied *i, *next;
    size_t bytes = 0;

    HASH_ITER (hh, d->implied, i, next)
        bytes += strlen(i->path) + 1;
    char *text = mem_alloc(bytes);
    char *p = text;
    HASH_ITER (hh, d->implied, i, next)
        p = stpcpy(p, i->path) + 1;
    *ret_bytes = bytes;
    *ret_count = HASH_COUNT(d->implied);
    return text;
}

void dirs_init(struct dirs *d, int root, bool plain)
{
    *d = (struct dirs){.root = root, .plain = plain};
    for (size_t i = 0; i < DIRS_SLOTS; i++)
        d->slots[i].fd = -1;
}

void dirs_done(struct dirs *d)
{
    struct implied *i = d->implied, *next;

    dirs_close(d);
    HASH_CLEAR(hh, d->implied); /* the table; the items stay linked */
    for (; i; i = next) {
        next = i->hh.next;
        free(i);
    }
}
