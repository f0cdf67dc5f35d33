/* PodSandboxStats and ListPodSandboxStats: of pods that are READY, with those of their containers that run. */
#include "core/mem.h"
#include "handlers/containers.h"
#include "handlers/cri_maps.h"
#include "handlers/cri_objects.h"
#include "handlers/cri_stats.h"
#include "handlers/methods.h"
#include "handlers/pods.h"
#include "handlers/writable_layers.h"
#include "proto/message_text.h"

static Runtime__V1__PodSandboxAttributes *attributes(struct rpc *rpc, struct pod *pod)
{
    Runtime__V1__PodSandboxAttributes *a = rpc_new(rpc, Runtime__V1__PodSandboxAttributes);

    runtime__v1__pod_sandbox_attributes__init(a);
    a->id = pod->id;
    a->metadata = cri_pod_metadata(rpc, pod);
    MAP_OF_KV(rpc, a, labels, &pod->labels, runtime__v1__pod_sandbox_attributes__labels_entry__descriptor);
    MAP_OF_KV(rpc, a, annotations, &pod->annotations,
              runtime__v1__pod_sandbox_attributes__annotations_entry__descriptor);
    return a;
}

static void sum_add(struct cgroup_stats *sum, const struct cgroup_stats *c)
{
    sum->cpu_known |= c->cpu_known;
    sum->cpu_ns += c->cpu_ns;
    sum->memory_known |= c->memory_known;
    sum->memory_bytes += c->memory_bytes;
    sum->inactive_file_bytes += c->inactive_file_bytes;
    sum->rss_bytes += c->rss_bytes;
    sum->page_faults += c->page_faults;
    sum->major_page_faults += c->major_page_faults;
    sum->pids_known |= c->pids_known;
    sum->pids += c->pids;
}

/* A pod in a cgroup of many: what its containers use. Limits and pressure are not a sum's. */
static void sum_up(struct pod *pod, struct stats_sample *s, const struct stats_sample *containers, size_t n)
{
    s->cgroup = (struct cgroup_stats){.memory_limit_bytes = CGROUP_UNLIMITED};
    for (size_t i = 0; i < n; i++)
        if (containers[i].taken)
            sum_add(&s->cgroup, &containers[i].cgroup);
    if (s->cgroup.cpu_known)
        s->rate_known = cpu_rate_take(&pod->cpu_rate, time_monotonic_us(), s->cgroup.cpu_ns, &s->nano_cores);
}

static size_t containers_of(const struct stats_job *j, size_t pod)
{
    size_t n = 0;

    while (pod + 1 + n < j->n && j->samples[pod + 1 + n].kind == STATS_CONTAINER)
        n++;
    return n;
}

/* samples[i] is the pod's, and those of its containers follow. NULL: it went away. */
static Runtime__V1__PodSandboxStats *cri_pod_stats(struct stats_job *j, size_t i)
{
    struct stats_sample *s = &j->samples[i];
    struct pod *pod = stats_sample_pod(j, s);
    size_t n = containers_of(j, i);
    struct rpc *rpc = j->rpc;

    if (!pod)
        return NULL;
    Runtime__V1__PodSandboxStats *m = rpc_new(rpc, Runtime__V1__PodSandboxStats);
    Runtime__V1__LinuxPodSandboxStats *l = rpc_new(rpc, Runtime__V1__LinuxPodSandboxStats);
    runtime__v1__pod_sandbox_stats__init(m);
    runtime__v1__linux_pod_sandbox_stats__init(l);
    if (s->shared_parent)
        sum_up(pod, s, s + 1, n);
    m->attributes = attributes(rpc, pod);
    m->linux = l;
    l->cpu = cri_cpu_usage(rpc, s);
    l->memory = cri_memory_usage(rpc, s);
    l->io = cri_io_usage(rpc, s);
    l->process = cri_process_usage(rpc, s);
    if (j->networks && s->network >= 0)
        l->network = cri_network_usage(rpc, &j->networks[s->network], s->at_ns);
    l->containers = rpc_alloc(rpc, n * sizeof(*l->containers) + 1);
    for (size_t k = 1; k <= n; k++) {
        struct container *c = stats_sample_container(j, &s[k]);
        if (c)
            l->containers[l->n_containers++] = cri_container_stats(rpc, c, &s[k]);
    }
    return m;
}

/* PodSandboxStatsResponse looks the same on the wire: its one field has the number of the list. */
static bool pack(struct stats_job *j, size_t i, uint8_t **ret_bytes, size_t *ret_n)
{
    Runtime__V1__ListPodSandboxStatsResponse r = RUNTIME__V1__LIST_POD_SANDBOX_STATS_RESPONSE__INIT;
    Runtime__V1__PodSandboxStats *stats = j->samples[i].kind == STATS_POD ? cri_pod_stats(j, i) : NULL;

    if (!stats)
        return false;
    r.n_stats = 1;
    r.stats = &stats;
    *ret_bytes = message_text_pack(&r.base, 0, SIZE_MAX, ret_n);
    return true;
}

void handle_pod_sandbox_stats(struct rpc *rpc)
{
    const Runtime__V1__PodSandboxStatsRequest *req = (const Runtime__V1__PodSandboxStatsRequest *)rpc->request;
    struct err err;
    struct pod *pod = pod_find(rpc->daemon->pods, req->pod_sandbox_id, &err);

    if (pod && pod->state != POD_READY)
        err_set(&err, GRPC_FAILED_PRECONDITION, 0, "pod %s (%.13s) is not ready: there is nothing to measure",
                pod->name, pod->id);
    if (!pod || pod->state != POD_READY) {
        rpc_fail(rpc, &err);
        return;
    }
    writable_layers_look(rpc->daemon->writable_layers);
    struct stats_job *j = stats_job_new(rpc, true, pack);
    stats_job_add_pods(j, &pod, 1);
    stats_job_run(j);
}

void handle_list_pod_sandbox_stats(struct rpc *rpc)
{
    const Runtime__V1__ListPodSandboxStatsRequest *req =
        (const Runtime__V1__ListPodSandboxStatsRequest *)rpc->request;
    const Runtime__V1__PodSandboxStatsFilter *f = req->filter;
    struct stats_job *j = stats_job_new(rpc, false, pack);
    cleanup_free struct pod **pods = NULL;
    size_t n = 0, cap = 0;

    writable_layers_look(rpc->daemon->writable_layers);
    for (struct pod *pod = pods_first(rpc->daemon->pods); pod; pod = pods_next(pod))
        if (pod->state == POD_READY &&
            (!f || pod_is_selected(pod, f->id, f->label_selector, f->n_label_selector))) {
            pods = mem_grow(pods, &cap, n + 1, sizeof(struct pod *));
            pods[n++] = pod;
        }
    stats_job_add_pods(j, pods, n);
    stats_job_run(j);
}
