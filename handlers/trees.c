#include "core/mem.h"
#include "core/tree.h"
#include "handlers/pod_parts.h"
#include "loop/child.h"

struct removal {
    void (*on_done)(void *data, const struct err *err);
    void *data;
};

static int remove_all(void *arg, int out_fd)
{
    char *const *paths = arg;
    struct err err;
    int bad = 0;

    (void)out_fd;
    for (size_t i = 0; paths[i]; i++) {
        if (tree_remove(paths[i], &err) == 0)
            continue;
        dprintf(STDERR_FILENO, "%s\n", err.msg);
        bad = 1;
    }
    return bad;
}

static void on_child_done(void *data, struct child_result *result)
{
    struct removal *r = data;
    struct err err;

    r->on_done(r->data, child_check(result, "remove files", &err) < 0 ? &err : NULL);
    free(r);
}

int trees_remove(struct loop *l, char *const *paths, void (*on_done)(void *data, const struct err *err),
                 void *data, struct err *err)
{
    struct removal *r = mem_new(struct removal);
    struct child_spec spec = {.name = "remove files", .run = remove_all, .arg = (void *)(uintptr_t)paths};

    r->on_done = on_done;
    r->data = data;
    if (child_start(l, &spec, on_child_done, r, NULL, err) < 0) {
        free(r);
        return err_errno(err);
    }
    return 0;
}
