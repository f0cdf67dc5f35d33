/* A command by cricket-enter. */
#include "core/exec_plan_make.h"
#include "core/mem.h"
#include "handlers/exec_doors.h"
#include "handlers/exec_process.h"
#include "loop/enter.h"

enum { START_TIMEOUT_MS = 10000 };

struct exec_by_plan {
    struct enter *enter;
    struct exec_process_events events;
    void *data;
};

static void on_started(void *data, int pid, int pidfd, int pty_fd, const struct err *err)
{
    struct exec_by_plan *x = data;

    (void)pid;
    (void)pidfd;
    x->events.on_started(x->data, pty_fd, err);
    if (err)
        free(x);
}

static void on_exit_status(void *data, int status)
{
    struct exec_by_plan *x = data;

    x->events.on_exit(x->data, status);
    free(x);
}

static const struct enter_events enter_events = {on_started, on_exit_status};

int exec_by_plan_start(struct container *c, const struct buf *plan, const struct exec_spec *spec,
                       const struct exec_process_events *events, void *data, struct exec_by_plan **ret,
                       struct err *err)
{
    struct daemon *d = c->daemon;
    cleanup_free void *block = NULL;
    size_t len;

    if (exec_plan_command(plan, spec->argv, spec->tty, &block, &len, err) < 0)
        return err_errno(err);
    struct enter_spec es = {.plan = block,
                            .plan_len = len,
                            .init_pidfd = c->pidfd,
                            .stdin_fd = spec->fds[0],
                            .stdout_fd = spec->fds[1],
                            .stderr_fd = spec->fds[2],
                            .timeout_ms = START_TIMEOUT_MS,
                            .door = exec_door_get(c)};
    struct exec_by_plan *x = mem_new(struct exec_by_plan);
    *x = (struct exec_by_plan){.events = *events, .data = data};
    int r = enter_start(d->loop, d->enter_path, &es, &enter_events, x, &x->enter, err);
    if (r < 0 && es.door) { /* it has more to do than fits into its socket, or has just ended */
        es.door = NULL;
        r = enter_start(d->loop, d->enter_path, &es, &enter_events, x, &x->enter, err);
    }
    if (r < 0) {
        free(x);
        return err_errno(err);
    }
    *ret = x;
    return 0;
}

void exec_by_plan_kill(struct exec_by_plan *x)
{
    enter_kill(x->enter);
}
