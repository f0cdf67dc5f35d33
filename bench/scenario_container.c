/* Containers in a pod that is there: create, start, status, stop at once, remove. */
#include "bench/cost.h"
#include "bench/ops.h"

static const enum op pod_up[] = {OP_RUN_POD, OP_END};
static const enum op cycle[] = {OP_CREATE, OP_START, OP_STATUS, OP_STOP, OP_REMOVE, OP_END};

static int run(struct bench *b, struct err *err)
{
    unsigned n = bench_count(b, 30, 12);
    struct job *pod = jobs_new(b, 1, true);
    int rc = ops_run(b, pod_up, pod, 1, 1, NULL, err);

    if (!rc)
        rc = ops_run(b, cycle, pod, 1, 1, NULL, err);
    double cpu = cost_cpu_s(b);
    for (unsigned i = 0; !rc && i < n; i++)
        (void)!ops_run(b, cycle, pod, 1, 1, "", NULL); /* what failed stands in the results */
    if (!rc)
        series_add(series_get(&b->results, "ms", "CPU of one container, made and removed"),
                   (cost_cpu_s(b) - cpu) * 1000 / n);
    if (ops_run(b, ops_down, pod, 1, 1, NULL, rc ? NULL : err) < 0 && !rc)
        rc = err_errno(err);
    jobs_free(pod, 1);
    return rc;
}

const struct scenario scenario_container = {
    "container", "CreateContainer, StartContainer, ContainerStatus, StopContainer, RemoveContainer", true, run};
