#include "handlers/pod_parts.h"
#include "core/cgroup.h"
#include "core/log.h"
#include "core/mem.h"
#include "handlers/methods.h"
#include "handlers/pod_files.h"
#include "handlers/run_pod_sandbox.h"
#include "handlers/runtimes.h"
#include "netns/netns.h"

#include <string.h>

static int commit_pod(struct flow *f);

const struct flow_step run_pod_steps[] = {
    {"cgroup", pod_claim_cgroup, pod_release_cgroup},
    {"pull pause", infra_pull,
     infra_release_image}, /* only where an infra container is wanted, and has an image */
    {"files", pod_make_files, pod_remove_files},
    {"keeper", pod_start_keeper, pod_end_keeper}, /* it starts beside the next two */
    {"namespaces", pod_pin_namespaces, pod_unpin_namespaces},
    {"network", pod_cni_add, pod_cni_del},
    {"keeper ready", pod_await_keeper, NULL},
    {"infra container", infra_start, infra_remove},
    {"commit", commit_pod, NULL},
    {0},
};

static int commit_pod(struct flow *f)
{
    struct pod_flow *pf = f->data;
    struct pod *pod = pf->pod;
    struct err err;

    free(pod->step);
    pod->step = NULL;
    pod->state = POD_READY;
    if (pod_save(pod, &err) < 0) {
        pod->state = POD_CREATING;
        return flow_error(f, &err);
    }
    return 0;
}

/* Before a step begins: where a restarted daemon starts to undo. */
static void journal(struct flow *f)
{
    struct pod_flow *pf = f->data;
    struct err err;

    free(pf->pod->step);
    pf->pod->step = mem_strdup(f->steps[f->at].name);
    if (pod_save(pf->pod, &err) < 0)
        log_error("%s: cannot journal: %s", f->name,
                  err.msg); /* the commit will fail for the same reason, and undo */
}

static void on_end(struct op *op)
{
    struct pod_flow *pf = op->flow.data;
    struct err err;

    if (op->flow.rc == 0)
        return;
    if (pod_delete_row(pf->pod, &err) < 0)
        log_error("%s: %s", op->name, err.msg);
    pod_free(pf->pod);
}

static void reply(struct op *op, struct rpc *rpc)
{
    struct pod_flow *pf = op->flow.data;
    Runtime__V1__RunPodSandboxResponse r = RUNTIME__V1__RUN_POD_SANDBOX_RESPONSE__INIT;

    r.pod_sandbox_id = pf->pod->id;
    rpc_reply(rpc, &r.base);
}

struct op *run_pod_op(struct pod *pod)
{
    char *name = mem_printf("RunPodSandbox %s/%s", pod->namespace, pod->name);
    struct op *op = op_new(pod->daemon, &pod->op, run_pod_steps, name, pod_flow_new(pod));

    op->flow.on_step = journal;
    op->reply = reply;
    op->on_end = on_end;
    op->on_free = pod_flow_free;
    return op;
}

/* ---- what the request must have ------------------------------------------------------------------------------------ */

static int check_metadata(const Runtime__V1__PodSandboxMetadata *m, struct err *err)
{
    if (!m)
        return err_set(err, GRPC_INVALID_ARGUMENT, 0,
                       "pod sandbox config has no metadata: give name, namespace and uid");
    const struct {
        const char *field, *value;
    } fields[] = {{"name", m->name}, {"namespace", m->namespace_}, {"uid", m->uid}};
    for (size_t i = 0; i < countof(fields); i++) {
        if (!fields[i].value[0])
            return err_set(err, GRPC_INVALID_ARGUMENT, 0, "pod sandbox metadata.%s is empty: set it",
                           fields[i].field);
        if (strlen(fields[i].value) > 253)
            return err_set(err, GRPC_INVALID_ARGUMENT, 0,
                           "pod sandbox metadata.%s \"%.40s...\" is longer than 253 bytes", fields[i].field,
                           fields[i].value);
    }
    return 0;
}

static int check_namespaces(const Runtime__V1__NamespaceOption *ns, struct err *err)
{
    if (!ns)
        return 0;
    const struct {
        const char *field;
        int mode;
        bool container;
    } modes[] = {
        {"network", (int)ns->network, false}, {"pid", (int)ns->pid, true}, {"ipc", (int)ns->ipc, false}};
    for (size_t i = 0; i < countof(modes); i++)
        if (modes[i].mode != RUNTIME__V1__NAMESPACE_MODE__POD &&
            modes[i].mode != RUNTIME__V1__NAMESPACE_MODE__NODE &&
            !(modes[i].container && modes[i].mode == RUNTIME__V1__NAMESPACE_MODE__CONTAINER))
            return err_set(err, GRPC_INVALID_ARGUMENT, 0,
                           "namespace_options.%s: mode %d is not one that a pod can have: use POD or NODE%s",
                           modes[i].field, modes[i].mode, modes[i].container ? " or CONTAINER" : "");
    if (ns->userns_options && ns->userns_options->mode != RUNTIME__V1__NAMESPACE_MODE__NODE)
        return err_set(err, GRPC_INVALID_ARGUMENT, 0,
                       "namespace_options.userns_options: user namespaces are not supported: use mode NODE");
    return 0;
}

