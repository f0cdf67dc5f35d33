#include "bench/ops.h"
#include "bench/requests.h"
#include "core/mem.h"
#include "proto/cri.pb-c.h"

#include <stdlib.h>
#include <string.h>

const enum op ops_up[] = {OP_RUN_POD, OP_CREATE, OP_START, OP_END};
const enum op ops_down[] = {OP_STOP_POD, OP_REMOVE_POD, OP_END};

enum needs { NOTHING, POD, CONTAINER };

/* The replies with an id are all {1: id}. */
static bool take_id(const struct call *call, char id[ID_MAX])
{
    Runtime__V1__RunPodSandboxResponse *r = (Runtime__V1__RunPodSandboxResponse *)reply_unpack(
        call, &runtime__v1__run_pod_sandbox_response__descriptor);
    bool ok = r && r->pod_sandbox_id[0] && strlen(r->pod_sandbox_id) < ID_MAX;

    if (ok)
        strcpy(id, r->pod_sandbox_id);
    if (r)
        protobuf_c_message_free_unpacked(&r->base, NULL);
    return ok;
}

static bool take_pod(struct job *j)
{
    return take_id(&j->call, j->pod);
}

static bool take_container(struct job *j)
{
    return take_id(&j->call, j->container);
}

static bool take_exit_code(struct job *j)
{
    Runtime__V1__ExecSyncResponse *r =
        (Runtime__V1__ExecSyncResponse *)reply_unpack(&j->call, &runtime__v1__exec_sync_response__descriptor);
    bool ok = r && r->exit_code == 0;

    if (r)
        protobuf_c_message_free_unpacked(&r->base, NULL);
    return ok;
}

static bool forget_pod(struct job *j)
{
    j->pod[0] = j->container[0] = '\0';
    return true;
}

static bool forget_container(struct job *j)
{
    j->container[0] = '\0';
    return true;
}

static const struct op_kind {
    const char *method;
    void (*request)(const struct job *j, struct buf *frame);
    bool (*take)(struct job *j); /* false: the reply is not what it should be */
    const char *pair_name;       /* of it together with `pair`, the operation before */
    enum op pair;
    enum needs needs;
} kinds[] = {
    [OP_RUN_POD] = {"RunPodSandbox", request_run_pod, take_pod, NULL, OP_END, NOTHING},
    [OP_STOP_POD] = {"StopPodSandbox", request_pod_id, NULL, NULL, OP_END, POD},
    [OP_REMOVE_POD] = {"RemovePodSandbox", request_pod_id, forget_pod, NULL, OP_END, POD},
    [OP_CREATE] = {"CreateContainer", request_create_container, take_container, NULL, OP_END, POD},
    [OP_START] = {"StartContainer", request_container_id, NULL, "CreateContainer + StartContainer", OP_CREATE,
                  CONTAINER},
    [OP_STATUS] = {"ContainerStatus", request_container_id, NULL, NULL, OP_END, CONTAINER},
    [OP_EXEC] = {"ExecSync", request_exec, take_exit_code, NULL, OP_END, CONTAINER},
    [OP_STOP] = {"StopContainer", request_container_id, NULL, NULL, OP_END, CONTAINER},
    [OP_REMOVE] = {"RemoveContainer", request_container_id, forget_container, "StopContainer + RemoveContainer",
                   OP_STOP, CONTAINER},
};

struct job *jobs_new(struct bench *b, size_t n, bool host_network)
{
    struct job *jobs = mem_alloc(n * sizeof(*jobs));

    for (size_t i = 0; i < n; i++) {
        jobs[i].bench = b;
        jobs[i].number = ++b->names;
        jobs[i].host_network = host_network;
        jobs[i].call.owner = &jobs[i];
    }
    return jobs;
}

void jobs_free(struct job *jobs, size_t n)
{
    for (size_t i = 0; jobs && i < n; i++)
        call_done(&jobs[i].call);
    free(jobs);
}

/* Starts the job's next operation that can be; false when the chain has ended. */
static bool start_next(struct bench *b, struct job *j)
{
    for (; *j->at != OP_END; j->at++) {
        const struct op_kind *k = &kinds[*j->at];
        if ((k->needs >= POD && !j->pod[0]) || (k->needs == CONTAINER && !j->container[0]))
            continue;
        j->call.path = method_path(k->method);
        k->request(j, &j->call.request);
        conn_start(b->conn, &j->call);
        return true;
    }
    return false;
}

static void record(struct bench *b, struct job *j, const struct op_kind *k, const char *label, double ms)
{
    if (label && ms >= 0)
        series_add(series_get(&b->results, "ms", "%s%s", k->method, label), ms);
    if (label && ms >= 0 && k->pair && j->last == k->pair && j->last_ms >= 0)
        series_add(series_get(&b->results, "ms", "%s%s", k->pair_name, label), j->last_ms + ms);
    j->last_ms = ms;
}

/* What came of the call that has ended. */
static int finish(struct bench *b, struct job *j, const char *label, struct err *err)
{
    const struct op_kind *k = &kinds[*j->at];
    int rc = 0;

    if (j->call.status != GRPC_OK)
        rc = err_set(err, j->call.status, 0, "%s: %s", grpc_code_name(j->call.status), j->call.message);
    else if (k->take && !k->take(j))
        rc = err_set(err, GRPC_INTERNAL, 0, "the reply of %s is not what it must be", k->method);
    if (rc < 0 && label)
        series_fail(series_get(&b->results, "ms", "%s%s", k->method, label), err->msg);
    record(b, j, k, label, rc < 0 ? -1 : call_ms(&j->call));
    j->last = *j->at++;
    return rc < 0 ? err_wrap(err, "%s of pod %u", k->method, j->number) : 0;
}

static void reserve(struct bench *b, const enum op *chain, size_t n, const char *label)
{
    enum op before = OP_END;

    for (; label && *chain != OP_END; before = *chain++) {
        const struct op_kind *k = &kinds[*chain];
        struct series *s = series_get(&b->results, "ms", "%s%s", k->method, label);
        series_reserve(s, s->n + n);
        if (k->pair && k->pair == before) {
            s = series_get(&b->results, "ms", "%s%s", k->pair_name, label);
            series_reserve(s, s->n + n);
        }
    }
}

int ops_run(struct bench *b, const enum op *chain, struct job *jobs, size_t n, unsigned callers,
            const char *label, struct err *err)
{
    size_t next = 0, running = 0;
    struct err first = {0}, one;

    reserve(b, chain, n, label);
    for (;;) {
        while (running < callers && next < n) {
            struct job *j = &jobs[next++];
            j->at = chain;
            j->last = OP_END;
            running += start_next(b, j);
        }
        struct call *call = running ? conn_next(b->conn, -1) : NULL;
        if (!call)
            break;
        if (finish(b, call->owner, label, &one) < 0 && !first.grpc)
            first = one;
        running -= !start_next(b, call->owner);
    }
    if (first.grpc && err)
        *err = first;
    return first.grpc ? err_errno(&first) : 0;
}
