#include "core/tree_remove.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { DEPTH = 64, TRIES = 100000 };

/* What is nested deeper than DEPTH moves up to the top and is met there again: no recursion without end, no long paths. */
static int move_up(int top, int dir, const char *name)
{
    static unsigned count;
    char to[32];

    for (unsigned i = 0; i < TRIES; i++) {
        snprintf(to, sizeof(to), ".rmtree-%u", count++);
        if (renameat(dir, name, top, to) == 0)
            return 0;
        if (errno != EEXIST && errno != ENOTEMPTY && errno != ENOTDIR && errno != EISDIR)
            return -1;
    }
    return -1;
}

static int remove_dir(int top, int dir, const char *name, int depth);

static int remove_entry(int top, int dir, const char *name, int depth)
{
    if (unlinkat(dir, name, 0) == 0 || errno == ENOENT)
        return 0;
    if (errno != EISDIR)
        return -1;
    if (unlinkat(dir, name, AT_REMOVEDIR) == 0)
        return 0;
    return depth < DEPTH ? remove_dir(top, dir, name, depth + 1) : move_up(top, dir, name);
}

/* One pass over a directory. *ret_found: whether there was anything. */
static int empty_dir(int top, DIR *d, int depth, bool *ret_found)
{
    struct dirent *e;

    *ret_found = false;
    rewinddir(d);
    while ((e = readdir(d))) {
        if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0)
            continue;
        *ret_found = true;
        if (remove_entry(top < 0 ? dirfd(d) : top, dirfd(d), e->d_name, depth) < 0)
            return -1;
    }
    return 0;
}

/* top -1: the directory is the top itself. Passes until one finds nothing: what moved up, or what readdir(3) skipped. */
static int remove_dir(int top, int dir, const char *name, int depth)
{
    int fd = openat(dir, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC), r = -1;
    DIR *d = fd >= 0 ? fdopendir(fd) : NULL;
    bool found = true;

    if (!d)
        return -1;
    while (found && (r = empty_dir(top, d, depth, &found)) == 0)
        ;
    int sys = errno;
    closedir(d);
    errno = sys;
    return r < 0 ? r : unlinkat(dir, name, AT_REMOVEDIR);
}

int tree_remove_at(int dir, const char *name)
{
    int r = unlinkat(dir, name, 0);

    if (r < 0 && errno == EISDIR)
        r = remove_dir(-1, dir, name, 0);
    return r < 0 && errno != ENOENT ? r : 0;
}
