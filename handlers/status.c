/* Status, RuntimeConfig, UpdateRuntimeConfig. */
#include "core/log.h"
#include "handlers/containers.h"
#include "handlers/cri_maps.h"
#include "handlers/methods.h"
#include "handlers/pods.h"
#include "handlers/runtimes.h"
#include "loop/child.h"
#include "netns/cni.h"

/* Clients of Status have patience for 2 s at the least (crictl). */
static const double PROBES_S = 1;

static Runtime__V1__RuntimeCondition condition(const char *type, const struct err *err, const char *reason)
{
    Runtime__V1__RuntimeCondition c = RUNTIME__V1__RUNTIME_CONDITION__INIT;

    c.type = (char *)(uintptr_t)type;
    c.status = !err;
    if (err) {
        c.reason = (char *)(uintptr_t)reason;
        c.message = (char *)(uintptr_t)err->msg;
    }
    return c;
}

static json_t *runtimes_info(const struct daemon *d)
{
    json_t *list = json_array();
    const struct runtime *rt;

    for (size_t i = 0; (rt = runtime_at(d->runtimes, i)); i++)
        json_array_append_new(list, json_pack("{s:s, s:s*, s:s*, s:s*, s:b}", "name", rt->config->name, "path",
                                              rt->path, "version", rt->version, "unusable", rt->unusable,
                                              "default", rt == runtime_default(d->runtimes)));
    return list;
}

static char *verbose_info(struct rpc *rpc)
{
    const struct daemon *d = rpc->daemon;
    struct loop_turns turns = loop_turns(d->loop);
    size_t pods = 0, containers = 0;

    for (struct pod *p = pods_first(d->pods); p; p = pods_next(p))
        pods++;
    for (struct container *c = containers_first(d->containers); c; c = containers_next(c))
        containers++;
    json_t *o = json_pack(
        "{s:s, s:s, s:s, s:s, s:s, s:s, s:i, s:i, s:i, s:{s:I, s:I, s:I}, s:o}", "root", d->config.root,
        "state", d->config.state, "kernel", d->host.kernel, "cgroups",
        d->host.cgroups.kind == CGROUP_V2       ? "v2"
        : d->host.cgroups.kind == CGROUP_HYBRID ? "hybrid"
        : d->host.cgroups.kind == CGROUP_V1     ? "v1"
                                                : "none",
        "cgroupDriver", d->config.cgroup_driver == CGROUP_DRIVER_SYSTEMD ? "systemd" : "cgroupfs", "logLevel",
        log_level_name(), "pods", (int)pods, "containers", (int)containers, "children", (int)child_count(),
        "loop", "turns", (json_int_t)turns.count, "longestMicroseconds", (json_int_t)turns.longest_us,
        "over5Milliseconds", (json_int_t)turns.over_5ms, "runtimes", runtimes_info(d));
    char *text = json_dumps(o, JSON_COMPACT);
    char *copy = rpc_strdup(rpc, text ? text : "{}");

    free(text);
    json_decref(o);
    return copy;
}

static void add_handlers(struct rpc *rpc, Runtime__V1__StatusResponse *r)
{
    const struct runtimes *rs = rpc->daemon->runtimes;
    const struct runtime *rt;
    size_t n = 0;

    while (runtime_at(rs, n))
        n++;
    r->runtime_handlers = rpc_alloc(rpc, (n + 1) * sizeof(*r->runtime_handlers));
    for (size_t i = 0; i <= n; i++) { /* the last is "": the default */
        rt = i < n ? runtime_at(rs, i) : runtime_default(rs);
        if (!rt || rt->unusable)
            continue;
        Runtime__V1__RuntimeHandler *h = rpc_new(rpc, Runtime__V1__RuntimeHandler);
        runtime__v1__runtime_handler__init(h);
        h->name = i < n ? rt->config->name : (char *)(uintptr_t) "";
        h->features = rpc_new(rpc, Runtime__V1__RuntimeHandlerFeatures);
        runtime__v1__runtime_handler_features__init(h->features);
        h->features->recursive_read_only_mounts = rt->recursive_read_only;
        r->runtime_handlers[r->n_runtime_handlers++] = h;
    }
}

