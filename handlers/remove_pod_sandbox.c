#include "core/log.h"
#include "core/mem.h"
#include "handlers/container_ops.h"
#include "handlers/containers.h"
#include "handlers/methods.h"
#include "handlers/pod_parts.h"
#include "handlers/stop_pod_sandbox.h"
#include "handlers/sub_ops.h"

#include <string.h>

static int stop_pod(struct flow *f);
static int remove_containers(struct flow *f);
static int forget_pod(struct flow *f);

static const struct flow_step remove_pod_steps[] = {
    {"stop", stop_pod, NULL},         {"containers", remove_containers, NULL},
    {"keeper", pod_end_keeper, NULL}, {"cgroup and files", pod_release_cgroup_and_files, NULL},
    {"commit", forget_pod, NULL},     {0},
};

/* The stop is an operation of its own, below this one: its slot is this flow's. One that was done is not done again. */
static int stop_pod(struct flow *f)
{
    struct pod_flow *pf = f->data;

    if (pf->pod->stopped)
        return 0;
    struct op *op = stop_pod_op(pf->pod);

    op_wait_fn(op, flow_done, f);
    op_start(op);
    return FLOW_WAIT;
}

static int remove_containers(struct flow *f)
{
    struct pod_flow *pf = f->data;
    struct pod *pod = pf->pod;
    struct sub_ops *subs = sub_ops_new(f);

    for (struct container *c = containers_first(pod->daemon->containers); c; c = containers_next(c))
        if (strcmp(c->pod_id, pod->id) == 0)
            container_remove(c, subs);
    return sub_ops_wait(subs);
}

static int forget_pod(struct flow *f)
{
    struct pod_flow *pf = f->data;
    struct err err;

    return pod_delete_row(pf->pod, &err) < 0 ? flow_error(f, &err) : 0;
}

static void on_end(struct op *op)
{
    struct pod_flow *pf = op->flow.data;

    if (op->flow.rc == 0)
        pod_free(pf->pod);
}

static void reply(struct op *op, struct rpc *rpc)
{
    Runtime__V1__RemovePodSandboxResponse r = RUNTIME__V1__REMOVE_POD_SANDBOX_RESPONSE__INIT;

    (void)op;
    rpc_reply(rpc, &r.base);
}

static struct op *remove_pod_op(struct pod *pod)
{
    char *name = mem_printf("RemovePodSandbox %s/%s", pod->namespace, pod->name);
    struct op *op = op_new(pod->daemon, &pod->op, remove_pod_steps, name, pod_flow_new(pod));

    op->reply = reply;
    op->on_end = on_end;
    op->on_free = pod_flow_free;
    return op;
}

void handle_remove_pod_sandbox(struct rpc *rpc)
{
    const Runtime__V1__RemovePodSandboxRequest *req =
        (const Runtime__V1__RemovePodSandboxRequest *)rpc->request;
    struct err err;
    struct pod *pod = pod_find(rpc->daemon->pods, req->pod_sandbox_id, &err);

    if (!pod && err.grpc == GRPC_NOT_FOUND) { /* CRI: idempotent */
        reply(NULL, rpc);
    } else if (!pod) {
        rpc_fail(rpc, &err);
    } else if (pod->op && pod->op->flow.steps == remove_pod_steps) {
        op_wait_rpc(pod->op, rpc);
    } else if (pod->op) {
        op_retry_rpc(pod->op, rpc);
    } else {
        struct op *op = remove_pod_op(pod);
        op_wait_rpc(op, rpc);
        op_start(op);
    }
}
