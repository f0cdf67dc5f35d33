#include "core/tree_usage.h"
#include "core/mem.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <string.h>
#include <sys/stat.h>
#include <uthash.h>

enum { DEPTH_MAX = 256 };

/* A file with several names that was counted. */
struct linked {
    ino_t ino;
    UT_hash_handle hh;
};

struct count {
    struct tree_usage sum;
    struct linked *linked;
    dev_t dev;
};

static bool counted_before(struct count *c, ino_t ino)
{
    struct linked *l;

    HASH_FIND(hh, c->linked, &ino, sizeof(ino), l);
    if (l)
        return true;
    l = mem_new(struct linked);
    l->ino = ino;
    HASH_ADD(hh, c->linked, ino, sizeof(l->ino), l);
    return false;
}

static void count_inode(struct count *c, const struct stat *st)
{
    if (!S_ISDIR(st->st_mode) && st->st_nlink > 1 && counted_before(c, st->st_ino))
        return;
    c->sum.bytes += (uint64_t)st->st_blocks * 512;
    c->sum.inodes++;
}

/* Takes fd. */
static void count_entries(struct count *c, int fd, int depth)
{
    DIR *d = fdopendir(fd);
    struct dirent *e;
    struct stat st;

    if (!d) {
        close(fd);
        return;
    }
    while ((e = readdir(d))) {
        if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0)
            continue;
        if (fstatat(fd, e->d_name, &st, AT_SYMLINK_NOFOLLOW) < 0 || st.st_dev != c->dev)
            continue;
        count_inode(c, &st);
        if (!S_ISDIR(st.st_mode) || depth >= DEPTH_MAX)
            continue;
        int sub = openat(fd, e->d_name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
        if (sub >= 0)
            count_entries(c, sub, depth + 1);
    }
    closedir(d);
}

int tree_usage(const char *path, struct tree_usage *ret_usage, struct err *err)
{
    struct count c = {0};
    struct linked *l, *next;
    struct stat st;
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

    if (fd < 0 || fstat(fd, &st) < 0) {
        int r = err_sys(err, errno, "look at %s", path);
        if (fd >= 0)
            close(fd);
        return r;
    }
    c.dev = st.st_dev;
    count_inode(&c, &st);
    count_entries(&c, fd, 0);
    l = c.linked;
    HASH_CLEAR(hh, c.linked);
    for (; l; l = next) {
        next = l->hh.next;
        free(l);
    }
    *ret_usage = c.sum;
    return 0;
}
