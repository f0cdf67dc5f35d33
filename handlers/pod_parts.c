#include "handlers/pod_parts.h"
#include "core/cgroup.h"
#include "core/mem.h"
#include "handlers/pod_files.h"
#include "handlers/record.h"
#include "loop/rmtree.h"
#include "netns/cni.h"
#include "netns/netns.h"

#include <errno.h>
#include <string.h>
#include <time.h>

enum { SHM_SIZE = 64 << 20, CGROUP_TRIES = 400, CGROUP_WAIT_NS = 5000000 }; /* 2 s in all */

struct pod_flow *pod_flow_new(struct pod *pod)
{
    struct pod_flow *pf = mem_new(struct pod_flow);

    pf->pod = pod;
    pf->config = pod_config(pod);
    return pf;
}

void pod_flow_free(struct op *op)
{
    struct pod_flow *pf = op->flow.data;

    timer_stop(&pf->retry);
    runtime__v1__pod_sandbox_config__free_unpacked(pf->config, NULL);
    free(pf);
}

/* ---- cgroup -------------------------------------------------------------------------------------------------------- */

int pod_claim_cgroup(struct flow *f)
{
    struct pod_flow *pf = f->data;
    struct pod *pod = pf->pod;
    struct daemon *d = pod->daemon;
    const char *asked = pf->config->linux ? pf->config->linux->cgroup_parent : "";

    pod->cgroup_parent = asked[0] ? mem_strdup(asked) : cgroup_parent_default(d->config.cgroup_driver, pod->id);
    pod->cgroup_dir = cgroup_parent_dir(d->config.cgroup_driver, pod->cgroup_parent);
    /* slices are systemd's */
    pod->cgroup_parent_is_ours =
        d->config.cgroup_driver == CGROUP_DRIVER_CGROUPFS && !cgroup_exists(&d->host.cgroups, pod->cgroup_dir);
    return 0;
}

/* All of it when it is ours; else only what we put into a parent that is the kubelet's. tree: NULL for none. */
static int release_cgroup(struct flow *f, const char *tree)
{
    struct pod_flow *pf = f->data;
    struct pod *pod = pf->pod;
    struct daemon *d = pod->daemon;
    struct err err;

    if (!pod->cgroup_dir)
        return 0;
    cleanup_free char *keeper = mem_printf("%s/cricket-keeper", pod->cgroup_dir);
    cleanup_free char *infra = cgroup_container_dir(d->config.cgroup_driver, pod->cgroup_parent, pod->id);
    char *parts[] = {keeper, infra, NULL}, *whole[] = {pod->cgroup_dir, NULL};
    if (cgroups_remove(f->loop, &d->host.cgroups, pod->cgroup_parent_is_ours ? whole : parts, tree, flow_done,
                       f, &err) < 0)
        return flow_error(f, &err);
    return FLOW_WAIT;
}

int pod_release_cgroup(struct flow *f)
{
    return release_cgroup(f, NULL);
}

/* ---- files --------------------------------------------------------------------------------------------------------- */

int pod_make_files(struct flow *f)
{
    struct pod_flow *pf = f->data;
    struct err err;

    return pod_files_write(pf->pod, pf->config, &err) < 0 ? flow_error(f, &err) : 0;
}

int pod_remove_files(struct flow *f)
{
    struct pod_flow *pf = f->data;
    struct err err;
    const char *const paths[] = {pf->pod->dir, NULL};

    return rmtree_start(f->loop, paths, flow_done, f, &err) < 0 ? flow_error(f, &err) : FLOW_WAIT;
}

/* Both, in one child: each costs a fork of the daemon. */
int pod_release_cgroup_and_files(struct flow *f)
{
    struct pod_flow *pf = f->data;

    return pf->pod->cgroup_dir ? release_cgroup(f, pf->pod->dir) : pod_remove_files(f);
}

/* ---- namespaces ---------------------------------------------------------------------------------------------------- */

/* As containerd: a pod with its own network may bind low ports and send pings without privileges, unless told otherwise. */
static void collect_sysctls(const struct pod_flow *pf, struct kv_list *ret)
{
    const struct pod *pod = pf->pod;
    const struct config *c = &pod->daemon->config;

    if (!pod->host_network && c->enable_unprivileged_ports)
        kv_set(ret, "net.ipv4.ip_unprivileged_port_start", "0");
    if (!pod->host_network && c->enable_unprivileged_icmp)
        kv_set(ret, "net.ipv4.ping_group_range", "0 2147483647");
    if (pf->config->linux)
        kv_of_map(ret, pf->config->linux->sysctls, pf->config->linux->n_sysctls);
}

static char *pins_dir(const struct pod *pod)
{
    return pod_path(pod, "ns");
}

