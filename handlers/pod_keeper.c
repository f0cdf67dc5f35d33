#include "core/log.h"
#include "handlers/containers.h"
#include "handlers/pod_parts.h"

#include <string.h>

/*
 * pod->keeper        pod->lost_keeper
 *
 *    set   ---died--->  set, restart under way  ---failed---> set, keeper_timer runs
 *     ^                      |      ^                               |
 *     +----- connected ------+      +-------------- tries again ----+
 *
 * The lost one holds the containers' descriptors: without it their output and their end would be lost, so it is tried
 * again until the pod goes.
 */
enum { RESTART_AGAIN_S = 10, QUIT_TRIES = 250 };
static const double QUIT_PAUSE_S = 0.02;

struct keeper_spec pod_keeper_spec(const struct pod *pod)
{
    return (struct keeper_spec){
        .binary = pod->daemon->keeper_path,
        .dir = pod->dir,
        .pod_id = pod->id,
        .cgroup = pod->daemon->config.cgroup_driver == CGROUP_DRIVER_CGROUPFS ? pod->cgroup_dir : NULL,
    };
}

static void on_keeper_exit(void *data, const struct keeper_exit *x)
{
    struct pod *pod = data;
    struct err err = {0};

    if (strcmp(x->container_id, pod->id) == 0) {
        infra_exited(pod);
        return;
    }
    struct container *c = container_find(pod->daemon->containers, x->container_id, &err);
    if (c)
        container_exited(c, x);
    else if (pod->keeper) /* its start failed and was undone. A keeper that is being restarted tells again */
        keeper_forget(pod->keeper, x->container_id);
}

/* ---- lost ---------------------------------------------------------------------------------------------------------- */

static void end_keeper_again(void *data);
static void restart_keeper(void *data);

static void on_keeper_restarted(void *data, struct keeper *k, const struct err *err)
{
    struct pod *pod = data;
    struct flow *waiter = pod->keeper_waiter;

    pod->keeper_waiter = NULL;
    if (k) {
        pod->keeper = k;
        pod->lost_keeper = NULL;
    } else {
        log_error("pod %s/%s: its keeper cannot be started again, next try in %d s: %s", pod->namespace,
                  pod->name, RESTART_AGAIN_S, err->msg);
        timer_start(&pod->keeper_timer, pod->daemon->loop, RESTART_AGAIN_S, restart_keeper, pod);
    }
    if (waiter)
        end_keeper_again(waiter);
}

static void restart_keeper(void *data)
{
    struct pod *pod = data;
    struct keeper_spec spec = pod_keeper_spec(pod);
    struct err err;

    if (keeper_restart(pod->lost_keeper, &spec, on_keeper_restarted, pod, &err) < 0)
        on_keeper_restarted(pod, NULL, &err);
}

static void on_keeper_lost(void *data)
{
    struct pod *pod = data;

    pod->lost_keeper = pod->keeper;
    pod->keeper = NULL;
    log_error("pod %s/%s: its keeper died; starting another", pod->namespace, pod->name);
    restart_keeper(pod);
}

const struct keeper_events pod_keeper_events = {.on_exit = on_keeper_exit, .on_lost = on_keeper_lost};

/* ---- start --------------------------------------------------------------------------------------------------------- */

/* data is the pod_flow, which cannot end before: both the step that waits for the keeper and the undo wait for this. */
static void on_keeper_ready(void *data, struct keeper *k, const struct err *err)
{
    struct pod_flow *pf = data;
    struct flow *f = pf->keeper_for;

    pf->keeper_starting = false;
    pf->keeper_for = NULL;
    pf->pod->keeper = k;
    if (err)
        pf->keeper_err = *err;
    if (f && f->unwinding)
        end_keeper_again(f);
    else if (f)
        flow_done(f, err);
}

int pod_start_keeper(struct flow *f)
{
    struct pod_flow *pf = f->data;
    struct err err;
    struct keeper_spec spec = pod_keeper_spec(pf->pod);

    if (keeper_start(f->loop, &spec, &pod_keeper_events, pf->pod, on_keeper_ready, pf, &err) < 0)
        return flow_error(f, &err);
    pf->keeper_starting = true;
    return 0;
}

int pod_await_keeper(struct flow *f)
{
    struct pod_flow *pf = f->data;

    if (pf->keeper_starting) {
        pf->keeper_for = f;
        return FLOW_WAIT;
    }
    return pf->keeper_err.grpc ? flow_error(f, &pf->keeper_err) : 0;
}

/* ---- end ----------------------------------------------------------------------------------------------------------- */

void pod_keeper_forget_all(struct pod *pod)
{
    const struct keeper_container_state *s;

    while (pod->keeper && (s = keeper_container(pod->keeper, 0)))
        keeper_forget(pod->keeper, s->id);
}

static void end_keeper_again(void *data)
{
    struct flow *f = data;
    int r = pod_end_keeper(f);

    if (r != FLOW_WAIT)
        flow_resume(f, r);
}

static void on_keeper_quit(void *data, const struct err *err)
{
    struct flow *f = data;
    struct pod_flow *pf = f->data;

    if (err && err->grpc == GRPC_FAILED_PRECONDITION && pf->tries++ < QUIT_TRIES) {
        /* a container was killed only now: the keeper is still to see its end */
        timer_start(&pf->retry, f->loop, QUIT_PAUSE_S, end_keeper_again, f);
        return;
    }
    if (!err)
        pf->pod->keeper = NULL;
    flow_done(f, err);
}

static void on_keeper_found(void *data, struct keeper *k, const struct err *err)
{
    struct flow *f = data;
    struct pod_flow *pf = f->data;

    if (k) {
        pf->pod->keeper = k;
        end_keeper_again(f);
        return;
    }
    flow_done(f, err->grpc == GRPC_NOT_FOUND ? NULL : err); /* none runs: nothing to end */
}

int pod_end_keeper(struct flow *f)
{
    struct pod_flow *pf = f->data;
    struct pod *pod = pf->pod;
    struct err err;

    if (pf->keeper_starting) {
        pf->keeper_for = f;
        return FLOW_WAIT;
    }
    if (pod->keeper) {
        pod_keeper_forget_all(pod);
        if (keeper_quit(pod->keeper, on_keeper_quit, f, &err) < 0)
            return flow_error(f, &err);
        return FLOW_WAIT;
    }
    if (pod->lost_keeper && !timer_active(&pod->keeper_timer)) {
        pod->keeper_waiter = f; /* the new one must not be left behind */
        return FLOW_WAIT;
    }
    timer_stop(&pod->keeper_timer);
    keeper_disconnect(pod->lost_keeper);
    pod->lost_keeper = NULL;
    /* after a restart, or when its start was not seen to succeed: ask whoever listens */
    if (keeper_connect(f->loop, pod->dir, &pod_keeper_events, pod, on_keeper_found, f, &err) < 0)
        return flow_error(f, &err);
    return FLOW_WAIT;
}
