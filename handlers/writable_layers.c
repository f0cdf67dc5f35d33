#include "handlers/writable_layers.h"
#include "core/file.h"
#include "core/log.h"
#include "core/mem.h"
#include "core/schedule.h"
#include "handlers/containers.h"
#include "loop/child.h"

#include <string.h>

enum {
    PAUSE_MIN_US = 10 * 1000 * 1000,
    PAUSE_FACTOR = 50,
    WALK_MS = 120 * 1000, /* all of one child */
};

struct writable_layers {
    struct daemon *daemon;
    struct child *child;
};

/* What a child walks. It outlives the answer that it was started for. */
struct walk {
    struct writable_layers *owner;
    int64_t started_us;
    size_t n;
    char (*ids)[ID_SIZE];
    char **paths;
};

/* One for each path, in order: what the child writes. */
struct found {
    bool ok;
    int64_t took_us;
    struct tree_usage usage;
};

static void walk_free(struct walk *w)
{
    for (size_t i = 0; i < w->n; i++)
        free(w->paths[i]);
    free(w->paths);
    free(w->ids);
    free(w);
}

/* In the child. */
static int walk_all(void *arg, int out_fd)
{
    const struct walk *w = arg;

    schedule_in_background();
    for (size_t i = 0; i < w->n; i++) {
        struct found f = {0};
        struct err err;
        int64_t start = time_monotonic_us();
        f.ok = tree_usage(w->paths[i], &f.usage, &err) == 0;
        f.took_us = time_monotonic_us() - start;
        if (fd_write_all(out_fd, &f, sizeof(f)) < 0)
            return 1;
    }
    return 0;
}

static void take(struct container *c, const struct found *f)
{
    int64_t pause = f->took_us * PAUSE_FACTOR;

    c->writable_layer.next_us = time_monotonic_us() + (pause > PAUSE_MIN_US ? pause : PAUSE_MIN_US);
    if (!f->ok)
        return; /* it went away under the child, or the disk is bad: the last result stands */
    c->writable_layer.known = true;
    c->writable_layer.at_ns = time_now_ns();
    c->writable_layer.usage = f->usage;
}

/* What a child that was killed had done counts; the layer that it was at waits long, so that the others get their turn. */
static void on_walked(void *data, struct child_result *result)
{
    struct walk *w = data;
    const struct found *found = (const struct found *)(const void *)result->out.data;
    size_t n = result->out.len / sizeof(*found);
    struct err err;

    w->owner->child = NULL;
    if (child_check(result, "walk writable layers", &err) < 0)
        log_warn("%s", err.msg);
    for (size_t i = 0; i < w->n && i <= n; i++) {
        const struct found stuck = {.took_us = time_monotonic_us() - w->started_us};
        struct container *c = container_find(w->owner->daemon->containers, w->ids[i], &err);
        if (c)
            take(c, i < n ? &found[i] : &stuck);
    }
    walk_free(w);
}

static void gather(struct walk *w, struct containers *containers)
{
    int64_t now = time_monotonic_us();
    size_t paths_cap = 0, ids_cap = 0;

    for (struct container *c = containers_first(containers); c; c = containers_next(c)) {
        if (c->state != CONTAINER_STATE_RUNNING || c->writable_layer.next_us > now)
            continue;
        w->paths = mem_grow(w->paths, &paths_cap, w->n + 1, sizeof(*w->paths));
        w->ids = mem_grow(w->ids, &ids_cap, w->n + 1, sizeof(*w->ids));
        w->paths[w->n] = mem_printf("%s/containers/%s/upper", c->daemon->config.root, c->id);
        memcpy(w->ids[w->n++], c->id, ID_SIZE);
    }
}

void writable_layers_look(struct writable_layers *l)
{
    struct err err;

    if (l->child)
        return;
    struct walk *w = mem_new(struct walk);
    w->owner = l;
    w->started_us = time_monotonic_us();
    gather(w, l->daemon->containers);
    const struct child_spec spec = {
        .name = "walk writable layers",
        .run = walk_all,
        .arg = w,
        .out_max = w->n * sizeof(struct found) + 1,
        .timeout_ms = WALK_MS,
    };
    if (w->n == 0) {
        walk_free(w);
    } else if (child_start(l->daemon->loop, &spec, on_walked, w, &l->child, &err) < 0) {
        log_warn("%s", err.msg);
        walk_free(w);
    }
}

struct writable_layers *writable_layers_new(struct daemon *d)
{
    struct writable_layers *w = mem_new(struct writable_layers);

    w->daemon = d;
    return w;
}

void writable_layers_free(struct writable_layers *w)
{
    free(w); /* the loop ends before it: no child of its tells anything any more */
}
