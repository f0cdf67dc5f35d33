#include "loop/trash.h"
#include "core/log.h"
#include "core/mem.h"
#include "core/schedule.h"
#include "core/tree.h"
#include "loop/child.h"

#include <stdio.h>
#include <string.h>

enum { TREES_AT_ONCE = 64 };

struct trash {
    struct loop *loop;
    char **paths;
    size_t n, cap;
    struct child *child;
    struct timer retry;
    struct job *job;
};

/* The child's argument; it outlives a trash that is freed. */
struct job {
    struct trash *trash; /* NULL: freed meanwhile */
    char *paths[TREES_AT_ONCE + 1];
};

static void start(void *data);

static int remove_trees(void *arg, int out_fd)
{
    struct job *j = arg;
    struct err err;
    int failed = 0;

    (void)out_fd;
    schedule_in_background();
    for (size_t i = 0; j->paths[i]; i++)
        if (tree_remove(j->paths[i], &err) < 0 && !failed++)
            dprintf(STDERR_FILENO, "%s\n", err.msg);
    return failed != 0;
}

static void on_removed(void *data, struct child_result *result)
{
    struct job *j = data;
    struct trash *t = j->trash;
    struct err err;

    if (child_check(result, "remove trees", &err) < 0)
        log_warn("%s", err.msg);
    for (size_t i = 0; j->paths[i]; i++)
        free(j->paths[i]);
    free(j);
    if (!t)
        return;
    t->child = NULL;
    t->job = NULL;
    start(t);
}

static void start(void *data)
{
    struct trash *t = data;
    struct err err;
    size_t n = t->n < TREES_AT_ONCE ? t->n : TREES_AT_ONCE;

    if (t->child || n == 0)
        return;
    struct job *j = mem_new(struct job);
    struct child_spec spec = {.name = "remove trees", .run = remove_trees, .arg = j};
    j->trash = t;
    memcpy(j->paths, t->paths, n * sizeof(*t->paths));
    if (child_start(t->loop, &spec, on_removed, j, &t->child, &err) < 0) {
        log_warn("%s; again in 10 s", err.msg);
        free(j);
        timer_start(&t->retry, t->loop, 10, start, t);
        return;
    }
    t->job = j;
    t->n -= n;
    memmove(t->paths, t->paths + n, t->n * sizeof(*t->paths));
}

struct trash *trash_new(struct loop *l)
{
    struct trash *t = mem_new(struct trash);

    t->loop = l;
    return t;
}

void trash_free(struct trash *t)
{
    if (!t)
        return;
    if (t->job)
        t->job->trash = NULL;
    timer_stop(&t->retry);
    for (size_t i = 0; i < t->n; i++)
        free(t->paths[i]);
    free(t->paths);
    free(t);
}

void trash_add(struct trash *t, const char *path)
{
    t->paths = mem_grow(t->paths, &t->cap, t->n + 1, sizeof(*t->paths));
    t->paths[t->n++] = mem_strdup(path);
    if (!t->child && !timer_active(&t->retry))
        timer_start(&t->retry, t->loop, 0, start, t); /* what is added in one turn goes together */
}

bool trash_is_empty(const struct trash *t)
{
    return t->n == 0 && !t->child;
}
