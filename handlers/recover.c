#include "handlers/recover.h"
#include "core/log.h"
#include "core/mem.h"
#include "handlers/container_ops.h"
#include "handlers/containers.h"
#include "handlers/exec_process.h"
#include "handlers/images.h"
#include "handlers/pod_parts.h"
#include "handlers/pods.h"
#include "handlers/run_pod_sandbox.h"
#include "handlers/sweep.h"
#include "loop/child.h"

#include <string.h>

struct recovery {
    struct daemon *daemon;
    size_t pending; /* keepers that have not answered */
    void (*on_done)(void *data);
    void *data;
};

static void one_done(struct recovery *r)
{
    if (--r->pending > 0)
        return;
    void (*fn)(void *) = r->on_done;
    void *data = r->data;
    free(r);
    fn(data);
}

/* ---- after a reboot ------------------------------------------------------------------------------------------------ */

static void stopped_by_reboot(struct container *c)
{
    struct err err;

    if (c->state == CONTAINER_STATE_RUNNING) {
        c->state = CONTAINER_STATE_EXITED;
        c->exit_code = 255;
        c->finished_ns = time_now_ns();
        c->reason = mem_strdup("Unknown");
        c->message = mem_strdup("the host was rebooted while it ran");
    }
    c->pid = 0;
    c->in_runtime = false;
    if (container_save(c, &err) < 0)
        log_error("container %s: %s", c->id, err.msg);
}

static void pod_of_earlier_boot(struct pod *pod)
{
    struct err err;

    pod->infra_pid = 0;
    if (pod->state != POD_READY)
        return;
    pod->state = POD_NOTREADY;
    if (pod_save(pod, &err) < 0)
        log_error("pod %s: %s", pod->id, err.msg);
}

/* ---- undo ---------------------------------------------------------------------------------------------------------- */

static void undo(struct op *op, const char *step)
{
    int at = step ? flow_step_find(op->flow.steps, step) : -1;

    if (at < 0) { /* journaled by another version, or not known: each undo copes with what was not done */
        at = 0;
        while (op->flow.steps[at + 1].name)
            at++;
    }
    err_set(&op->flow.err, GRPC_ABORTED, 0, "the daemon was restarted in step \"%s\": undoing it",
            step ? step : "?");
    flow_unwind(&op->flow, at);
}

void run_pod_undo(struct pod *pod, const char *step)
{
    undo(run_pod_op(pod), step);
}

/* ---- same boot ----------------------------------------------------------------------------------------------------- */

static void lost_exit(struct container *c)
{
    struct keeper_exit x = {.container_id = c->id, .finished_ns = time_now_ns()};

    container_exited(c, &x);
}

/* The keeper's view of one container against ours. */
static void compare(struct pod *pod, struct container *c, const struct keeper_container_state *k)
{
    if (c->state == CONTAINER_STATE_RUNNING) {
        if (!k)
            lost_exit(c);
        else if (k->pid)
            container_set_running(c, k->pid, c->started_ns);
        return; /* ended: on_exit follows */
    }
    if (c->state != CONTAINER_STATE_CREATED || !c->in_runtime)
        return;
    /* its start was under way. It may have succeeded: then the kubelet's retry finds it running */
    if (k && (k->pid || k->ended)) {
        struct err err;
        container_set_running(c, k->pid, time_now_ns());
        if (container_save(c, &err) < 0)
            log_error("container %s: %s", c->id, err.msg);
        return;
    }
    if (k)
        keeper_forget(pod->keeper, c->id); /* ends the runtime's command */
    container_delete_from_runtime(c);
}

static const struct keeper_container_state *find_in(const struct keeper *k, const char *id)
{
    const struct keeper_container_state *s;

    for (size_t i = 0; k && (s = keeper_container(k, i)); i++)
        if (strcmp(s->id, id) == 0)
            return s;
    return NULL;
}

/* The keeper first: a runtime's command that is under way would make what was just undone. */
static void undo_half_made_pod(struct pod *pod)
{
    cleanup_free char *step = mem_strdup(pod->step);

    pod_keeper_forget_all(pod);
    run_pod_undo(pod, step);
}

