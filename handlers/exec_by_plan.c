/* A command by cricket-enter: its pipes, and the meeting of its exit with the end of its output. */
#include "core/exec_plan_make.h"
#include "core/mem.h"
#include "handlers/exec_capture.h"
#include "handlers/exec_doors.h"
#include "loop/capture.h"
#include "loop/enter.h"

#include <errno.h>
#include <fcntl.h>

enum { START_TIMEOUT_MS = 10000, DRAIN_MS = 200 };

struct exec_by_plan {
    struct enter *enter; /* NULL: it has ended */
    struct capture out, err;
    struct timer drain;
    struct loop *loop;
    struct child_result result;
    exec_done_fn *on_done;
    void *data;
};

static void stop(struct exec_by_plan *x)
{
    timer_stop(&x->drain);
    capture_stop(&x->out);
    capture_stop(&x->err);
}

static void finish(void *data)
{
    struct exec_by_plan *x = data;

    stop(x);
    x->on_done(x->data, &x->result, NULL);
    buf_done(&x->result.out);
    buf_done(&x->result.err);
    free(x);
}

static void check_end(void *data)
{
    struct exec_by_plan *x = data;

    if (!x->enter && !capture_runs(&x->out) && !capture_runs(&x->err))
        finish(x);
}

static void on_started(void *data, int pid, int pidfd, int pty_fd, const struct err *err)
{
    struct exec_by_plan *x = data;

    (void)pid;
    (void)pidfd;
    (void)pty_fd;
    if (!err)
        return;
    stop(x);
    x->on_done(x->data, NULL, err);
    free(x);
}

/* What a process that it left behind may still write is waited for only a moment. */
static void on_exit_status(void *data, int status)
{
    struct exec_by_plan *x = data;

    x->enter = NULL;
    x->result.status = status;
    if (!capture_runs(&x->out) && !capture_runs(&x->err))
        finish(x);
    else
        timer_start(&x->drain, x->loop, DRAIN_MS / 1000., finish, x);
}

static const struct enter_events events = {on_started, on_exit_status};

static int make_pipe(int *ret_ours, int *ret_theirs)
{
    int fds[2];

    if (pipe2(fds, O_CLOEXEC) < 0)
        return -errno;
    *ret_ours = fds[0];
    *ret_theirs = fds[1];
    fcntl(fds[0], F_SETFL, O_NONBLOCK);
    return 0;
}

int exec_by_plan_start(struct container *c, const struct buf *plan, const struct exec_spec *spec,
                       exec_done_fn *on_done, void *data, struct exec_by_plan **ret_exec, struct err *err)
{
    struct loop *l = c->daemon->loop;
    cleanup_free void *block = NULL;
    cleanup_close int in = open("/dev/null", O_RDONLY | O_CLOEXEC), out = -1, out_end = -1, error = -1,
                      error_end = -1;
    size_t len;

    if (exec_plan_command(plan, spec->argv, false, &block, &len, err) < 0)
        return err_errno(err);
    if (in < 0 || make_pipe(&out, &out_end) < 0 || make_pipe(&error, &error_end) < 0)
        return err_sys(err, errno, "%s: cannot make its pipes", spec->name);
    struct enter_spec es = {.plan = block,
                            .plan_len = len,
                            .init_pidfd = c->pidfd,
                            .stdin_fd = in,
                            .stdout_fd = out_end,
                            .stderr_fd = error_end,
                            .timeout_ms = START_TIMEOUT_MS};
    struct exec_by_plan *x = mem_new(struct exec_by_plan);
    es.door = exec_door_get(c);
    int r = enter_start(l, c->daemon->enter_path, &es, &events, x, &x->enter, err);
    if (r < 0 && es.door) { /* it has more to do than fits into its socket, or has just ended */
        es.door = NULL;
        r = enter_start(l, c->daemon->enter_path, &es, &events, x, &x->enter, err);
    }
    if (r < 0) {
        free(x);
        return err_errno(err);
    }
    x->loop = l;
    x->on_done = on_done;
    x->data = data;
    x->result.out.max = spec->out_max;
    x->result.err.max = spec->err_max;
    capture_start(&x->out, l, steal_fd(&out), &x->result.out, check_end, x);
    capture_start(&x->err, l, steal_fd(&error), &x->result.err, check_end, x);
    *ret_exec = x;
    return 0;
}

void exec_by_plan_kill(struct exec_by_plan *x)
{
    if (x->enter)
        enter_kill(x->enter);
}
