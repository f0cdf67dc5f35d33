/*
 * A flow: a constant table of steps, each with its undo, run in order; the first error unwinds.
 *
 *            step ok            last step ok
 *   running ---------> running -------------> done (rc 0)
 *      | error or cancel
 *      v                undo
 *   unwinding <---------------> unwinding --> done (rc < 0)
 *
 * - A step returns 0, a negative errno (with flow->err filled), or FLOW_WAIT after it started something whose completion
 *   calls flow_resume() or flow_done(). It never resumes before it returns.
 * - The unwind begins with the undo of the step in which the error happened: an undo copes with a half-done or not
 *   started step, is idempotent, never stops the unwind, and logs its own trouble.
 * - flow_cancel() is a request: it calls the waiting step's cancel function; the completion still arrives. A step that
 *   waits without a cancel function is waited for.
 * - on_step is called before each step that has an undo, before anything of it happened: the place to journal, so that
 *   after a crash flow_unwind() can undo from there.
 */
#pragma once
#include "core/err.h"
#include "loop/loop.h"

struct flow;

enum { FLOW_WAIT = 1 };

typedef int flow_fn(struct flow *f);

struct flow_step {
    const char *name; /* NULL ends the table */
    flow_fn *run;
    flow_fn *undo; /* NULL: nothing to undo */
};

struct flow {
    const struct flow_step *steps;
    const char *name; /* "RunPodSandbox kube-system/dns": for the log */
    struct loop *loop;
    void *data;                          /* the owner's object */
    void (*on_step)(struct flow *f);     /* may be NULL */
    void (*on_done)(struct flow *f);     /* exactly once; may free the flow */
    void (*cancel_wait)(struct flow *f); /* set by a step before it returns FLOW_WAIT; cleared by the runner */
    struct err err;                      /* the first error */
    int rc;
    int at;
    bool unwinding;
    bool cancelled;
    int64_t step_started_us;
};

/* Runs from the first step. The flow's struct belongs to the caller, zeroed but for the fields it set. */
void flow_start(struct flow *f);

/* Runs the undo column from step number `at` down: after a crash. f->err says why. */
void flow_unwind(struct flow *f, int at);

/* The completion of a step (or undo) that waited; rc < 0 fails it with f->err as the caller set it. */
void flow_resume(struct flow *f, int rc);

/* What a step or an undo returns for its error: keeps the flow's first one, logs one of an undo. Gives the negative errno. */
int flow_error(struct flow *f, const struct err *err) must_check;

/* The completion of a step as most start functions want it: data is the flow, err NULL on success. */
void flow_done(void *flow, const struct err *err);

void flow_cancel(struct flow *f, const struct err *why);

/* Number of the step with this name; -1 when the table has none: a journal of another version. */
int flow_step_find(const struct flow_step *steps, const char *name);
