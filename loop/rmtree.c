#include "loop/rmtree.h"
#include "core/mem.h"
#include "core/tree.h"
#include "loop/child.h"

#include <stdio.h>
#include <string.h>

struct rmtree {
    void (*on_done)(void *data, const struct err *err);
    void *data;
};

static int run(void *arg, int out_fd)
{
    const char *const *paths = arg;
    struct err first = {0};

    (void)out_fd;
    for (; *paths; paths++) {
        struct err err = {0};
        if (tree_remove(*paths, &err) < 0 && !first.grpc)
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
