#include "handlers/stop_pod_sandbox.h"
#include "core/log.h"
#include "core/mem.h"
#include "handlers/container_ops.h"
#include "handlers/containers.h"
#include "handlers/methods.h"
#include "handlers/pod_parts.h"
#include "handlers/record.h"
#include "handlers/sub_ops.h"

#include <string.h>

static int note_stopping(struct flow *f);
static int stop_containers(struct flow *f);
static int commit_stopped(struct flow *f);

static const struct flow_step stop_pod_steps[] = {
    {"not ready", note_stopping, NULL},
    {"containers", stop_containers, NULL},
    {"infra container", infra_remove, NULL},
    {"network", pod_cni_del, NULL},
    {"namespaces", pod_unpin_namespaces, NULL},
    {"commit", commit_stopped, NULL},
    {0},
};

/* First of all: when a later step fails, or the daemon is killed in it, what is left must not pass for a pod that works. */
static int note_stopping(struct flow *f)
{
    struct pod_flow *pf = f->data;
    struct err err;

    if (pf->pod->state == POD_NOTREADY)
        return 0;
    pf->pod->state = POD_NOTREADY;
    if (pod_save(pf->pod, &err) < 0) /* a full disk must not keep a pod from stopping: the last step tells */
        log_error("%s: %s", f->name, err.msg);
    return 0;
}

/* As containerd: with no time to say goodbye; the kubelet has stopped them one by one before. */
static int stop_containers(struct flow *f)
{
    struct pod_flow *pf = f->data;
    struct pod *pod = pf->pod;
    struct sub_ops *subs = sub_ops_new(f);

    for (struct container *c = containers_first(pod->daemon->containers); c; c = containers_next(c))
        if (strcmp(c->pod_id, pod->id) == 0)
            container_stop(c, 0, subs);
    return sub_ops_wait(subs);
}

static int commit_stopped(struct flow *f)
{
    struct pod_flow *pf = f->data;
    struct pod *pod = pf->pod;
    struct err err;

    strings_free(pod->ips);
    pod->ips = NULL;
    if (pod_save(pod, &err) < 0)
        return flow_error(f, &err);
    pod->stopped = true;
    return 0;
}

static void reply(struct op *op, struct rpc *rpc)
{
    Runtime__V1__StopPodSandboxResponse r = RUNTIME__V1__STOP_POD_SANDBOX_RESPONSE__INIT;

    (void)op;
    rpc_reply(rpc, &r.base);
}

struct op *stop_pod_op(struct pod *pod)
{
    char *name = mem_printf("StopPodSandbox %s/%s", pod->namespace, pod->name);
    struct op *op = op_new(pod->daemon, &pod->op, stop_pod_steps, name, pod_flow_new(pod));

    op->reply = reply;
    op->on_free = pod_flow_free;
    return op;
}

void handle_stop_pod_sandbox(struct rpc *rpc)
{
    const Runtime__V1__StopPodSandboxRequest *req = (const Runtime__V1__StopPodSandboxRequest *)rpc->request;
    struct err err;
    struct pod *pod = pod_find(rpc->daemon->pods, req->pod_sandbox_id, &err);

    if (!pod && err.grpc == GRPC_NOT_FOUND) { /* CRI: "This call is idempotent" */
        reply(NULL, rpc);
    } else if (!pod) {
        rpc_fail(rpc, &err);
    } else if (pod->op && pod->op->flow.steps == stop_pod_steps) {
        op_wait_rpc(pod->op, rpc);
    } else if (pod->op) {
        op_retry_rpc(pod->op, rpc);
    } else {
        /* also when it is NOTREADY: what an earlier stop could not finish, or a reboot left (an address, say), goes now */
        struct op *op = stop_pod_op(pod);
        op_wait_rpc(op, rpc);
        op_start(op);
    }
}