static void compare_infra(struct pod *pod, const struct keeper_container_state *k)
{
    if (pod->state == POD_READY && pod->step) {
        cleanup_free char *step = mem_strdup(pod->step);
        if (k)
            keeper_forget(pod->keeper, pod->id);
        undo(infra_late_op(pod), step); /* the kubelet asks again */
    } else if (k && k->pid) {
        infra_runs(pod, k->pid);
    } else if (pod->infra && pod->state == POD_READY && !(k && k->ended)) { /* ended: on_exit follows */
        infra_exited(pod);
    }
}

struct pod_recovery {
    struct recovery *recovery;
    struct pod *pod;
};

static void on_keeper(void *data, struct keeper *k, const struct err *err)
{
    struct pod_recovery *pr = data;
    struct pod *pod = pr->pod;

    pod->keeper = k;
    if (pod->state == POD_CREATING) {
        undo_half_made_pod(pod);
        one_done(pr->recovery);
        free(pr);
        return;
    }
    if (err && pod->state == POD_READY)
        log_error("pod %s/%s: its keeper is gone: %s", pod->namespace, pod->name, err->msg);
    for (struct container *c = containers_first(pod->daemon->containers); c; c = containers_next(c))
        if (strcmp(c->pod_id, pod->id) == 0 && c->state != CONTAINER_STATE_CREATING)
            compare(pod, c, find_in(k, c->id));
    compare_infra(pod, find_in(k, pod->id));
    if (!k && pod->state == POD_READY) {
        /* without a keeper nothing can be started in it: the kubelet makes a new one */
        struct err ignored;
        pod->state = POD_NOTREADY;
        if (pod_save(pod, &ignored) < 0)
            log_error("pod %s: %s", pod->id, ignored.msg);
    }
    one_done(pr->recovery);
    free(pr);
}

static void find_keeper(struct recovery *r, struct pod *pod)
{
    struct pod_recovery *pr = mem_new(struct pod_recovery);
    struct err err;

    pr->recovery = r;
    pr->pod = pod;
    r->pending++;
    if (keeper_connect(r->daemon->loop, pod->dir, &pod_keeper_events, pod, on_keeper, pr, &err) < 0)
        on_keeper(pr, NULL, &err);
}

/* ---- what was being made ------------------------------------------------------------------------------------------- */

static void undo_half_made_containers(struct daemon *d)
{
    for (struct container *c = containers_first(d->containers), *next; c; c = next) {
        next = containers_next(c);
        if (c->state == CONTAINER_STATE_CREATING) {
            cleanup_free char *step = mem_strdup(c->step);
            undo(create_container_op(c), step);
        }
    }
}

static void on_orphan(void *data, int pid, int status)
{
    struct daemon *d = data;

    if (exec_by_runtime_reaped(pid, status))
        return;
    for (struct pod *pod = pods_first(d->pods); pod; pod = pods_next(pod)) {
        struct keeper *k = pod->keeper ? pod->keeper : pod->lost_keeper;
        if (k && keeper_orphan(k, pid, status))
            return;
    }
}

static void nothing_to_find(void *data)
{
    one_done(data);
}

int recover_start(struct daemon *d, void (*on_done)(void *data), void *data, struct err *err)
{
    if (pods_load(d, err) < 0 || containers_load(d, err) < 0)
        return err_errno(err);
    images_settle(d->images); /* those that were removed while in use, and are not in use any more, go now */
    child_set_orphan_hook(d->loop, on_orphan, d);
    struct recovery *r = mem_new(struct recovery);
    *r = (struct recovery){d, 1, on_done, data};
    for (struct container *c = containers_first(d->containers); c; c = containers_next(c))
        if (strcmp(c->boot_id, d->host.boot_id) != 0 && c->state != CONTAINER_STATE_CREATING)
            stopped_by_reboot(c);
    undo_half_made_containers(d);
    for (struct pod *pod = pods_first(d->pods), *next; pod; pod = next) {
        next = pods_next(pod);
        if (strcmp(pod->boot_id, d->host.boot_id) == 0)
            find_keeper(r, pod);
        else if (pod->state == POD_CREATING)
            undo_half_made_pod(pod);
        else
            pod_of_earlier_boot(pod);
    }
    sweep_start(d);
    loop_defer(d->loop, nothing_to_find, r);
    return 0;
}
