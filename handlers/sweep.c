#include "handlers/sweep.h"
#include "core/cgroup.h"
#include "core/log.h"
#include "core/mem.h"
#include "handlers/containers.h"
#include "handlers/pod_parts.h"
#include "handlers/pods.h"
#include "handlers/run_pod_sandbox.h"
#include "handlers/runtimes.h"
#include "loop/child.h"
#include "loop/rootfs.h"

#include <dirent.h>
#include <string.h>

/* ---- containers ---------------------------------------------------------------------------------------------------- */

struct orphan {
    struct flow flow;
    struct daemon *daemon;
    char id[ID_SIZE];
    size_t runtime; /* which one is asked */
    size_t *left;   /* orphans under way; at 0 the pods follow */
    char *name;
};

static int delete_from_runtimes(struct flow *f);
static int remove_files(struct flow *f);

static const struct flow_step sweep_container_steps[] = {
    {"delete from runtimes", delete_from_runtimes, NULL},
    {"files", remove_files, NULL},
    {0},
};

static void on_deleted(void *data, struct child_result *r)
{
    struct flow *f = data;
    int rc;

    (void)r; /* most runtimes do not know it: that is no news */
    rc = delete_from_runtimes(f);
    if (rc != FLOW_WAIT)
        flow_resume(f, rc);
}

/* Which handler it had is not known: each that works is asked. */
static int delete_from_runtimes(struct flow *f)
{
    struct orphan *o = f->data;
    const struct runtime *rt;
    struct err err;

    while ((rt = runtime_at(o->daemon->runtimes, o->runtime++))) {
        if (rt->unusable)
            continue;
        cleanup_free char **argv = runtime_delete_argv(rt, o->id, NULL);
        struct child_spec spec = {.argv = (const char *const *)argv, .timeout_ms = 60000};
        if (child_start(f->loop, &spec, on_deleted, f, NULL, &err) < 0)
            return flow_error(f, &err);
        return FLOW_WAIT;
    }
    return 0;
}

static int remove_files(struct flow *f)
{
    struct orphan *o = f->data;
    struct err err;
    cleanup_free char *data = mem_printf("%s/containers/%s", o->daemon->config.root, o->id);
    cleanup_free char *bundle = mem_printf("%s/containers/%s", o->daemon->config.state, o->id);
    cleanup_free char *target = mem_printf("%s/rootfs", bundle);

    return rootfs_remove(f->loop, data, target, bundle, flow_done, f, &err) < 0 ? flow_error(f, &err)
                                                                                : FLOW_WAIT;
}

static void sweep_pods(struct daemon *d);

static void on_container_done(struct flow *f)
{
    struct orphan *o = f->data;
    struct daemon *d = o->daemon;
    size_t *left = o->left;

    if (f->rc < 0)
        log_error("%s: %s", f->name, f->err.msg);
    free(o->name);
    free(o);
    if (--*left > 0)
        return;
    free(left);
    sweep_pods(d); /* a keeper ends only when its containers have */
}

static bool container_known(struct daemon *d, const char *id)
{
    for (struct container *c = containers_first(d->containers); c; c = containers_next(c))
        if (strcmp(c->id, id) == 0)
            return true;
    for (struct pod *p = pods_first(d->pods); p; p = pods_next(p)) /* an infra container has its pod's id */
        if (strcmp(p->id, id) == 0)
            return true;
    return false;
}

static void sweep_container(struct daemon *d, const char *id, size_t *left)
{
    struct orphan *o = mem_new(struct orphan);

    o->daemon = d;
    o->left = left;
    o->name = mem_printf("sweep container %.13s", id);
    snprintf(o->id, sizeof(o->id), "%s", id);
    o->flow = (struct flow){.steps = sweep_container_steps,
                            .name = o->name,
                            .loop = d->loop,
                            .data = o,
                            .on_done = on_container_done};
    ++*left;
    log_warn("container %s is in no row of the store: removing what is left of it", id);
    flow_start(&o->flow);
}

/* Calls fn for each directory below dir whose name is an id. Small: one entry a container or pod. */
static void each_id(const char *dir, void (*fn)(struct daemon *d, const char *id, size_t *left),
                    struct daemon *d, size_t *left)
{
    DIR *dp = opendir(dir);
    struct dirent *e;

    while (dp && (e = readdir(dp)))
        if (id_is_valid(e->d_name))
            fn(d, e->d_name, left);
    if (dp)
        closedir(dp);
}

static void maybe_container(struct daemon *d, const char *id, size_t *left)
{
    if (!container_known(d, id))
        sweep_container(d, id, left);
}

/* Only ROOT has it: an earlier boot's. Those that STATE has, too, were found there. */
static void maybe_data(struct daemon *d, const char *id, size_t *left)
{
    cleanup_free char *state = mem_printf("%s/containers/%s", d->config.state, id);
    cleanup_free char *pod = mem_printf("%s/pods/%s", d->config.state, id);

    if (access(state, F_OK) < 0 && access(pod, F_OK) < 0)
        maybe_container(d, id, left);
}

/* ---- pods ---------------------------------------------------------------------------------------------------------- */

static void maybe_pod(struct daemon *d, const char *id, size_t *left)
{
    (void)left;
    for (struct pod *p = pods_first(d->pods); p; p = pods_next(p))
        if (strcmp(p->id, id) == 0)
            return;
    log_warn("pod %s is in no row of the store: removing what is left of it", id);
    struct pod *pod = pod_unknown(d, id);
    run_pod_undo(pod, NULL);
}

static void sweep_pods(struct daemon *d)
{
    cleanup_free char *dir = mem_printf("%s/pods", d->config.state);

    each_id(dir, maybe_pod, d, NULL);
}

static void nothing_left(void *data)
{
    struct orphan *o = data;

    on_container_done(&o->flow);
}

void sweep_start(struct daemon *d)
{
    cleanup_free char *state = mem_printf("%s/containers", d->config.state);
    cleanup_free char *root = mem_printf("%s/containers", d->config.root);
    struct orphan *end = mem_new(struct orphan);

    /* one of our own, so that the count is not zero before the last has begun */
    end->daemon = d;
    end->left = mem_new(size_t);
    *end->left = 1;
    end->flow.data = end;
    each_id(state, maybe_container, d, end->left);
    each_id(root, maybe_data, d, end->left);
    loop_defer(d->loop, nothing_left, end);
}
