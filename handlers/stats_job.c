#include "handlers/stats_job.h"
#include "core/log.h"
#include "core/mem.h"

#include <string.h>

/* Of a turn. One sample is a tenth of it. */
enum { SLICE_US = 500 };

struct stats_job *stats_job_new(struct rpc *rpc, bool single, stats_pack_fn *pack)
{
    struct stats_job *j = mem_new(struct stats_job);

    j->rpc = rpc;
    j->daemon = rpc->daemon;
    j->single = single;
    j->pack = pack;
    return j;
}

static struct stats_sample *add(struct stats_job *j, enum stats_kind kind, const char *id)
{
    j->samples = mem_grow(j->samples, &j->cap, j->n + 1, sizeof(*j->samples));
    struct stats_sample *s = &j->samples[j->n++];
    s->kind = kind;
    s->network = -1;
    memcpy(s->id, id, ID_SIZE);
    return s;
}

void stats_job_add_container(struct stats_job *j, const struct container *c)
{
    add(j, STATS_CONTAINER, c->id);
}

/* The slice of pods that name none is one for all (docs/decisions.md); what a caller names is taken to be the pod's. */
static bool parent_is_shared(const struct daemon *d, const struct pod *pod)
{
    cleanup_free char *usual = cgroup_parent_default(d->config.cgroup_driver, pod->id);

    return !pod->cgroup_parent_is_ours && strcmp(pod->cgroup_parent, usual) == 0;
}

static int by_pod(const void *a, const void *b)
{
    return strcmp((*(struct container *const *)a)->pod_id, (*(struct container *const *)b)->pod_id);
}

/* Those that run, sorted by their pods. The caller frees. */
static struct container **running(const struct stats_job *j, size_t *ret_n)
{
    struct container **list = NULL;
    size_t n = 0, cap = 0;

    for (struct container *c = containers_first(j->daemon->containers); c; c = containers_next(c))
        if (c->state == CONTAINER_STATE_RUNNING) {
            list = mem_grow(list, &cap, n + 1, sizeof(struct container *));
            list[n++] = c;
        }
    if (n)
        qsort(list, n, sizeof(struct container *), by_pod);
    *ret_n = n;
    return list;
}

/* The first of a sorted list that is the pod's or would come behind it. */
static size_t first_of(struct container *const *list, size_t n, const char *pod_id)
{
    size_t from = 0;

    while (n > 0) {
        size_t half = n / 2;
        if (strcmp(list[from + half]->pod_id, pod_id) < 0) {
            from += half + 1;
            n -= half + 1;
        } else {
            n = half;
        }
    }
    return from;
}

static void add_pod(struct stats_job *j, const struct pod *pod, struct container *const *list, size_t n)
{
    bool shared = parent_is_shared(j->daemon, pod);
    struct stats_sample *s = add(j, STATS_POD, pod->id);

    s->shared_parent = shared;
    s->wants_pids = !shared;
    if (!pod->host_network)
        s->network = j->networks_n++;
    for (size_t i = first_of(list, n, pod->id); i < n && strcmp(list[i]->pod_id, pod->id) == 0; i++)
        add(j, STATS_CONTAINER, list[i]->id)->wants_pids = shared;
}

void stats_job_add_pods(struct stats_job *j, struct pod *const *pods, size_t n)
{
    size_t containers_n;
    cleanup_free struct container **containers = running(j, &containers_n);

    for (size_t i = 0; i < n; i++)
        add_pod(j, pods[i], containers, containers_n);
}

struct container *stats_sample_container(const struct stats_job *j, const struct stats_sample *s)
{
    struct err err;

    return s->taken ? container_find(j->daemon->containers, s->id, &err) : NULL;
}

struct pod *stats_sample_pod(const struct stats_job *j, const struct stats_sample *s)
{
    struct err err;

    return s->taken ? pod_find(j->daemon->pods, s->id, &err) : NULL;
}

/* ---- reading ------------------------------------------------------------------------------------------------------- */

static void pack_if_complete(struct stats_job *j);

static void read_cgroup(struct stats_job *j, struct stats_sample *s, const char *dir, struct cpu_rate *rate)
{
    unsigned parts = CGROUP_STATS_USAGE | (s->wants_pids ? CGROUP_STATS_PIDS : 0);

    cgroup_stats_read(&j->daemon->host.cgroups, dir, parts, &s->cgroup);
    s->at_ns = time_now_ns();
    if (s->cgroup.cpu_known)
        s->rate_known = cpu_rate_take(rate, time_monotonic_us(), s->cgroup.cpu_ns, &s->nano_cores);
}

