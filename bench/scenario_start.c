/* What a user waits for: a pod with its container, from nothing to running; one after another, gone before the next. */
#include "bench/cost.h"
#include "bench/ops.h"

static void some(struct bench *b, unsigned n, bool host, const char *label)
{
    struct series *s = series_get(&b->results, "ms", "pod with a container, to running%s", label);
    struct job *jobs = jobs_new(b, n, host);
    double cpu = cost_cpu_s(b);
    struct err err;

    for (unsigned i = 0; i < n; i++) {
        uint64_t start = now_ns();
        if (ops_run(b, ops_up, &jobs[i], 1, 1, NULL, &err) < 0)
            series_fail(s, err.msg);
        else
            series_add(s, (double)(now_ns() - start) / 1e6);
        if (ops_run(b, ops_down, &jobs[i], 1, 1, NULL, &err) < 0)
            series_fail(s, err.msg);
    }
    series_add(series_get(&b->results, "ms", "CPU of a pod with a container, started and removed%s", label),
               (cost_cpu_s(b) - cpu) * 1000 / n);
    jobs_free(jobs, n);
}

static int run(struct bench *b, struct err *err)
{
    unsigned n = bench_count(b, 20, 8);
    struct job *warm = jobs_new(b, 1, false);
    int rc = ops_run(b, ops_up, warm, 1, 1, NULL, err);
    int down = ops_run(b, ops_down, warm, 1, 1, NULL, rc ? NULL : err);

    jobs_free(warm, 1);
    if (rc || down)
        return rc ? rc : down;
    some(b, n, false, ", bridge");
    some(b, n, true, ", host network");
    return 0;
}

const struct scenario scenario_start = {"start", "a pod with its container, from nothing to running", true,
                                        run};
