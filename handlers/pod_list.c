/* ListPodSandbox and PodSandboxStatus: served from memory. */
#include "handlers/cri_maps.h"
#include "handlers/containers.h"
#include "handlers/cri_objects.h"
#include "handlers/methods.h"
#include "handlers/pods.h"

#include <stdlib.h>
#include <string.h>

static Runtime__V1__PodSandboxState cri_state(const struct pod *pod)
{
    return pod->state == POD_READY ? RUNTIME__V1__POD_SANDBOX_STATE__SANDBOX_READY
                                   : RUNTIME__V1__POD_SANDBOX_STATE__SANDBOX_NOTREADY;
}

Runtime__V1__PodSandboxMetadata *cri_pod_metadata(struct rpc *rpc, const struct pod *pod)
{
    Runtime__V1__PodSandboxMetadata *m = rpc_new(rpc, Runtime__V1__PodSandboxMetadata);

    runtime__v1__pod_sandbox_metadata__init(m);
    m->name = pod->name;
    m->namespace_ = pod->namespace;
    m->uid = pod->uid;
    m->attempt = pod->attempt;
    return m;
}

bool pod_is_selected(const struct pod *pod, const char *id, void *labels, size_t n)
{
    return strncmp(pod->id, id, strlen(id)) == 0 && map_selects(&pod->labels, labels, n);
}

static bool matches(const struct pod *pod, const Runtime__V1__PodSandboxFilter *f)
{
    if (pod->state == POD_CREATING)
        return false;
    if (!f)
        return true;
    if (f->state && f->state->state != cri_state(pod))
        return false;
    return pod_is_selected(pod, f->id, f->label_selector, f->n_label_selector);
}

static Runtime__V1__PodSandbox *cri_pod(struct rpc *rpc, const struct pod *pod)
{
    Runtime__V1__PodSandbox *p = rpc_new(rpc, Runtime__V1__PodSandbox);

    runtime__v1__pod_sandbox__init(p);
    p->id = (char *)(uintptr_t)pod->id;
    p->metadata = cri_pod_metadata(rpc, pod);
    p->state = cri_state(pod);
    p->created_at = pod->created_ns;
    p->runtime_handler = pod->handler;
    MAP_OF_KV(rpc, p, labels, &pod->labels, runtime__v1__pod_sandbox__labels_entry__descriptor);
    MAP_OF_KV(rpc, p, annotations, &pod->annotations, runtime__v1__pod_sandbox__annotations_entry__descriptor);
    return p;
}

/* As an item of a reply: kept from the last list, or made now. */
static struct rpc_piece listed(struct rpc *rpc, struct pod *pod)
{
    Runtime__V1__ListPodSandboxResponse r = RUNTIME__V1__LIST_POD_SANDBOX_RESPONSE__INIT;
    Runtime__V1__PodSandbox *item;
    struct rpc_piece piece;

    if (packed_find(&pod->listed, (int)cri_state(pod), &piece))
        return piece;
    item = cri_pod(rpc, pod);
    r.n_items = 1;
    r.items = &item;
    packed_make(&pod->listed, (int)item->state, rpc, &r.base, &piece);
    return piece;
}

void handle_list_pod_sandbox(struct rpc *rpc)
{
    const Runtime__V1__ListPodSandboxRequest *req = (const Runtime__V1__ListPodSandboxRequest *)rpc->request;
    size_t n = 0;

    for (struct pod *pod = pods_first(rpc->daemon->pods); pod; pod = pods_next(pod))
        n++;
    struct rpc_piece *pieces = rpc_alloc(rpc, n * sizeof(*pieces));
    n = 0;
    for (struct pod *pod = pods_first(rpc->daemon->pods); pod; pod = pods_next(pod))
        if (matches(pod, req->filter))
            pieces[n++] = listed(rpc, pod);
    rpc_reply_pieces(rpc, pieces, n);
}

/* ---- status -------------------------------------------------------------------------------------------------------- */

static Runtime__V1__PodSandboxNetworkStatus *network(struct rpc *rpc, const struct pod *pod)
{
    Runtime__V1__PodSandboxNetworkStatus *n = rpc_new(rpc, Runtime__V1__PodSandboxNetworkStatus);
    size_t count = 0;

    runtime__v1__pod_sandbox_network_status__init(n);
    if (!pod->ips || !pod->ips[0])
        return n;
    n->ip = pod->ips[0];
    while (pod->ips[count])
        count++;
    n->additional_ips = rpc_alloc(rpc, count * sizeof(*n->additional_ips));
    for (size_t i = 1; i < count; i++) {
        Runtime__V1__PodIP *ip = rpc_new(rpc, Runtime__V1__PodIP);
        runtime__v1__pod_ip__init(ip);
        ip->ip = pod->ips[i];
        n->additional_ips[n->n_additional_ips++] = ip;
    }
    return n;
}

