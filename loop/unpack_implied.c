/*
 * Directories that a layer needs but does not have: unpacked over their lower layers they would have kept what these say.
 * A lower layer is searched component by component, without following links: it is somebody else's content.
 */
#include "core/mem.h"
#include "loop/child.h"
#include "loop/unpack.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/xattr.h>

enum { LIST_MAX = 64 << 20, XATTR_NAMES_MAX = 65536, XATTR_VALUE_MAX = 65536 };

enum found {
    FOUND,
    ABSENT, /* look in the next lower layer */
    HIDDEN, /* a whiteout, an opaque directory or a file ends the search */
};

struct job {
    void (*on_done)(void *data, const struct err *err);
    void *data;
};

static bool is_opaque(int dir)
{
    char v[4];
    return fgetxattr(dir, "trusted.overlay.opaque", v, sizeof(v)) == 1 && v[0] == 'y';
}

/* *ret_below_opaque: one of the directories above it is opaque. */
static enum found find_dir(const char *layer, const char *path, int *ret_fd, bool *ret_below_opaque)
{
    cleanup_close int fd = open(layer, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    bool opaque = false;

    if (fd < 0)
        return ABSENT;
    for (const char *p = strcmp(path, ".") == 0 ? "" : path; *p;) {
        char name[NAME_MAX + 1];
        size_t n = strcspn(p, "/");
        if (n == 0 || n > NAME_MAX)
            return HIDDEN;
        memcpy(name, p, n);
        name[n] = '\0';
        opaque = opaque || is_opaque(fd);
        int next = openat(fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
        if (next < 0)
            return errno == ENOENT && !opaque ? ABSENT : HIDDEN;
        close(fd);
        fd = next;
        p += n + (p[n] == '/');
    }
    *ret_fd = steal_fd(&fd);
    *ret_below_opaque = opaque;
    return FOUND;
}

static void copy_xattrs(int from, int to)
{
    cleanup_free char *names = mem_alloc(XATTR_NAMES_MAX), *value = mem_alloc(XATTR_VALUE_MAX);
    ssize_t n = flistxattr(from, names, XATTR_NAMES_MAX);

    for (char *p = names; n > 0 && p < names + n; p += strlen(p) + 1) {
        ssize_t size =
            strncmp(p, "trusted.overlay.", 16) == 0 ? -1 : fgetxattr(from, p, value, XATTR_VALUE_MAX);
        if (size >= 0)
            (void)fsetxattr(to, p, value, (size_t)size,
                            0); /* labels and the like may be refused, as for cp -a */
    }
}

static int copy_attributes(int from, int to, const char *layer, const char *path, struct err *err)
{
    struct stat st;

    if (fstat(from, &st) < 0 || fchown(to, st.st_uid, st.st_gid) < 0 || fchmod(to, st.st_mode & 07777) < 0)
        return err_sys(err, errno, "set owner and mode of %s in layer %s", path, layer);
    copy_xattrs(from, to);
    const struct timespec times[2] = {{.tv_nsec = UTIME_OMIT}, st.st_mtim};
    if (futimens(to, times) < 0)
        return err_sys(err, errno, "set the time of %s in layer %s", path, layer);
    return 0;
}

static int fix_dir(const char *const *layers, size_t at, const char *path, struct err *err)
{
    cleanup_close int to = -1;
    bool below_opaque = false, unused;

    if (find_dir(layers[at], path, &to, &below_opaque) != FOUND || below_opaque)
        return 0; /* replaced by a file since, or nothing of the lower layers shows */
    while (at-- > 0) {
        cleanup_close int from = -1;
        enum found f = find_dir(layers[at], path, &from, &unused);
        if (f == FOUND)
            return copy_attributes(from, to, layers[at], path, err);
        if (f == HIDDEN)
            return 0;
    }
    return 0;
}

/* The whole list; NULL with errno 0 when there is none. */
static char *read_list(const char *name, size_t *ret_size)
{
    cleanup_close int fd = open(name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    struct stat st;

    if (fd < 0 || fstat(fd, &st) < 0) {
        errno = errno == ENOENT ? 0 : errno;
        return NULL;
    }
    if (st.st_size > LIST_MAX) {
        errno = EFBIG;
        return NULL;
    }
    cleanup_free char *text = mem_alloc((size_t)st.st_size + 1);
    ssize_t n = read(fd, text, (size_t)st.st_size);
    if (n != st.st_size) {
        errno = n < 0 ? errno : EIO;
        return NULL;
    }
    *ret_size = (size_t)n;
    return steal_ptr(&text);
}

/* 1: it has a list. */
static int fix_layer(const char *const *layers, size_t at, struct err *err)
{
    cleanup_free char *name = mem_printf("%s.implied", layers[at]);
    size_t size = 0;
    cleanup_free char *list = read_list(name, &size);

    if (!list)
        return errno ? err_sys(err, errno, "read %s", name) : 0;
    for (const char *p = list; p < list + size; p += strlen(p) + 1) {
        int r = fix_dir(layers, at, p, err);
        if (r < 0)
            return r;
    }
    return 1;
}

static int lists_remove(const char *const *layers, struct err *err)
{
    for (size_t i = 0; layers[i]; i++) {
        cleanup_free char *name = mem_printf("%s.implied", layers[i]);
        if (unlink(name) < 0 && errno != ENOENT)
            return err_sys(err, errno, "remove %s", name);
    }
    return 0;
}

/* On disk before the lists go: after a power cut the work is done again. All layers are on one file system. */
static int fix_all(const char *const *layers, struct err *err)
{
    cleanup_close int fd =
        open(layers[0], O_RDONLY | O_DIRECTORY | O_CLOEXEC); /* hears of what fails from now on */
    int lists = 0;

    if (fd < 0)
        return err_sys(err, errno, "open layer %s", layers[0]);
    for (size_t i = 0; layers[i]; i++) {
        int r = fix_layer(layers, i, err);
        if (r < 0)
            return r;
        lists += r;
    }
    if (lists == 0)
        return 0;
    if (syncfs(fd) < 0)
        return err_sys(err, errno, "sync layer %s", layers[0]);
    return lists_remove(layers, err);
}

static int run(void *arg, int out_fd)
{
    const char *const *layers = arg;
    struct err err = {0};

    (void)out_fd;
    if (!layers[0] || fix_all(layers, &err) == 0)
        return 0;
    dprintf(STDERR_FILENO, "%s\n", err.msg);
    return 1;
}

static void on_child(void *data, struct child_result *result)
{
    struct job *j = data;
    struct err err = {0};
    int r = child_check(result, "implied directories", &err);

    j->on_done(j->data, r < 0 ? &err : NULL);
    free(j);
}

int unpack_fix_implied(struct loop *l, const char *const *layers,
                       void (*on_done)(void *data, const struct err *err), void *data, struct err *err)
{
    struct job *j = mem_new(struct job);
    /* the fork has its own copy of the names */
    const struct child_spec spec = {
        .name = "implied directories", .run = run, .arg = (void *)(uintptr_t)layers};

    *j = (struct job){on_done, data};
    int r = child_start(l, &spec, on_child, j, NULL, err);
    if (r < 0)
        free(j);
    return r;
}
