/*
 * Hours of a node's day: pods that come and go with probes, lists and status between. Latencies, the daemon's memory over time, and
 * what has grown at the end. --seconds says how long; ten minutes without it.
 */
#include "bench/growth.h"
#include "bench/ops.h"

enum { PODS = 10 };

static const enum op day[] = {OP_STATUS, OP_EXEC, OP_STATUS, OP_EXEC, OP_STATUS, OP_EXEC, OP_END};

static int round_of(struct bench *b, const char *label, struct err *err)
{
    struct job *jobs = jobs_new(b, PODS, false);

    for (unsigned i = 0; i < PODS; i += 2)
        jobs[i].host_network = true;
    int rc = ops_run(b, ops_up, jobs, PODS, b->callers, label, err);
    if (!rc)
        rc = ops_run(b, day, jobs, PODS, b->callers, label, err);
    int down = ops_run(b, ops_down, jobs, PODS, b->callers, label, rc ? NULL : err);
    jobs_free(jobs, PODS);
    return rc ? rc : down;
}

static int run(struct bench *b, struct err *err)
{
    double seconds = bench_seconds(b, 600, 30);
    struct growth before, after;
    unsigned rounds = 0;
    int rc = round_of(b, NULL, err);

    if (rc < 0 || (rc = growth_take(b, &before, err)) < 0)
        return rc;
    uint64_t end = now_ns() + (uint64_t)(seconds * 1e9);
    for (; now_ns() < end; rounds++) {
        (void)!round_of(b, ", soak", NULL); /* what failed stands in the results, and the soak goes on */
        series_add(series_get(&b->results, "KiB", "daemon's anonymous memory, soak"),
                   cost_anonymous_kib(b->daemon));
    }
    series_add(series_get(&b->results, "", "pods, soak"), rounds * PODS);
    if ((rc = growth_take(b, &after, err)) < 0)
        return rc;
    growth_report(b, &before, &after, "soak");
    return 0;
}

const struct scenario scenario_soak = {"soak", "pods that come and go with probes between, for --seconds", true,
                                       run};