static void take_container(struct stats_job *j, struct stats_sample *s)
{
    struct err err;
    struct container *c = container_find(j->daemon->containers, s->id, &err);

    if (!c || c->state != CONTAINER_STATE_RUNNING)
        return;
    cleanup_free char *dir =
        cgroup_container_dir(j->daemon->config.cgroup_driver, container_pod(c)->cgroup_parent, c->id);
    s->taken = true;
    read_cgroup(j, s, dir, &c->cpu_rate);
}

static void take_pod(struct stats_job *j, struct stats_sample *s)
{
    struct err err;
    struct pod *pod = pod_find(j->daemon->pods, s->id, &err);

    if (!pod || pod->state != POD_READY)
        return;
    s->taken = true;
    s->at_ns = time_now_ns();
    if (!s->shared_parent)
        read_cgroup(j, s, pod->cgroup_dir, &pod->cpu_rate);
}

static void read_slice(void *data)
{
    struct stats_job *j = data;
    int64_t start = time_monotonic_us();

    if (!j->rpc)
        j->next = j->n;
    while (j->next < j->n) {
        struct stats_sample *s = &j->samples[j->next++];
        if (s->kind == STATS_POD)
            take_pod(j, s);
        else
            take_container(j, s);
        if (j->next < j->n && time_monotonic_us() - start > SLICE_US) {
            loop_defer(j->daemon->loop, read_slice, j);
            return;
        }
    }
    pack_if_complete(j);
}

/* ---- networks ------------------------------------------------------------------------------------------------------ */

static void on_networks(void *data, struct netns_counters *counters, const struct err *err)
{
    struct stats_job *j = data;

    j->awaits_networks = false;
    j->networks = counters;
    if (err)
        log_warn("%s", err->msg);
    pack_if_complete(j);
}

static void start_networks(struct stats_job *j)
{
    size_t n = (size_t)j->networks_n;
    cleanup_free char **paths = mem_alloc((n + 1) * sizeof(*paths));
    struct err err;

    for (size_t i = 0; i < j->n; i++)
        if (j->samples[i].network >= 0)
            paths[j->samples[i].network] =
                mem_printf("%s/pods/%s/ns/net", j->daemon->config.state, j->samples[i].id);
    if (n > 0 && netns_counters_read(j->daemon->loop, (const char *const *)paths, n, on_networks, j, &err) < 0)
        log_warn("%s", err.msg);
    else
        j->awaits_networks = n > 0;
    for (size_t i = 0; i < n; i++)
        free(paths[i]);
}

/* ---- the answer ---------------------------------------------------------------------------------------------------- */

static void job_free(struct stats_job *j)
{
    for (size_t i = 0; i < j->pieces_n; i++)
        free((void *)(uintptr_t)j->pieces[i].p);
    free(j->pieces);
    free(j->samples);
    free(j->networks);
    free(j);
}

static void answer(struct stats_job *j)
{
    struct err err;

    rpc_on_gone(j->rpc, NULL, NULL);
    if (!j->single || j->pieces_n > 0) {
        rpc_reply_pieces(j->rpc, j->pieces, j->pieces_n);
        return;
    }
    err_set(&err, GRPC_FAILED_PRECONDITION, 0, "%s %.13s ended while it was looked at",
            j->samples[0].kind == STATS_POD ? "pod" : "container", j->samples[0].id);
    rpc_fail(j->rpc, &err);
}

static void pack_slice(void *data)
{
    struct stats_job *j = data;
    int64_t start = time_monotonic_us();

    while (j->rpc && j->packed < j->n) {
        uint8_t *bytes;
        size_t n;
        if (j->pack(j, j->packed++, &bytes, &n))
            j->pieces[j->pieces_n++] = (struct rpc_piece){bytes, n};
        if (j->packed < j->n && time_monotonic_us() - start > SLICE_US) {
            loop_defer(j->daemon->loop, pack_slice, j);
            return;
        }
    }
    if (j->rpc)
        answer(j);
    job_free(j);
}

static void pack_if_complete(struct stats_job *j)
{
    if (j->next < j->n || j->awaits_networks)
        return;
    j->pieces = mem_alloc((j->n + 1) * sizeof(*j->pieces));
    pack_slice(j);
}

static void on_gone(void *data)
{
    struct stats_job *j = data;

    j->rpc = NULL;
}

void stats_job_run(struct stats_job *j)
{
    rpc_on_gone(j->rpc, on_gone, j);
    start_networks(j);
    read_slice(j);
}