static Runtime__V1__LinuxPodSandboxStatus *namespaces(struct rpc *rpc, const struct pod *pod)
{
    Runtime__V1__LinuxPodSandboxStatus *l = rpc_new(rpc, Runtime__V1__LinuxPodSandboxStatus);
    Runtime__V1__Namespace *ns = rpc_new(rpc, Runtime__V1__Namespace);
    Runtime__V1__NamespaceOption *o = rpc_new(rpc, Runtime__V1__NamespaceOption);

    runtime__v1__linux_pod_sandbox_status__init(l);
    runtime__v1__namespace__init(ns);
    runtime__v1__namespace_option__init(o);
    o->network = pod->host_network ? RUNTIME__V1__NAMESPACE_MODE__NODE : RUNTIME__V1__NAMESPACE_MODE__POD;
    o->ipc = pod->host_ipc ? RUNTIME__V1__NAMESPACE_MODE__NODE : RUNTIME__V1__NAMESPACE_MODE__POD;
    o->pid = pod->host_pid     ? RUNTIME__V1__NAMESPACE_MODE__NODE
             : pod->shared_pid ? RUNTIME__V1__NAMESPACE_MODE__POD
                               : RUNTIME__V1__NAMESPACE_MODE__CONTAINER;
    ns->options = o;
    l->namespaces = ns;
    return l;
}

/* What crictl inspectp shows beyond the status: one JSON text under the key "info", as containerd has it. */
static char *verbose_info(struct rpc *rpc, struct pod *pod)
{
    json_t *ips = json_array();
    for (size_t i = 0; pod->ips && pod->ips[i]; i++)
        json_array_append_new(ips, json_string(pod->ips[i]));
    json_t *o = json_pack("{s:s, s:i, s:i, s:b, s:s*, s:s*, s:s, s:o}", "dir", pod->dir, "keeperPid",
                          pod->keeper ? keeper_pid(pod->keeper) : 0, "pid", pod->infra_pid, "infraContainer",
                          pod->infra, "cgroupParent", pod->cgroup_parent, "infraImage", pod->infra_image_id,
                          "bootID", pod->boot_id, "ips", ips);
    char *text = json_dumps(o, JSON_COMPACT);
    char *copy = rpc_strdup(rpc, text ? text : "{}");

    free(text);
    json_decref(o);
    return copy;
}

void handle_pod_sandbox_status(struct rpc *rpc)
{
    const Runtime__V1__PodSandboxStatusRequest *req =
        (const Runtime__V1__PodSandboxStatusRequest *)rpc->request;
    Runtime__V1__PodSandboxStatusResponse r = RUNTIME__V1__POD_SANDBOX_STATUS_RESPONSE__INIT;
    Runtime__V1__PodSandboxStatus s = RUNTIME__V1__POD_SANDBOX_STATUS__INIT;
    struct err err;
    struct pod *pod = pod_find(rpc->daemon->pods, req->pod_sandbox_id, &err);

    if (!pod) {
        rpc_fail(rpc, &err);
        return;
    }
    s.id = pod->id;
    s.metadata = cri_pod_metadata(rpc, pod);
    s.state = cri_state(pod);
    s.created_at = pod->created_ns;
    s.network = network(rpc, pod);
    s.linux = namespaces(rpc, pod);
    s.runtime_handler = pod->handler;
    MAP_OF_KV(rpc, &s, labels, &pod->labels, runtime__v1__pod_sandbox_status__labels_entry__descriptor);
    MAP_OF_KV(rpc, &s, annotations, &pod->annotations,
              runtime__v1__pod_sandbox_status__annotations_entry__descriptor);
    r.status = &s;
    r.timestamp = time_now_ns();
    if (req->verbose) {
        struct kv_list info = {0};
        kv_set(&info, "info", verbose_info(rpc, pod));
        MAP_OF_KV(rpc, &r, info, &info, runtime__v1__pod_sandbox_status_response__info_entry__descriptor);
        rpc_reply(rpc, &r.base);
        kv_done(&info);
        return;
    }
    rpc_reply(rpc, &r.base);
}
