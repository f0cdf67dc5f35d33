/*
 * Many pods of one sleeping container: how long they take, one after another and side by side; what they cost in memory,
 * threads and descriptors when all is quiet; and what the runtime does then.
 */
#include "bench/cost.h"
#include "bench/ops.h"

static const double QUIET_S =
    7; /* what follows work: memory given back (cricketd after 5 s), garbage collected */

static double since_s(uint64_t start)
{
    return (double)(now_ns() - start) / 1e9;
}

static void add(struct bench *b, const char *unit, const char *name, unsigned n, double value)
{
    series_add(series_get(&b->results, unit, "%s, %u pods", name, n), value);
}

static void report_idle(struct bench *b, const struct cost *c)
{
    const struct part_cost *d = &c->part[PART_DAEMON];

    series_add(series_get(&b->results, "KiB", "daemon at rest, PSS"), d->pss_kib);
    series_add(series_get(&b->results, "KiB", "daemon at rest, anonymous"), d->anonymous_kib);
    series_add(series_get(&b->results, "", "daemon at rest, threads"), d->threads);
    series_add(series_get(&b->results, "", "daemon at rest, descriptors"), d->descriptors);
}

static void report_full(struct bench *b, unsigned n, const struct cost *idle, const struct cost *full)
{
    static const char *const names[] = {"daemon", "shims or keepers", "pause processes", "containers"};

    for (int i = 0; i < PARTS; i++) {
        const struct part_cost *p = &full->part[i];
        series_add(series_get(&b->results, "KiB", "PSS of %s, %u pods", names[i], n), p->pss_kib);
        series_add(series_get(&b->results, "", "threads of %s, %u pods", names[i], n), p->threads);
        series_add(series_get(&b->results, "", "descriptors of %s, %u pods", names[i], n), p->descriptors);
    }
    add(b, "KiB", "daemon's anonymous memory", n, full->part[PART_DAEMON].anonymous_kib);
    add(b, "KiB", "PSS of one more pod beside its container", n, (cost_pss_kib(full) - cost_pss_kib(idle)) / n);
}

/* At rest: what is used although nothing is asked. */
static int report_rest(struct bench *b, unsigned n, const struct cost *idle, struct err *err)
{
    double seconds = bench_seconds(b, 60, 10);
    struct cost before, after;
    int rc;

    bench_rest(QUIET_S);
    if ((rc = cost_take(b, &before, err)) < 0)
        return rc;
    uint64_t start = now_ns();
    bench_rest(seconds);
    double took = since_s(start);
    if ((rc = cost_take(b, &after, err)) < 0)
        return rc;
    add(b, "ms/s", "CPU at rest", n, (after.cpu_s - before.cpu_s) * 1000 / took);
    add(b, "1/s", "wake-ups at rest", n, (after.wakeups - before.wakeups) / took);
    report_full(b, n, idle, &after);
    return 0;
}

static int up_and_down(struct bench *b, unsigned n, unsigned callers, const struct cost *idle, struct err *err)
{
    const char *how = callers > 1 ? "side by side" : "one after another";
    struct job *jobs = jobs_new(b, n, false);
    double cpu = cost_cpu_s(b);
    uint64_t start = now_ns();
    int rc = ops_run(b, ops_up, jobs, n, callers, NULL, err);

    if (!rc) {
        series_add(series_get(&b->results, "s", "%u pods started, %s", n, how), since_s(start));
        series_add(series_get(&b->results, "ms", "CPU of one pod started, %s", how),
                   (cost_cpu_s(b) - cpu) * 1000 / n);
    }
    if (!rc && idle)
        rc = report_rest(b, n, idle, err);
    cpu = cost_cpu_s(b);
    start = now_ns();
    int down = ops_run(b, ops_down, jobs, n, callers, NULL, rc ? NULL : err);
    if (!rc && !(rc = down)) {
        series_add(series_get(&b->results, "s", "%u pods stopped and removed, %s", n, how), since_s(start));
        series_add(series_get(&b->results, "ms", "CPU of one pod stopped and removed, %s", how),
                   (cost_cpu_s(b) - cpu) * 1000 / n);
    }
    jobs_free(jobs, n);
    return rc;
}

static int run(struct bench *b, struct err *err)
{
    unsigned n = bench_pods(b, 50, 20);
    struct cost idle;
    int rc;

    bench_rest(QUIET_S);
    if ((rc = cost_take(b, &idle, err)) < 0)
        return rc;
    report_idle(b, &idle);
    if ((rc = up_and_down(b, n, 1, &idle, err)) < 0)
        return rc;
    return up_and_down(b, n, b->callers, NULL, err);
}

const struct scenario scenario_density = {"density", "50 pods: time, memory, threads, descriptors, CPU at rest",
                                          true, run};
