#include "loop/rmtree.h"
#include "core/mem.h"
#include "loop/child.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <string.h>

enum { OPEN_DIRS = 32 };

struct rmtree {
    void (*on_done)(void *data, const struct err *err);
    void *data;
};

/* By the last component, in its directory: the whole path may be longer than the kernel takes. */
static int remove_one(const char *path, const struct stat *st, int type, struct FTW *at)
{
    (void)st;
    const char *name = at->level > 0 ? path + at->base : path;
    if (unlinkat(AT_FDCWD, name, type == FTW_DP ? AT_REMOVEDIR : 0) == 0 || errno == ENOENT)
        return 0;
    return errno;
}

int rmtree_now(const char *path, struct err *err)
{
    struct stat st;

    if (lstat(path, &st) < 0)
        return errno == ENOENT ? 0 : err_sys(err, errno, "remove %s", path);
    if (!S_ISDIR(st.st_mode))
        return unlink(path) < 0 ? err_sys(err, errno, "remove %s", path) : 0;
    int r = nftw(path, remove_one, OPEN_DIRS, FTW_DEPTH | FTW_PHYS | FTW_MOUNT | FTW_CHDIR);
    if (r != 0)
        return err_sys(err, r > 0 ? r : errno, "remove %s", path);
    if (rmdir(path) < 0 && errno != ENOENT)
        return err_sys(err, errno, "remove %s", path);
    return 0;
}

static int run(void *arg, int out_fd)
{
    const char *const *paths = arg;
    struct err first = {0};

    (void)out_fd;
    for (; *paths; paths++) {
        struct err err = {0};
        if (rmtree_now(*paths, &err) < 0 && !first.grpc)
            first = err;
    }
    if (first.grpc)
        dprintf(STDERR_FILENO, "%s\n", first.msg);
    return first.grpc != 0;
}

static void on_child(void *data, struct child_result *result)
{
    struct rmtree *t = data;
    struct err err = {0};
    int r = child_check(result, "remove", &err);

    t->on_done(t->data, r < 0 ? &err : NULL);
    free(t);
}

int rmtree_start(struct loop *l, const char *const *paths, void (*on_done)(void *data, const struct err *err),
                 void *data, struct err *err)
{
    struct rmtree *t = mem_new(struct rmtree);
    /* the fork has its own copy of the paths */
    const struct child_spec spec = {.name = "remove", .run = run, .arg = (void *)(uintptr_t)paths};

    *t = (struct rmtree){on_done, data};
    int r = child_start(l, &spec, on_child, t, NULL, err);
    if (r < 0)
        free(t);
    return r;
}
