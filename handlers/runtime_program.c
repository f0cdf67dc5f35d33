#include "core/mem.h"
#include "core/program_mount.h"
#include "handlers/runtimes.h"

#include <errno.h>
#include <stdio.h>
#include <sys/stat.h>

/*
 * Kept from command to command: to unmount waits for a grace period of RCU, some 10 ms. So the loop has that, and a mount of a
 * single file, which is quick, with each upgrade of the program and not with each command.
 */
struct runtime_program {
    int fd; /* negative: it cannot be had */
    struct stat file;
    char path[32];
};

static bool same_file(const struct stat *a, const struct stat *b)
{
    return a->st_dev == b->st_dev && a->st_ino == b->st_ino && a->st_size == b->st_size &&
           a->st_ctim.tv_sec == b->st_ctim.tv_sec && a->st_ctim.tv_nsec == b->st_ctim.tv_nsec;
}

static void take(struct runtime_program *p, const char *path, const struct stat *file)
{
    if (p->fd >= 0)
        close(p->fd);
    p->fd = program_mount(path);
    p->file = *file;
    if (p->fd == -EMFILE || p->fd == -ENFILE || p->fd == -ENOMEM)
        p->file.st_ino = 0; /* that may pass: tried again the next time */
    snprintf(p->path, sizeof(p->path), "/proc/self/fd/%d", p->fd);
}

bool runtime_mounts_itself(const struct runtime *r)
{
    return r->kind == RUNTIME_CRUN && r->path;
}

const char *runtime_file(const struct runtime *r)
{
    struct runtime_program *p = r->program;
    struct stat file;

    if (!runtime_mounts_itself(r) || stat(r->path, &file) < 0)
        return NULL;
    if (!same_file(&file, &p->file)) /* at first, and after an upgrade */
        take(p, r->path, &file);
    return p->fd >= 0 ? p->path : NULL;
}

struct runtime_program *runtime_program_new(void)
{
    struct runtime_program *p = mem_new(struct runtime_program);

    p->fd = -1;
    return p;
}

void runtime_program_free(struct runtime_program *p)
{
    if (p && p->fd >= 0)
        close(p->fd);
    free(p);
}
