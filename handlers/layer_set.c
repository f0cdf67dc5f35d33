#include "handlers/layer_set.h"
#include "core/mem.h"

#include <string.h>

void layer_set_add(struct layer_set *s, const char *diff_id, const char *digest, uint64_t size)
{
    s->jobs = mem_grow(s->jobs, &s->cap, s->n + 1, sizeof(*s->jobs));
    s->jobs[s->n++] = (struct layer_job){
        .set = s, .layer = layer_hold(s->layers, diff_id), .digest = mem_strdup(digest), .size = size};
}

static void start_more(struct layer_set *s);

static void maybe_done(struct layer_set *s)
{
    struct err err = s->err;

    if (s->running == 0 && (err.grpc || s->next == s->n))
        s->on_done(s->data, err.grpc ? &err : NULL);
}

static void stop_others(struct layer_set *s)
{
    for (size_t i = 0; i < s->next; i++)
        if (s->jobs[i].fetch)
            layer_fetch_cancel(s->jobs[i].fetch);
}

static void fail(struct layer_set *s, const struct err *err)
{
    if (s->err.grpc) /* what was cancelled because of the first error */
        return;
    s->err = *err;
    stop_others(s);
}

static void on_unpacked(void *data)
{
    struct layer_job *j = data;

    j->unpacked = true;
    j->set->unpacking--;
    start_more(j->set);
}

static void on_fetched(void *data, bool shared, uint64_t bytes, const struct err *err)
{
    struct layer_job *j = data;
    struct layer_set *s = j->set;

    j->fetch = NULL;
    s->running--;
    s->unpacking -= !j->unpacked;
    s->bytes += bytes;
    if (err)
        fail(s, err);
    else if (shared)
        s->shared++;
    else
        s->fetched++;
    start_more(s);
    maybe_done(s);
}

static const struct layer_fetch_events fetch_events = {on_unpacked, on_fetched};

static void start_more(struct layer_set *s)
{
    struct err err;

    while (!s->err.grpc && s->next < s->n && s->unpacking < (size_t)s->parallel) {
        size_t i = s->next++;
        struct layer_job *j = &s->jobs[i];
        struct layer_source source = {.digest = j->digest, .size = j->size, .fd = -1};
        if (j->layer->state == LAYER_READY) {
            s->shared++;
            continue;
        }
        if (s->open_source(s->data, i, &source, &err) < 0 ||
            layer_fetch(s->layers, j->layer, &source, &fetch_events, j, &j->fetch, &err) < 0) {
            fail(s, &err);
        } else {
            s->running++;
            s->unpacking++;
        }
    }
}

static void begin(void *data)
{
    struct layer_set *s = data;

    start_more(s);
    maybe_done(s);
}

void layer_set_start(struct layer_set *s, struct loop *l)
{
    timer_start(&s->soon, l, 0, begin, s);
}

void layer_set_cancel(struct layer_set *s)
{
    struct err err;

    err_set(&err, GRPC_CANCELLED, 0, "cancelled");
    fail(s, &err);
}

void layer_set_done(struct layer_set *s)
{
    timer_stop(&s->soon);
    for (size_t i = 0; i < s->n; i++) {
        layer_release(s->layers, s->jobs[i].layer);
        free(s->jobs[i].digest);
    }
    free(s->jobs);
    s->jobs = NULL;
    s->n = s->cap = 0;
}
