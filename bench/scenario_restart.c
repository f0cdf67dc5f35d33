/*
 * The daemon is killed and started again: from its exec to the first answer of Version, with nothing to recover and with many pods.
 * The daemon that answered last goes on; its number is in the results.
 */
#include "bench/ops.h"
#include "bench/program.h"
#include "bench/requests.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/syscall.h>

enum { GONE_MS = 10000, ANSWER_S = 60 };

static const double RETRY_S = 0.0002;

static int kill_daemon(struct bench *b, struct err *err)
{
    cleanup_close int fd = (int)syscall(SYS_pidfd_open, b->daemon, 0);

    if (fd < 0 || syscall(SYS_pidfd_send_signal, fd, SIGKILL, NULL, 0) < 0)
        return err_sys(err, errno, "--runtime-pids %d", b->daemon);
    conn_free(b->conn);
    b->conn = NULL;
    return program_wait_gone(fd, b->daemon, GONE_MS, err);
}

/* True when Version is answered; a daemon may accept before it can do that. */
static bool answers(struct bench *b, struct call *version)
{
    struct err err;

    if (!b->conn && conn_open(b->socket, &b->conn, &err) < 0)
        return false;
    if (conn_call(b->conn, version, &err) == 0)
        return true;
    conn_free(b->conn);
    b->conn = NULL;
    return false;
}

static int restart(struct bench *b, struct series *s, struct err *err)
{
    struct call version = {.path = method_path("Version")};
    int rc = kill_daemon(b, err);

    if (rc < 0)
        return rc;
    buf_add(&version.request, "\0\0\0\0\0", 5);
    if ((rc = program_prepare(b->start_before, b->start_command, &b->daemon, err)) < 0)
        return rc;
    uint64_t start = now_ns(), end = start + (uint64_t)ANSWER_S * 1000000000;
    if ((rc = program_go(b->daemon, err)) < 0)
        return rc;
    while (!answers(b, &version)) {
        if (now_ns() > end) {
            rc = err_set(err, GRPC_DEADLINE_EXCEEDED, 0, "no answer within %d s of `%s`", ANSWER_S,
                         b->start_command);
            break;
        }
        bench_rest(RETRY_S);
    }
    if (!rc)
        series_add(s, (double)(version.ended_ns - start) / 1e6);
    call_done(&version);
    return rc;
}

static int restarts(struct bench *b, unsigned n, struct series *s, struct err *err)
{
    int rc = 0;

    for (unsigned i = 0; !rc && i < n; i++) {
        bench_rest(b->quick ? 0.2 : 1); /* what a new daemon does after its first answer */
        rc = restart(b, s, err);
    }
    return rc;
}

static int run(struct bench *b, struct err *err)
{
    unsigned n = bench_count(b, 5, 3), pods = bench_pods(b, 100, 20);

    if (!b->start_command || !b->daemon)
        return err_set(err, GRPC_INVALID_ARGUMENT, 0, "give --start-command and --runtime-pids");
    int rc = restarts(b, n, series_get(&b->results, "ms", "start to first Version"), err);
    if (rc < 0)
        return rc;
    struct job *jobs = jobs_new(b, pods, true);
    rc = ops_run(b, ops_up, jobs, pods, b->callers, NULL, err);
    if (!rc)
        rc = restarts(b, n, series_get(&b->results, "ms", "start to first Version, %u pods", pods), err);
    if (b->conn && ops_run(b, ops_down, jobs, pods, b->callers, NULL, rc ? NULL : err) < 0 && !rc)
        rc = err_errno(err);
    jobs_free(jobs, pods);
    return rc;
}

const struct scenario scenario_restart = {
    "restart", "from the daemon's start to its first answer, with no pods and with 100", true, run};
