/* Many pods made and removed: what is left of them in memory, descriptors, processes, files and rows. */
#include "bench/growth.h"
#include "bench/ops.h"

enum { BATCH = 50 };

/* Bridge and host network by turns. */
static int batch(struct bench *b, unsigned n, const char *label, struct err *err)
{
    struct job *jobs = jobs_new(b, n, false);

    for (unsigned i = 0; i < n; i += 2)
        jobs[i].host_network = true;
    int rc = ops_run(b, ops_up, jobs, n, b->callers, label, err);
    int down = ops_run(b, ops_down, jobs, n, b->callers, label, rc ? NULL : err);
    jobs_free(jobs, n);
    return rc ? rc : down;
}

static int run(struct bench *b, struct err *err)
{
    unsigned n = bench_count(b, 1000, 50);
    struct growth before, after;
    char what[32];
    int rc = batch(b, BATCH, NULL, err); /* tables and pools get their size */

    if (!rc)
        rc = growth_take(b, &before, err);
    uint64_t start = now_ns();
    for (unsigned done = 0; !rc && done < n; done += BATCH)
        rc = batch(b, n - done < BATCH ? n - done : BATCH, ", churn", err);
    if (rc < 0)
        return rc;
    series_add(series_get(&b->results, "s", "churn of %u pods", n), (double)(now_ns() - start) / 1e9);
    if ((rc = growth_take(b, &after, err)) < 0)
        return rc;
    snprintf(what, sizeof(what), "%u pods", n);
    growth_report(b, &before, &after, what);
    return 0;
}

const struct scenario scenario_churn = {
    "churn", "1000 pods made and removed: growth of memory, descriptors, files, rows", true, run};