static int check_ports(const Runtime__V1__PodSandboxConfig *c, struct err *err)
{
    for (size_t i = 0; i < c->n_port_mappings; i++) {
        const Runtime__V1__PortMapping *m = c->port_mappings[i];
        if (m->container_port < 0 || m->container_port > 65535 || m->host_port < 0 || m->host_port > 65535)
            return err_set(err, GRPC_INVALID_ARGUMENT, 0, "port_mappings[%zu] %d:%d: a port must be 0 to 65535",
                           i, m->host_port, m->container_port);
        if (m->protocol > RUNTIME__V1__PROTOCOL__SCTP)
            return err_set(err, GRPC_INVALID_ARGUMENT, 0,
                           "port_mappings[%zu]: protocol %d is not TCP, UDP or SCTP", i, (int)m->protocol);
    }
    return 0;
}

static int check_sysctls(const Runtime__V1__PodSandboxConfig *c, const Runtime__V1__NamespaceOption *ns,
                         struct err *err)
{
    struct kv_list sysctls = {0};
    bool net = !ns || ns->network == RUNTIME__V1__NAMESPACE_MODE__POD;
    bool ipc = !ns || ns->ipc == RUNTIME__V1__NAMESPACE_MODE__POD;

    for (size_t i = 0; c->linux && i < c->linux->n_sysctls; i++)
        kv_set(&sysctls, c->linux->sysctls[i]->key, c->linux->sysctls[i]->value);
    int r = netns_check_sysctls(&sysctls, net, ipc, net, err);
    kv_done(&sysctls);
    return r;
}

static int check_config(struct daemon *d, const Runtime__V1__PodSandboxConfig *c, struct err *err)
{
    const Runtime__V1__LinuxSandboxSecurityContext *sec;
    const Runtime__V1__NamespaceOption *ns;

    if (!c)
        return err_set(err, GRPC_INVALID_ARGUMENT, 0, "request has no pod sandbox config");
    if (check_metadata(c->metadata, err) < 0)
        return err_errno(err);
    sec = c->linux ? c->linux->security_context : NULL;
    ns = sec ? sec->namespace_options : NULL;
    if (sec && sec->run_as_group && !sec->run_as_user)
        return err_set(err, GRPC_INVALID_ARGUMENT, 0,
                       "security_context.run_as_group is given without run_as_user: give both");
    if (c->linux && c->linux->cgroup_parent[0] &&
        cgroup_parent_check(d->config.cgroup_driver, c->linux->cgroup_parent, err) < 0)
        return err_errno(err);
    if (check_namespaces(ns, err) < 0 || check_ports(c, err) < 0 || check_sysctls(c, ns, err) < 0)
        return err_errno(err);
    return pod_files_check(c, err);
}

/* The same metadata again: the kubelet's retry. */
static void answer_existing(struct rpc *rpc, struct pod *pod)
{
    struct err err;

    if (pod->op && pod->state == POD_CREATING && !pod->op->flow.unwinding) {
        op_wait_rpc(pod->op, rpc);
    } else if (pod->op) { /* being undone, stopped or removed: ask again when that is over */
        op_retry_rpc(pod->op, rpc);
    } else if (pod->state == POD_READY) {
        Runtime__V1__RunPodSandboxResponse r = RUNTIME__V1__RUN_POD_SANDBOX_RESPONSE__INIT;
        r.pod_sandbox_id = pod->id;
        rpc_reply(rpc, &r.base);
    } else {
        err_set(
            &err, GRPC_ALREADY_EXISTS, 0,
            "pod %s/%s attempt %u exists and is stopped (sandbox %.13s): remove it, or count the attempt up",
            pod->namespace, pod->name, pod->attempt, pod->id);
        rpc_fail(rpc, &err);
    }
}

void handle_run_pod_sandbox(struct rpc *rpc)
{
    const Runtime__V1__RunPodSandboxRequest *req = (const Runtime__V1__RunPodSandboxRequest *)rpc->request;
    struct daemon *d = rpc->daemon;
    const struct runtime *rt;
    struct err err;

    if (check_config(d, req->config, &err) < 0 ||
        runtime_find(d->runtimes, req->runtime_handler, &rt, &err) < 0) {
        rpc_fail(rpc, &err);
        return;
    }
    cleanup_free char *key = pod_key(req->config->metadata);
    struct pod *pod = pod_find_key(d->pods, key);
    if (pod) {
        answer_existing(rpc, pod);
        return;
    }
    pod = pod_new(d, req->config, req->runtime_handler, rt->config->name);
    struct op *op = run_pod_op(pod);
    op_wait_rpc(op, rpc);
    op_start(op);
}
