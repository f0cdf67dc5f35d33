#include "loop/keeper_conn.h"
#include "core/mem.h"
#include "core/log.h"
#include "loop/child.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>

enum { READY_SECONDS = 10 };

const struct keeper_container_state *keeper_container(const struct keeper *k, size_t i)
{
    return i < k->boxes_n ? &k->boxes[i]->state : NULL;
}

int keeper_pid(const struct keeper *k)
{
    return k->pid;
}

/* ---- ends ---- */
void waiting_free(struct waiting *w)
{
    free(w->id);
    free(w->log_path);
    free(w->name);
    free(w);
}

void keeper_stop_starting(struct keeper *k)
{
    timer_stop(&k->ready_timer);
    watch_stop(k->ready_watch);
    k->ready_watch = NULL;
    if (k->ready_fd >= 0)
        close(steal_fd(&k->ready_fd));
    if (k->process)
        k->process->keeper = NULL;
    k->process = NULL;
}

void keeper_hang_up(struct keeper *k)
{
    watch_stop(k->watch);
    k->watch = NULL;
    if (k->fd >= 0)
        close(steal_fd(&k->fd));
}

void keeper_disconnect(struct keeper *k)
{
    if (!k)
        return;
    keeper_stop_starting(k);
    keeper_hang_up(k);
    for (struct waiting *w; (w = k->waiting);) {
        k->waiting = w->next;
        waiting_free(w);
    }
    while (k->boxes_n)
        box_drop(k, k->boxes_n - 1);
    k->dead = true;
    if (k->busy)
        return;
    free(k->boxes);
    free(k->dir);
    free(k);
}

void keeper_ready_failed(struct keeper *k, const struct err *err)
{
    keeper_ready_fn *on_ready = k->on_ready;
    void *data = k->ready_data;

    k->on_ready = NULL;
    if (k->restarting) {
        keeper_stop_starting(k);
        keeper_hang_up(k);
        k->phase = KEEPER_LOST;
    } else {
        keeper_disconnect(k);
    }
    on_ready(data, NULL, err);
}

/* ---- start ---- */
static void on_ready_late(void *data)
{
    struct keeper *k = data;
    struct err err;

    if (k->process)
        child_cancel(k->process->child);
    (void)!err_set(&err, GRPC_DEADLINE_EXCEEDED, 0, "the keeper in %s is not ready after %d s", k->dir,
                   READY_SECONDS);
    keeper_ready_failed(k, &err);
}

static void on_process_end(void *data, struct child_result *result)
{
    struct process *p = data;
    struct keeper *k = p->keeper;
    struct err err;

    free(p);
    if (!k)
        return;
    k->process = NULL;
    if (child_check(result, "cricket-keeper", &err) == 0)
        (void)!err_set(&err, GRPC_INTERNAL, 0,
                       "cricket-keeper ended before it was ready; is it of this version?");
    keeper_ready_failed(k, &err);
}

static void on_ready_text(void *data, int events)
{
    struct keeper *k = data;
    struct err err;
    char text[16];

    (void)events;
    ssize_t n = read(k->ready_fd, text, sizeof(text));
    watch_stop(k->ready_watch);
    k->ready_watch = NULL;
    if (n <= 0)
        return;                /* its end tells why */
    k->process->keeper = NULL; /* from now on the connection tells whether it lives */
    k->process = NULL;
    if (keeper_begin_greeting(k, &err) < 0)
        keeper_ready_failed(k, &err);
}

static int start_process(struct keeper *k, const struct keeper_spec *spec, struct err *err)
{
    const char *argv[10] = {spec->binary, "--dir", spec->dir, "--pod", spec->pod_id ? spec->pod_id : "-"};
    cleanup_close int theirs = -1;
    char limit[16];
    int fds[2], n = 5;

    if (spec->cgroup) {
        argv[n++] = "--cgroup";
        argv[n++] = spec->cgroup;
    }
    if (spec->sink_limit_ms) {
        snprintf(limit, sizeof(limit), "%d", spec->sink_limit_ms);
        argv[n++] = "--sink-limit-ms";
        argv[n] = limit;
    }

    if (pipe2(fds, O_CLOEXEC | O_NONBLOCK) < 0)
        return err_sys(err, errno, "cannot make a pipe for the keeper in %s", spec->dir);
    k->ready_fd = fds[0];
    theirs = fds[1];
    struct process *p = mem_new(struct process);
    struct child_spec child = {.argv = argv, .stdout_fd = theirs, .new_session = true, .err_max = 4096};
    if (child_start(k->loop, &child, on_process_end, p, &p->child, err) < 0) {
        free(p);
        close(steal_fd(&k->ready_fd));
        return err_errno(err);
    }
    p->keeper = k;
    k->process = p;
    k->phase = KEEPER_STARTING;
    k->ready_watch = watch_start(k->loop, k->ready_fd, WATCH_READ, on_ready_text, k);
    timer_start(&k->ready_timer, k->loop, READY_SECONDS, on_ready_late, k);
    return 0;
}

static struct keeper *keeper_new(struct loop *l, const char *dir, const struct keeper_events *events,
                                 void *data, keeper_ready_fn *on_ready, void *ready_data)
{
    struct keeper *k = mem_new(struct keeper);

    k->loop = l;
    k->dir = mem_strdup(dir);
    k->events = *events;
    k->data = data;
    k->on_ready = on_ready;
    k->ready_data = ready_data;
    k->fd = k->ready_fd = -1;
    return k;
}

