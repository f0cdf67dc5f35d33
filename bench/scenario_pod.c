/* Pods without containers: made, stopped, removed; with a network of their own and with the host's. */
#include "bench/cost.h"
#include "bench/ops.h"

static const enum op cycle[] = {OP_RUN_POD, OP_STOP_POD, OP_REMOVE_POD, OP_END};

static void some(struct bench *b, unsigned n, bool host, unsigned callers, const char *label)
{
    struct job *jobs = jobs_new(b, n, host);
    double cpu = cost_cpu_s(b);

    (void)!ops_run(b, cycle, jobs, n, callers, label, NULL); /* what failed stands in the results */
    series_add(series_get(&b->results, "ms", "CPU of one pod, made and removed%s", label),
               (cost_cpu_s(b) - cpu) * 1000 / n);
    jobs_free(jobs, n);
}

static int run(struct bench *b, struct err *err)
{
    unsigned n = bench_count(b, 20, 8);
    struct job *warm = jobs_new(b, 2, false);
    int rc;

    warm[1].host_network = true;
    rc = ops_run(b, cycle, warm, 2, 1, NULL, err); /* the bridge is made, programs are in memory */
    jobs_free(warm, 2);
    if (rc < 0)
        return rc;
    some(b, n, false, 1, ", bridge");
    some(b, n, true, 1, ", host network");
    if (!b->quick)
        some(b, n, false, b->callers, ", bridge, side by side");
    return 0;
}

const struct scenario scenario_pod = {"pod", "RunPodSandbox, StopPodSandbox, RemovePodSandbox", true, run};
