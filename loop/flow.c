#include "loop/flow.h"
#include "core/log.h"

#include <string.h>

/* A step that takes longer is named in the log: on an edge node that is where the time goes. */
enum { SLOW_STEP_US = 10 * 1000 * 1000 };

static void note_slow(const struct flow *f)
{
    int64_t us = time_monotonic_us() - f->step_started_us;

    if (us > SLOW_STEP_US)
        log_warn("%s: step \"%s\" took %.1f s", f->name, f->steps[f->at].name, (double)us / 1e6);
}

static void turn_around(struct flow *f, int rc)
{
    if (f->err.grpc == GRPC_OK)
        err_set(&f->err, f->cancelled ? GRPC_CANCELLED : GRPC_INTERNAL, rc < 0 ? -rc : 0, "%s",
                f->steps[f->at].name);
    f->rc = rc < 0 ? rc : err_errno(&f->err);
    f->unwinding = true;
}

void flow_resume(struct flow *f, int rc)
{
    for (;;) { /* a loop, never recursion: a table of synchronous steps must not grow the stack */
        f->cancel_wait = NULL;
        if (f->at >= 0 && f->step_started_us)
            note_slow(f);
        if (!f->unwinding && f->at >= 0 && (rc < 0 || f->cancelled))
            turn_around(f, rc); /* the undo of this very step comes next */
        else
            f->at += f->unwinding ? -1 : 1;

        if (f->at < 0 || !f->steps[f->at].name) {
            f->on_done(f);
            return;
        }
        const struct flow_step *s = &f->steps[f->at];
        flow_fn *fn = f->unwinding ? s->undo : s->run;
        f->step_started_us = time_monotonic_us();
        if (!f->unwinding && s->undo && f->on_step)
            f->on_step(f);
        log_debug("%s: %s%s", f->name, f->unwinding ? "undo " : "", s->name);
        rc = fn ? fn(f) : 0;
        if (rc == FLOW_WAIT)
            return;
    }
}

void flow_start(struct flow *f)
{
    f->at = -1;
    flow_resume(f, 0);
}

void flow_unwind(struct flow *f, int at)
{
    f->at = at + 1; /* flow_resume() steps down first */
    f->unwinding = true;
    f->rc = err_errno(&f->err);
    f->step_started_us = 0;
    flow_resume(f, 0);
}

int flow_error(struct flow *f, const struct err *err)
{
    if (f->unwinding)
        log_warn("%s: undo %s: %s", f->name, f->steps[f->at].name, err->msg);
    else if (f->err.grpc == GRPC_OK)
        f->err = *err;
    return err_errno(err);
}

void flow_done(void *flow, const struct err *err)
{
    struct flow *f = flow;

    flow_resume(f, err ? flow_error(f, err) : 0);
}

void flow_cancel(struct flow *f, const struct err *why)
{
    if (f->unwinding || f->cancelled)
        return;
    f->cancelled = true;
    f->err = *why;
    if (f->cancel_wait)
        f->cancel_wait(f);
}

int flow_step_find(const struct flow_step *steps, const char *name)
{
    for (int i = 0; steps[i].name; i++)
        if (strcmp(steps[i].name, name) == 0)
            return i;
    return -1;
}
