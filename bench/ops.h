/*
 * Jobs: chains of calls that depend on each other, a pod with one container each. A chain is an array of operations that ends
 * with OP_END; several jobs run side by side, one call of each under way.
 */
#pragma once
#include "bench/bench.h"

enum op {
    OP_END,
    OP_RUN_POD,
    OP_STOP_POD,
    OP_REMOVE_POD,
    OP_CREATE,
    OP_START,
    OP_STATUS,
    OP_EXEC, /* ExecSync of `true`; an exit code is a failure */
    OP_STOP, /* with no grace */
    OP_REMOVE,
};

enum { ID_MAX = 128 };

struct job {
    const struct bench *bench;
    unsigned number; /* of the pod: names it */
    bool host_network;
    char pod[ID_MAX], container[ID_MAX]; /* "" while there is none: operations on it are left out */
    /* the runner's */
    const enum op *at;
    enum op last;
    double last_ms; /* of the operation before; negative when it failed */
    struct call call;
};

/* n jobs with pods of new names; free with jobs_free(). */
struct job *jobs_new(struct bench *b, size_t n, bool host_network);
void jobs_free(struct job *jobs, size_t n);

/*
 * Runs the chain for every job, at most `callers` at a time. With a label ("", ", bridge") each call's time goes to the series
 * METHOD + label, and that of two calls that belong together (Create + Start, Stop + Remove) to a series of their own; with
 * NULL nothing is recorded. Returns 0, or the first failure once all jobs have ended; with a label it is in the results as well.
 */
int ops_run(struct bench *b, const enum op *chain, struct job *jobs, size_t n, unsigned callers,
            const char *label, struct err *err);

/* What most scenarios need around them. */
extern const enum op ops_up[];   /* pod, container, started */
extern const enum op ops_down[]; /* pod stopped and removed, whatever is in it */
