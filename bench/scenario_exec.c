/*
 * ExecSync of `true`: one after another, then as probes come, so many a second whatever the runtime does, with what they cost in
 * CPU: the daemon's and its children's, `true` included.
 */
#include "bench/cost.h"
#include "bench/ops.h"
#include "bench/requests.h"
#include "core/mem.h"

#include <string.h>

enum { PROBES_A_SECOND = 20 };

static const enum op exec_once[] = {OP_EXEC, OP_END};

/* Calls that have ended by then; timed from when they were due, so that a probe that had to wait shows it. */
static unsigned take_ended(struct bench *b, struct series *s, int timeout_ms)
{
    unsigned n = 0;

    for (struct call *c; (c = conn_next(b->conn, n ? 0 : timeout_ms)); n++) {
        if (c->status == GRPC_OK)
            series_add(s, call_ms(c));
        else
            series_fail(s, c->message);
    }
    return n;
}

static void probes(struct bench *b, const struct job *pod)
{
    size_t n = (size_t)(bench_seconds(b, 30, 5) * PROBES_A_SECOND), ended = 0;
    struct call *calls = mem_alloc(n * sizeof(*calls));
    struct series *s = series_get(&b->results, "ms", "ExecSync, %d a second", PROBES_A_SECOND);

    series_reserve(s, n);
    for (size_t i = 0; i < n; i++) {
        calls[i].path = method_path("ExecSync");
        request_exec(pod, &calls[i].request);
    }
    double cpu = cost_cpu_s(b);
    uint64_t start = now_ns();
    for (size_t i = 0; i < n; i++) {
        uint64_t due = start + i * (1000000000 / PROBES_A_SECOND);
        for (uint64_t now; (now = now_ns()) < due;) {
            unsigned k = take_ended(b, s, (int)((due - now) / 1000000));
            ended += k;
            if (!k && due > now_ns())
                bench_rest((double)(due - now_ns()) / 1e9);
        }
        conn_start(b->conn, &calls[i]);
    }
    while (ended < n)
        ended += take_ended(b, s, -1);
    cpu = cost_cpu_s(b) - cpu;
    series_add(series_get(&b->results, "ms", "CPU of one ExecSync, %d a second", PROBES_A_SECOND),
               cpu * 1000 / (double)n);
    for (size_t i = 0; i < n; i++)
        call_done(&calls[i]);
    free(calls);
}

static int run(struct bench *b, struct err *err)
{
    unsigned n = bench_count(b, 100, 30);
    struct job *pod = jobs_new(b, 1, true);
    int rc = ops_run(b, ops_up, pod, 1, 1, NULL, err);

    if (!rc)
        rc = ops_run(b, exec_once, pod, 1, 1, NULL, err);
    for (unsigned i = 0; !rc && i < n; i++)
        (void)!ops_run(b, exec_once, pod, 1, 1, "", NULL); /* what failed stands in the results */
    if (!rc)
        probes(b, pod);
    if (ops_run(b, ops_down, pod, 1, 1, NULL, rc ? NULL : err) < 0 && !rc)
        rc = err_errno(err);
    jobs_free(pod, 1);
    return rc;
}

const struct scenario scenario_exec = {"exec", "ExecSync of `true`, one after another and 20 a second", true,
                                       run};
