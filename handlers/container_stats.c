/* ContainerStats and ListContainerStats: of containers that run; the others have no cgroup. */
#include "handlers/containers.h"
#include "handlers/cri_maps.h"
#include "handlers/cri_objects.h"
#include "handlers/cri_stats.h"
#include "handlers/methods.h"
#include "handlers/writable_layers.h"
#include "proto/message_text.h"

static Runtime__V1__ContainerAttributes *attributes(struct rpc *rpc, struct container *c)
{
    Runtime__V1__ContainerAttributes *a = rpc_new(rpc, Runtime__V1__ContainerAttributes);

    runtime__v1__container_attributes__init(a);
    a->id = c->id;
    a->metadata = cri_container_metadata(rpc, c);
    MAP_OF_KV(rpc, a, labels, &c->labels, runtime__v1__container_attributes__labels_entry__descriptor);
    MAP_OF_KV(rpc, a, annotations, &c->annotations,
              runtime__v1__container_attributes__annotations_entry__descriptor);
    return a;
}

Runtime__V1__ContainerStats *cri_container_stats(struct rpc *rpc, struct container *c,
                                                 const struct stats_sample *s)
{
    Runtime__V1__ContainerStats *m = rpc_new(rpc, Runtime__V1__ContainerStats);

    runtime__v1__container_stats__init(m);
    m->attributes = attributes(rpc, c);
    m->cpu = cri_cpu_usage(rpc, s);
    m->memory = cri_memory_usage(rpc, s);
    m->swap = cri_swap_usage(rpc, s);
    m->io = cri_io_usage(rpc, s);
    if (c->writable_layer.known)
        m->writable_layer = cri_filesystem_usage(rpc, rpc->daemon->config.root, c->writable_layer.at_ns,
                                                 &c->writable_layer.usage);
    return m;
}

/* ContainerStatsResponse looks the same on the wire: its one field has the number of the list. */
static bool pack(struct stats_job *j, size_t i, uint8_t **ret_bytes, size_t *ret_n)
{
    Runtime__V1__ListContainerStatsResponse r = RUNTIME__V1__LIST_CONTAINER_STATS_RESPONSE__INIT;
    struct container *c = stats_sample_container(j, &j->samples[i]);
    Runtime__V1__ContainerStats *stats;

    if (!c)
        return false;
    stats = cri_container_stats(j->rpc, c, &j->samples[i]);
    r.n_stats = 1;
    r.stats = &stats;
    *ret_bytes = message_text_pack(&r.base, 0, SIZE_MAX, ret_n);
    return true;
}

void handle_container_stats(struct rpc *rpc)
{
    const Runtime__V1__ContainerStatsRequest *req = (const Runtime__V1__ContainerStatsRequest *)rpc->request;
    struct err err;
    struct container *c = container_find_running(rpc->daemon->containers, req->container_id, "measure", &err);

    if (!c) {
        rpc_fail(rpc, &err);
        return;
    }
    writable_layers_look(rpc->daemon->writable_layers);
    struct stats_job *j = stats_job_new(rpc, true, pack);
    stats_job_add_container(j, c);
    stats_job_run(j);
}

void handle_list_container_stats(struct rpc *rpc)
{
    const Runtime__V1__ListContainerStatsRequest *req =
        (const Runtime__V1__ListContainerStatsRequest *)rpc->request;
    const Runtime__V1__ContainerStatsFilter *f = req->filter;
    struct stats_job *j = stats_job_new(rpc, false, pack);

    writable_layers_look(rpc->daemon->writable_layers);
    for (struct container *c = containers_first(rpc->daemon->containers); c; c = containers_next(c))
        if (c->state == CONTAINER_STATE_RUNNING &&
            (!f || container_is_selected(c, f->id, f->pod_sandbox_id, f->label_selector, f->n_label_selector)))
            stats_job_add_container(j, c);
    stats_job_run(j);
}
