#include "core/cgroup.h"
#include "core/log.h"
#include "core/mem.h"
#include "handlers/container_ops.h"
#include "handlers/images.h"
#include "handlers/methods.h"
#include "handlers/pod_parts.h"
#include "loop/rmtree.h"
#include "loop/rootfs.h"

static int stop_it(struct flow *f);
static int delete_from_runtime(struct flow *f);
static int remove_cgroup(struct flow *f);
static int remove_all_files(struct flow *f);
static int forget(struct flow *f);

static const struct flow_step remove_container_steps[] = {
    {"stop", stop_it, NULL},
    {"delete from runtime", delete_from_runtime, NULL},
    {"cgroup", remove_cgroup, NULL},
    {"root filesystem and files", remove_all_files, NULL},
    {"image", container_release_image, NULL},
    {"commit", forget, NULL},
    {0},
};

/* As containerd: a container that runs is killed first. */
static int stop_it(struct flow *f)
{
    struct container_flow *cf = f->data;

    if (cf->container->state != CONTAINER_STATE_RUNNING)
        return 0;
    struct op *op = stop_container_op(cf->container, 0);
    op_wait_fn(op, flow_done, f);
    op_start(op);
    return FLOW_WAIT;
}

static void after_delete(void *data)
{
    struct flow *f = data;
    struct container_flow *cf = f->data;
    const struct container *c = cf->container;
    struct err err;

    cleanup_free char *record = container_runtime_dir(c);
    if (!c->in_runtime ||
        !record) { /* or its handler is gone from the configuration: what there is, we remove */
        flow_resume(f, 0);
        return;
    }
    err_set(&err, GRPC_INTERNAL, 0, "container %s (%.13s) cannot be removed: its runtime fails: %s", c->name,
            c->id, c->undeleted ? c->undeleted : "it could not be started");
    flow_done(f, &err);
}

static int delete_from_runtime(struct flow *f)
{
    struct container_flow *cf = f->data;
    struct container *c = cf->container;

    if (!c->in_runtime)
        return 0;
    container_delete_from_runtime(c);
    container_after_delete(c, after_delete, f);
    return FLOW_WAIT;
}

/* Only what a runtime that failed or was killed has left: a container that ended well has none by now. */
static int remove_cgroup(struct flow *f)
{
    struct container_flow *cf = f->data;
    struct container *c = cf->container;
    struct daemon *d = c->daemon;
    const struct pod *pod = container_pod(c);
    struct err err;

    if (!pod->cgroup_parent)
        return 0;
    cleanup_free char *dir = cgroup_container_dir(d->config.cgroup_driver, pod->cgroup_parent, c->id);
    char *dirs[] = {dir, NULL};
    if (!cgroup_exists(&d->host.cgroups, dir))
        return 0;
    if (cgroups_remove(f->loop, &d->host.cgroups, dirs, NULL, flow_done, f, &err) < 0)
        return flow_error(f, &err);
    return FLOW_WAIT;
}

/* bundle: NULL leaves it */
static int remove_files(struct flow *f, const char *bundle)
{
    struct container_flow *cf = f->data;
    struct container *c = cf->container;
    struct err err;
    cleanup_free char *data = mem_printf("%s/containers/%s", c->daemon->config.root, c->id);
    cleanup_free char *target = container_path(c, "rootfs");

    if (rootfs_remove(f->loop, data, target, bundle, flow_done, f, &err) < 0)
        return flow_error(f, &err);
    return FLOW_WAIT;
}

/* In one child: each costs a fork of the daemon. */
static int remove_all_files(struct flow *f)
{
    struct container_flow *cf = f->data;

    return remove_files(f, cf->container->dir);
}

int container_remove_rootfs(struct flow *f)
{
    return remove_files(f, NULL);
}

int container_remove_files(struct flow *f)
{
    struct container_flow *cf = f->data;
    struct err err;
    const char *const paths[] = {cf->container->dir, NULL};

    return rmtree_start(f->loop, paths, flow_done, f, &err) < 0 ? flow_error(f, &err) : FLOW_WAIT;
}

int container_release_image(struct flow *f)
{
    struct container_flow *cf = f->data;
    struct container *c = cf->container;

    if (c->image_used)
        image_unuse(c->daemon->images, c->image_id);
    c->image_used = false;
    return 0;
}

static int forget(struct flow *f)
{
    struct container_flow *cf = f->data;
    struct pod *pod = container_pod(cf->container);
    struct err err;

    if (container_delete_row(cf->container, &err) < 0)
        return flow_error(f, &err);
    if (pod->keeper)
        keeper_forget(pod->keeper, cf->container->id);
    return 0;
}

static void on_end(struct op *op)
{
    struct container_flow *cf = op->flow.data;

    if (op->flow.rc == 0)
        container_free(cf->container);
}

static void on_free(struct op *op)
{
    free(op->flow.data);
}

static void reply(struct op *op, struct rpc *rpc)
{
    Runtime__V1__RemoveContainerResponse r = RUNTIME__V1__REMOVE_CONTAINER_RESPONSE__INIT;

    (void)op;
    rpc_reply(rpc, &r.base);
}

static struct op *remove_container_op(struct container *c)
{
    struct container_flow *cf = mem_new(struct container_flow);
    struct op *op;

    cf->container = c;
    op = op_new(c->daemon, &c->op, remove_container_steps,
                mem_printf("RemoveContainer %.13s (%s)", c->id, c->name), cf);
    op->reply = reply;
    op->on_end = on_end;
    op->on_free = on_free;
    return op;
}

/* A container that had an operation of its own when its pod was stopped or removed. */
struct later {
    struct daemon *daemon;
    char id[ID_SIZE];
    struct sub_ops *subs;
    void (*then)(struct container *c, struct sub_ops *subs);
};

static void on_free_now(void *data, const struct err *ended)
{
    struct later *l = data;
    struct err err;
    struct container *c = container_find(l->daemon->containers, l->id, &err);

    (void)ended; /* whatever happened to it */
    if (c)
        l->then(c, l->subs);
    sub_op_done(l->subs, NULL);
    free(l);
}

void container_when_free(struct container *c, struct sub_ops *subs,
                         void (*then)(struct container *c, struct sub_ops *subs))
{
    struct later *l = mem_new(struct later);

    sub_ops_add(subs);
    l->daemon = c->daemon;
    l->subs = subs;
    l->then = then;
    snprintf(l->id, sizeof(l->id), "%s", c->id);
    op_wait_fn(c->op, on_free_now, l);
}

void container_remove(struct container *c, struct sub_ops *subs)
{
    if (c->op && c->op->flow.steps != remove_container_steps) {
        container_when_free(c, subs, container_remove);
        return;
    }
    if (!c->op)
        op_start(remove_container_op(c));
    sub_ops_add(subs);
    op_wait_fn(c->op, sub_op_done, subs);
}

void handle_remove_container(struct rpc *rpc)
{
    const Runtime__V1__RemoveContainerRequest *req = (const Runtime__V1__RemoveContainerRequest *)rpc->request;
    struct err err;
    struct container *c = container_find(rpc->daemon->containers, req->container_id, &err);

    if (!c && err.grpc == GRPC_NOT_FOUND) { /* CRI: idempotent */
        reply(NULL, rpc);
    } else if (!c) {
        rpc_fail(rpc, &err);
    } else if (c->op && c->op->flow.steps == remove_container_steps) {
        op_wait_rpc(c->op, rpc);
    } else if (c->op) {
        op_retry_rpc(c->op, rpc);
    } else {
        struct op *op = remove_container_op(c);
        op_wait_rpc(op, rpc);
        op_start(op);
    }
}
