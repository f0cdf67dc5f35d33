#include "handlers/cri_stats.h"

#include <string.h>

static const char DEFAULT_INTERFACE[] = "eth0";

Runtime__V1__UInt64Value *cri_uint64(struct rpc *rpc, uint64_t value)
{
    Runtime__V1__UInt64Value *v = rpc_new(rpc, Runtime__V1__UInt64Value);

    runtime__v1__uint64_value__init(v);
    v->value = value;
    return v;
}

Runtime__V1__FilesystemUsage *cri_filesystem_usage(struct rpc *rpc, const char *mountpoint, int64_t at_ns,
                                                   const struct tree_usage *usage)
{
    Runtime__V1__FilesystemUsage *u = rpc_new(rpc, Runtime__V1__FilesystemUsage);

    runtime__v1__filesystem_usage__init(u);
    u->timestamp = at_ns;
    u->fs_id = rpc_new(rpc, Runtime__V1__FilesystemIdentifier);
    runtime__v1__filesystem_identifier__init(u->fs_id);
    u->fs_id->mountpoint = rpc_strdup(rpc, mountpoint);
    u->used_bytes = cri_uint64(rpc, usage->bytes);
    u->inodes_used = cri_uint64(rpc, usage->inodes);
    return u;
}

/* CRI counts nanoseconds where the kernel counts microseconds. */
static Runtime__V1__PsiData *stall(struct rpc *rpc, const struct cgroup_stall *s)
{
    Runtime__V1__PsiData *d = rpc_new(rpc, Runtime__V1__PsiData);

    runtime__v1__psi_data__init(d);
    d->total = s->total_us * 1000;
    d->avg10 = s->avg10;
    d->avg60 = s->avg60;
    d->avg300 = s->avg300;
    return d;
}

static Runtime__V1__PsiStats *pressure(struct rpc *rpc, const struct cgroup_pressure *p)
{
    if (!p->known)
        return NULL;
    Runtime__V1__PsiStats *s = rpc_new(rpc, Runtime__V1__PsiStats);
    runtime__v1__psi_stats__init(s);
    s->some = stall(rpc, &p->some);
    s->full = stall(rpc, &p->full);
    return s;
}

Runtime__V1__CpuUsage *cri_cpu_usage(struct rpc *rpc, const struct stats_sample *s)
{
    if (!s->cgroup.cpu_known)
        return NULL;
    Runtime__V1__CpuUsage *u = rpc_new(rpc, Runtime__V1__CpuUsage);
    runtime__v1__cpu_usage__init(u);
    u->timestamp = s->at_ns;
    u->usage_core_nano_seconds = cri_uint64(rpc, s->cgroup.cpu_ns);
    if (s->rate_known)
        u->usage_nano_cores = cri_uint64(rpc, s->nano_cores);
    u->psi = pressure(rpc, &s->cgroup.cpu);
    return u;
}

Runtime__V1__MemoryUsage *cri_memory_usage(struct rpc *rpc, const struct stats_sample *s)
{
    const struct cgroup_stats *c = &s->cgroup;

    if (!c->memory_known)
        return NULL;
    Runtime__V1__MemoryUsage *u = rpc_new(rpc, Runtime__V1__MemoryUsage);
    uint64_t set = cgroup_working_set(c);
    runtime__v1__memory_usage__init(u);
    u->timestamp = s->at_ns;
    u->working_set_bytes = cri_uint64(rpc, set);
    if (c->memory_limit_bytes != CGROUP_UNLIMITED)
        u->available_bytes = cri_uint64(rpc, c->memory_limit_bytes > set ? c->memory_limit_bytes - set : 0);
    u->usage_bytes = cri_uint64(rpc, c->memory_bytes);
    u->rss_bytes = cri_uint64(rpc, c->rss_bytes);
    u->page_faults = cri_uint64(rpc, c->page_faults);
    u->major_page_faults = cri_uint64(rpc, c->major_page_faults);
    u->psi = pressure(rpc, &c->memory);
    return u;
}

Runtime__V1__SwapUsage *cri_swap_usage(struct rpc *rpc, const struct stats_sample *s)
{
    const struct cgroup_stats *c = &s->cgroup;

    if (!c->swap_known)
        return NULL;
    Runtime__V1__SwapUsage *u = rpc_new(rpc, Runtime__V1__SwapUsage);
    runtime__v1__swap_usage__init(u);
    u->timestamp = s->at_ns;
    u->swap_usage_bytes = cri_uint64(rpc, c->swap_bytes);
    if (c->swap_limit_bytes != CGROUP_UNLIMITED)
        u->swap_available_bytes =
            cri_uint64(rpc, c->swap_limit_bytes > c->swap_bytes ? c->swap_limit_bytes - c->swap_bytes : 0);
    return u;
}

Runtime__V1__IoUsage *cri_io_usage(struct rpc *rpc, const struct stats_sample *s)
{
    if (!s->cgroup.io.known)
        return NULL;
    Runtime__V1__IoUsage *u = rpc_new(rpc, Runtime__V1__IoUsage);
    runtime__v1__io_usage__init(u);
    u->timestamp = s->at_ns;
    u->psi = pressure(rpc, &s->cgroup.io);
    return u;
}

Runtime__V1__ProcessUsage *cri_process_usage(struct rpc *rpc, const struct stats_sample *s)
{
    if (!s->cgroup.pids_known)
        return NULL;
    Runtime__V1__ProcessUsage *u = rpc_new(rpc, Runtime__V1__ProcessUsage);
    runtime__v1__process_usage__init(u);
    u->timestamp = s->at_ns;
    u->process_count = cri_uint64(rpc, s->cgroup.pids);
    return u;
}

static Runtime__V1__NetworkInterfaceUsage *interface(struct rpc *rpc, const struct net_dev *d)
{
    Runtime__V1__NetworkInterfaceUsage *i = rpc_new(rpc, Runtime__V1__NetworkInterfaceUsage);

    runtime__v1__network_interface_usage__init(i);
    i->name = rpc_strdup(rpc, d->name);
    i->rx_bytes = cri_uint64(rpc, d->rx_bytes);
    i->rx_errors = cri_uint64(rpc, d->rx_errors);
    i->tx_bytes = cri_uint64(rpc, d->tx_bytes);
    i->tx_errors = cri_uint64(rpc, d->tx_errors);
    return i;
}

Runtime__V1__NetworkUsage *cri_network_usage(struct rpc *rpc, const struct netns_counters *c, int64_t at_ns)
{
    size_t first = 0;

    if (c->n == 0) /* kubelets take the default interface for granted */
        return NULL;
    Runtime__V1__NetworkUsage *u = rpc_new(rpc, Runtime__V1__NetworkUsage);
    runtime__v1__network_usage__init(u);
    u->timestamp = at_ns;
    for (size_t i = 0; i < c->n; i++)
        if (strcmp(c->devs[i].name, DEFAULT_INTERFACE) == 0)
            first = i;
    u->default_interface = interface(rpc, &c->devs[first]);
    u->interfaces = rpc_alloc(rpc, c->n * sizeof(*u->interfaces));
    for (size_t i = 0; i < c->n; i++)
        if (i != first)
            u->interfaces[u->n_interfaces++] = interface(rpc, &c->devs[i]);
    return u;
}
