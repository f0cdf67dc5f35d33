#include "core/cgroup.h"
#include "core/mem.h"
#include "core/tree.h"
#include "handlers/pod_parts.h"
#include "loop/child.h"

#include <errno.h>
#include <time.h>

enum { KILL_MS = 10000, BUSY_TRIES = 1000, TIMEOUT_MS = 60000 };

struct removal {
    const struct cgroups *cgroups;
    char *const *dirs;
    const char *tree;
    void (*on_done)(void *data, const struct err *err);
    void *data;
};

/* A process that is on its way out still counts for the kernel, for a moment. */
static int remove_one(const struct cgroups *cgroups, const char *dir, struct err *err)
{
    static const struct timespec pause = {.tv_nsec = 5 * 1000 * 1000};
    int r = cgroup_kill(cgroups, dir, KILL_MS, err);

    if (r < 0)
        return r;
    for (int i = 0; (r = cgroup_remove(cgroups, dir, err)) == -EBUSY && i < BUSY_TRIES; i++)
        nanosleep(&pause, NULL);
    return r;
}

static int remove_all(void *arg, int out_fd)
{
    const struct removal *r = arg;
    int bad = 0;

    (void)out_fd;
    for (size_t i = 0; r->dirs[i]; i++) {
        struct err err = {0};
        if (remove_one(r->cgroups, r->dirs[i], &err) == 0)
            continue;
        dprintf(STDERR_FILENO, "%s\n", err.msg);
        bad = 1;
    }
    struct err err;
    if (!bad && r->tree && tree_remove(r->tree, &err) < 0) {
        dprintf(STDERR_FILENO, "%s\n", err.msg);
        bad = 1;
    }
    return bad;
}

static void on_child_done(void *data, struct child_result *result)
{
    struct removal *r = data;
    struct err err;

    r->on_done(r->data, child_check(result, r->tree ? "remove cgroups and files" : "remove cgroups", &err) < 0
                            ? &err
                            : NULL);
    free(r);
}

int cgroups_remove(struct loop *l, const struct cgroups *cgroups, char *const *dirs, const char *tree,
                   void (*on_done)(void *data, const struct err *err), void *data, struct err *err)
{
    struct removal *r = mem_new(struct removal);
    struct child_spec spec = {.name = "remove cgroups", .run = remove_all, .arg = r, .timeout_ms = TIMEOUT_MS};

    *r = (struct removal){cgroups, dirs, tree, on_done, data};
    if (child_start(l, &spec, on_child_done, r, NULL, err) < 0) {
        free(r);
        return err_errno(err);
    }
    return 0;
}