int pod_pin_namespaces(struct flow *f)
{
    struct pod_flow *pf = f->data;
    struct pod *pod = pf->pod;
    struct kv_list sysctls = {0};
    struct err err;
    cleanup_free char *dir = pins_dir(pod);
    cleanup_free char *shm = pod_path(pod, "shm");

    if (pod->host_network && pod->host_ipc)
        return 0;
    collect_sysctls(pf, &sysctls);
    struct netns_spec spec = {
        .dir = dir,
        .net = !pod->host_network,
        .ipc = !pod->host_ipc,
        .uts = !pod->host_network, /* as containerd: a pod in the host's network has the host's name */
        .hostname = pod_hostname(pod, pf->config),
        .sysctls = &sysctls,
        .shm_dir = pod->host_ipc ? NULL : shm,
        .shm_size = SHM_SIZE,
    };
    int r = netns_pin(f->loop, &spec, flow_done, f, &err);
    kv_done(&sysctls);
    return r < 0 ? flow_error(f, &err) : FLOW_WAIT;
}

int pod_unpin_namespaces(struct flow *f)
{
    struct pod_flow *pf = f->data;
    struct err err;
    cleanup_free char *dir = pins_dir(pf->pod);
    cleanup_free char *shm = pod_path(pf->pod, "shm");

    if (netns_unpin(f->loop, dir, shm, flow_done, f, &err) < 0)
        return flow_error(f, &err);
    return FLOW_WAIT;
}

struct cni *pod_cni(const struct pod *pod)
{
    return daemon_cni(pod->daemon, pod->runtime);
}

/* ---- network ------------------------------------------------------------------------------------------------------- */

static const char *protocol_name(Runtime__V1__Protocol p)
{
    return p == RUNTIME__V1__PROTOCOL__UDP ? "udp" : p == RUNTIME__V1__PROTOCOL__SCTP ? "sctp" : "tcp";
}

/* The caller frees a->ports and netns. Mappings without a host port ask for nothing. */
static void fill_attach(const struct pod_flow *pf, struct cni_attach *a, char **ret_netns)
{
    const struct pod *pod = pf->pod;
    const Runtime__V1__PodSandboxConfig *config = pf->config;
    struct cni_port_mapping *ports = mem_alloc((config->n_port_mappings + 1) * sizeof(*ports));
    size_t n = 0;

    for (size_t i = 0; i < config->n_port_mappings; i++) {
        const Runtime__V1__PortMapping *m = config->port_mappings[i];
        if (m->host_port <= 0)
            continue;
        ports[n++] =
            (struct cni_port_mapping){protocol_name(m->protocol), m->container_port, m->host_port, m->host_ip};
    }
    *ret_netns = pod_path(pod, "ns/net");
    *a = (struct cni_attach){
        .container_id = pod->id,
        .netns = *ret_netns,
        .ifname = "eth0",
        .pod_name = pod->name,
        .pod_namespace = pod->namespace,
        .pod_uid = pod->uid,
        .ports = ports,
        .ports_n = n,
        .cgroup_path = pod->cgroup_parent,
        .annotations = &pod->annotations,
    };
}

static void take_ips(struct pod *pod, const struct cni_result *result)
{
    const struct cni_ip *ips[16];
    size_t n = cni_result_pod_ips(result, ips, countof(ips));

    strings_free(pod->ips);
    pod->ips = mem_alloc((n + 1) * sizeof(*pod->ips));
    for (size_t i = 0; i < n; i++)
        pod->ips[i] = mem_strdup(ips[i]->address);
}

static void on_cni_added(void *data, const struct cni_result *result, const struct err *err)
{
    struct flow *f = data;
    struct pod_flow *pf = f->data;

    pf->cni = NULL;
    if (!err)
        take_ips(pf->pod, result);
    flow_done(f, err);
}

static void cancel_cni(struct flow *f)
{
    struct pod_flow *pf = f->data;

    if (pf->cni)
        cni_cancel(pf->cni);
}

int pod_cni_add(struct flow *f)
{
    struct pod_flow *pf = f->data;
    struct cni_attach a;
    struct err err;
    cleanup_free char *netns = NULL;

    if (pf->pod->host_network)
        return 0;
    fill_attach(pf, &a, &netns);
    int r = cni_add(pod_cni(pf->pod), &a, on_cni_added, f, &pf->cni, &err);
    free((void *)(uintptr_t)a.ports);
    if (r < 0)
        return flow_error(f, &err);
    f->cancel_wait = cancel_cni;
    return FLOW_WAIT;
}

int pod_cni_del(struct flow *f)
{
    struct pod_flow *pf = f->data;
    struct cni_attach a;
    struct err err;
    cleanup_free char *netns = NULL;

    if (pf->pod->host_network)
        return 0;
    fill_attach(pf, &a, &netns);
    int r = cni_del(pod_cni(pf->pod), &a, flow_done, f, &err);
    free((void *)(uintptr_t)a.ports);
    return r < 0 ? flow_error(f, &err) : FLOW_WAIT;
}