int keeper_start(struct loop *l, const struct keeper_spec *spec, const struct keeper_events *events, void *data,
                 keeper_ready_fn *on_ready, void *ready_data, struct err *err)
{
    struct keeper *k = keeper_new(l, spec->dir, events, data, on_ready, ready_data);
    int r = start_process(k, spec, err);

    if (r < 0)
        keeper_disconnect(k);
    return r;
}

int keeper_restart(struct keeper *k, const struct keeper_spec *spec, keeper_ready_fn *on_ready,
                   void *ready_data, struct err *err)
{
    if (k->phase != KEEPER_LOST)
        return err_set(err, GRPC_FAILED_PRECONDITION, 0, "the keeper in %s has not died", k->dir);
    int r = start_process(k, spec, err);
    if (r < 0)
        return r;
    k->restarting = true;
    k->on_ready = on_ready;
    k->ready_data = ready_data;
    return 0;
}

static void connect_now(void *data)
{
    struct keeper *k = data;
    struct err err;

    if (keeper_begin_greeting(k, &err) < 0)
        keeper_ready_failed(k, &err);
    else
        timer_start(&k->ready_timer, k->loop, READY_SECONDS, on_ready_late, k);
}

int keeper_connect(struct loop *l, const char *dir, const struct keeper_events *events, void *data,
                   keeper_ready_fn *on_ready, void *ready_data, struct err *err)
{
    (void)err;
    loop_defer(l, connect_now, keeper_new(l, dir, events, data, on_ready, ready_data));
    return 0;
}

bool keeper_orphan(struct keeper *k, int pid, int status)
{
    for (size_t i = 0; i < k->boxes_n; i++) {
        struct box *b = k->boxes[i];
        if (b->state.pid != pid || b->state.ended || b->reaped)
            continue;
        b->reaped = true;
        b->status = status;
        b->finished_ns = time_now_ns();
        if (k->phase == KEEPER_CONNECTED || k->phase == KEEPER_ADOPTING)
            keeper_send_exited(k, b);
        return true;
    }
    return false;
}

/* ---- requests ---- */
int keeper_create(struct keeper *k, const struct keeper_create *c, keeper_created_fn *on_done, void *data,
                  struct err *err)
{
    cleanup_free char *buf = mem_alloc(KEEPER_MSG_MAX);
    struct keeper_create_msg m = {.head = {.type = KEEPER_CREATE, .seq = keeper_next_seq(k)},
                                  .flags = (c->stdin_open ? KEEPER_STDIN_OPEN : 0U) |
                                           (c->stdin_once ? KEEPER_STDIN_ONCE : 0U) |
                                           (c->program_mount ? KEEPER_PROGRAM_MOUNT : 0U),
                                  .timeout_ms = c->timeout_ms > 0 ? (uint32_t)c->timeout_ms : 0};
    const char *const fixed[] = {c->container_id, c->pid_file, c->console_socket, c->log_path};
    struct keeper_builder b;

    while (c->argv[m.argc])
        m.argc++;
    keeper_build(&b, buf, KEEPER_MSG_MAX, &m, sizeof(m));
    for (size_t i = 0; i < countof(fixed); i++)
        keeper_put_string(&b, fixed[i]);
    for (uint32_t i = 0; i < m.argc; i++)
        keeper_put_string(&b, c->argv[i]);
    int r = keeper_send(k, &b, NULL, 0, err);
    if (r < 0)
        return err_wrap(err, "container %s", c->container_id);
    struct waiting *w = keeper_wait_for(k, data);
    const char *slash = strrchr(c->argv[0], '/');
    w->id = mem_strdup(c->container_id);
    w->log_path = mem_strdup(c->log_path);
    w->name = mem_strdup(slash ? slash + 1 : c->argv[0]);
    w->on_created = on_done;
    return 0;
}

int keeper_reopen_log(struct keeper *k, const char *container_id, keeper_done_fn *on_done, void *data,
                      struct err *err)
{
    int r = keeper_send_named(k, KEEPER_REOPEN_LOG, container_id, err);

    if (r < 0)
        return err_wrap(err, "container %s", container_id);
    struct waiting *w = keeper_wait_for(k, data);
    w->on_done = on_done;
    w->name = mem_printf("log of container %s", container_id);
    return 0;
}

void keeper_forget(struct keeper *k, const char *container_id)
{
    struct err err;

    if (k->phase == KEEPER_CONNECTED && keeper_send_named(k, KEEPER_FORGET, container_id, &err) < 0)
        log_warn("container %s: %s", container_id, err.msg);
    for (size_t i = 0; i < k->boxes_n; i++)
        if (strcmp(k->boxes[i]->state.id, container_id) == 0) {
            box_drop(k, i);
            return;
        }
}

int keeper_quit(struct keeper *k, keeper_done_fn *on_done, void *data, struct err *err)
{
    int r = keeper_send_named(k, KEEPER_QUIT, "", err);

    if (r < 0)
        return r;
    keeper_wait_for(k, data)->on_done = on_done;
    k->quit_seq = k->seq;
    return 0;
}