static void answer_status(struct rpc *rpc)
{
    const Runtime__V1__StatusRequest *req = (const Runtime__V1__StatusRequest *)rpc->request;
    struct daemon *d = rpc->daemon;
    Runtime__V1__StatusResponse r = RUNTIME__V1__STATUS_RESPONSE__INIT;
    Runtime__V1__RuntimeStatus status = RUNTIME__V1__RUNTIME_STATUS__INIT;
    Runtime__V1__RuntimeFeatures features = RUNTIME__V1__RUNTIME_FEATURES__INIT;
    const struct runtime *rt;
    struct err runtime_err, network_err;
    struct kv_list info = {0};

    int runtime_ok = runtime_find(d->runtimes, "", &rt, &runtime_err);
    const struct cni_conf *network = cni_network(d->cni, &network_err);
    Runtime__V1__RuntimeCondition conditions[] = {
        condition("RuntimeReady", runtime_ok < 0 ? &runtime_err : NULL, "OCIRuntimeNotUsable"),
        condition("NetworkReady", network ? NULL : &network_err, "NetworkPluginNotReady"),
    };
    Runtime__V1__RuntimeCondition *list[] = {&conditions[0], &conditions[1]};
    status.n_conditions = countof(list);
    status.conditions = list;
    features.supplemental_groups_policy = true;
    r.status = &status;
    r.features = &features;
    add_handlers(rpc, &r);
    if (req->verbose) {
        kv_set(&info, "config", verbose_info(rpc));
        MAP_OF_KV(rpc, &r, info, &info, runtime__v1__status_response__info_entry__descriptor);
    }
    rpc_reply(rpc, &r.base);
    kv_done(&info);
}

/* In the call's arena. */
struct status_wait {
    struct rpc *rpc;
    struct runtimes_waiter waiter;
    struct timer limit;
};

static void answer_late(void *data)
{
    struct status_wait *w = data;

    timer_stop(&w->limit);
    rpc_on_gone(w->rpc, NULL, NULL);
    answer_status(w->rpc);
}

/* One of several may hang; the others are told without it. */
static void on_limit(void *data)
{
    struct status_wait *w = data;

    runtimes_wait_cancel(&w->waiter);
    answer_late(w);
}

static void stop_waiting(void *data)
{
    struct status_wait *w = data;

    runtimes_wait_cancel(&w->waiter);
    timer_stop(&w->limit);
}

/* In the daemon's first moments it waits for what the handlers say: kubelets keep their features for a while. */
void handle_status(struct rpc *rpc)
{
    struct runtimes *rs = rpc->daemon->runtimes;

    if (runtimes_probed(rs)) {
        answer_status(rpc);
        return;
    }
    struct status_wait *w = rpc_new(rpc, struct status_wait);
    w->rpc = rpc;
    runtimes_wait(rs, &w->waiter, answer_late, w);
    timer_start(&w->limit, rpc->daemon->loop, PROBES_S, on_limit, w);
    rpc_on_gone(rpc, stop_waiting, w);
}

void handle_runtime_config(struct rpc *rpc)
{
    Runtime__V1__RuntimeConfigResponse r = RUNTIME__V1__RUNTIME_CONFIG_RESPONSE__INIT;
    Runtime__V1__LinuxRuntimeConfiguration linux_config = RUNTIME__V1__LINUX_RUNTIME_CONFIGURATION__INIT;

    linux_config.cgroup_driver = rpc->daemon->config.cgroup_driver == CGROUP_DRIVER_SYSTEMD
                                     ? RUNTIME__V1__CGROUP_DRIVER__SYSTEMD
                                     : RUNTIME__V1__CGROUP_DRIVER__CGROUPFS;
    r.linux = &linux_config;
    rpc_reply(rpc, &r.base);
}

/* The pod CIDR is for runtimes that write CNI configurations from a template; ours come from the network add-on. */
void handle_update_runtime_config(struct rpc *rpc)
{
    Runtime__V1__UpdateRuntimeConfigResponse r = RUNTIME__V1__UPDATE_RUNTIME_CONFIG_RESPONSE__INIT;
    const Runtime__V1__UpdateRuntimeConfigRequest *req =
        (const Runtime__V1__UpdateRuntimeConfigRequest *)rpc->request;

    if (req->runtime_config && req->runtime_config->network_config &&
        req->runtime_config->network_config->pod_cidr[0])
        log_info("kubelet says pod CIDR %s: left to the CNI configuration",
                 req->runtime_config->network_config->pod_cidr);
    rpc_reply(rpc, &r.base);
}
