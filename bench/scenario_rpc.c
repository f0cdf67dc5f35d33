/* Reads, which the kubelet makes all the time: with no pods and with many, one after another and with several callers. */
#include "bench/ops.h"
#include "bench/requests.h"
#include "core/mem.h"

#include <string.h>

enum { WARM_UP = 5, CALLERS_MAX = 100 };

static const double LIMIT_S = 2; /* a series is shorter where the runtime takes longer */

struct target {
    const char *method;
    void (*request)(const struct job *j, struct buf *frame); /* NULL: an empty message */
    bool many; /* grows with the number of pods: measured at each size */
    bool
        alone; /* by one caller only: several bring containerd 1.6 down, which reads every cgroup in a thread of its own */
};
static const struct target targets[] = {
    {"Version", NULL, true, false},
    {"Status", NULL, false, false},
    {"ListPodSandbox", NULL, true, false},
    {"ListContainers", NULL, true, false},
    {"ListContainerStats", NULL, true, true},
    {"ListPodSandboxStats", NULL, true, true},
    {"ListImages", NULL, false, false},
    {"ImageFsInfo", NULL, false, false},
    {"PodSandboxStatus", request_pod_id, true, false},
    {"ContainerStatus", request_container_id, true, false},
};

/* n calls, `callers` of them under way all the time. One that fails ends it: the others would as well. */
static void measure(struct bench *b, const struct call *model, struct series *s, size_t n, unsigned callers)
{
    struct call calls[CALLERS_MAX] = {0};
    uint64_t end = now_ns() + (uint64_t)(LIMIT_S * 1e9);
    size_t started = 0;
    unsigned running = 0;

    series_reserve(s, n);
    for (; running < callers && running < CALLERS_MAX && running < n; running++, started++) {
        calls[running].path = model->path;
        buf_add(&calls[running].request, model->request.data, model->request.len);
        conn_start(b->conn, &calls[running]);
    }
    for (struct call *c; running && (c = conn_next(b->conn, -1));) {
        if (c->status == GRPC_OK)
            series_add(s, call_ms(c));
        else
            series_fail(s, c->message);
        if (started < n && !s->errors && now_ns() < end) {
            started++;
            conn_start(b->conn, c);
        } else {
            running--;
        }
    }
    for (size_t i = 0; i < CALLERS_MAX; i++)
        call_done(&calls[i]);
}

static void measure_target(struct bench *b, const struct target *t, const struct job *pod, const char *label)
{
    struct call model = {.path = method_path(t->method)};
    struct err err;
    size_t n = bench_count(b, 500, 200);
    struct series *s = series_get(&b->results, "ms", "%s%s", t->method, label);

    if (t->request)
        t->request(pod, &model.request);
    else
        buf_add(&model.request, "\0\0\0\0\0", 5);
    for (unsigned i = 0; i < WARM_UP; i++)
        if (conn_call(b->conn, &model, &err) < 0) {
            cleanup_free char *text = mem_printf("%s: %s", grpc_code_name(model.status), model.message);
            series_fail(s, text);
            call_done(&model);
            return;
        }
    measure(b, &model, s, n, 1);
    if (!t->alone)
        measure(b, &model, series_get(&b->results, "ms", "%s%s, %u callers", t->method, label, b->callers), n,
                b->callers);
    call_done(&model);
}

static void measure_at(struct bench *b, unsigned pods, const struct job *pod)
{
    char label[32] = "";

    if (pods)
        snprintf(label, sizeof(label), ", %u pods", pods);
    for (size_t i = 0; i < countof(targets); i++) {
        const struct target *t = &targets[i];
        bool of_a_pod = t->request == request_pod_id || t->request == request_container_id;
        if ((of_a_pod && !pods) || (!t->many && pods))
            continue;
        measure_target(b, t, pod, label);
    }
}

static int run(struct bench *b, struct err *err)
{
    static const unsigned sizes[] = {0, 10, 100, 250};
    unsigned most = bench_pods(b, 250, 100), have = 0;
    struct job *jobs = jobs_new(b, most, true);
    int rc = 0;

    for (size_t i = 0; !rc && i < countof(sizes) && sizes[i] <= most; i++) {
        rc = ops_run(b, ops_up, jobs + have, sizes[i] - have, b->callers, NULL, err);
        have = sizes[i];
        if (!rc)
            measure_at(b, have, jobs);
    }
    if (ops_run(b, ops_down, jobs, have, b->callers, NULL, rc ? NULL : err) < 0 && !rc)
        rc = err_errno(err);
    jobs_free(jobs, most);
    return rc;
}

const struct scenario scenario_rpc = {"rpc", "Version, Status, List*, *Status with 0, 10, 100, 250 pods", true,
                                      run};
