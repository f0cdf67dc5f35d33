/* Joins the exit of a command and the end of its output, which arrive in either order. */
#include "handlers/exec_capture.h"
#include "core/mem.h"
#include "loop/capture.h"

#include <errno.h>
#include <fcntl.h>

static const double DRAIN_S = 0.2;

struct exec_capture {
    struct exec_process *process; /* NULL: it has ended */
    struct loop *loop;
    struct capture out, err;
    struct timer drain;
    struct exec_result result;
    exec_done_fn *on_done;
    void *data;
};

static void done(struct exec_capture *x, const struct exec_result *result, const struct err *err)
{
    timer_stop(&x->drain);
    capture_stop(&x->out);
    capture_stop(&x->err);
    x->on_done(x->data, result, err);
    buf_done(&x->result.out);
    buf_done(&x->result.err);
    free(x);
}

static void finish(void *data)
{
    struct exec_capture *x = data;

    done(x, &x->result, NULL);
}

static void check_end(void *data)
{
    struct exec_capture *x = data;

    if (!x->process && !capture_runs(&x->out) && !capture_runs(&x->err))
        finish(x);
}

static void on_started(void *data, int pty, const struct err *err)
{
    (void)pty;
    if (err)
        done(data, NULL, err);
}

/* What a process that it left behind may still write is waited for only a moment. */
static void on_exit_status(void *data, int status)
{
    struct exec_capture *x = data;

    x->process = NULL;
    x->result.status = status;
    if (!capture_runs(&x->out) && !capture_runs(&x->err))
        finish(x);
    else
        timer_start(&x->drain, x->loop, DRAIN_S, finish, x);
}

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

int exec_capture_start(struct container *c, const char *name, const char *const *argv, size_t max,
                       exec_done_fn *on_done, void *data, struct exec_capture **ret, struct err *err)
{
    static const struct exec_process_events events = {on_started, on_exit_status};
    cleanup_close int out = -1, out_end = -1, error = -1, error_end = -1;

    if (make_pipe(&out, &out_end) < 0 || make_pipe(&error, &error_end) < 0)
        return err_sys(err, errno, "%s: cannot make its pipes", name);
    struct exec_capture *x = mem_new(struct exec_capture);
    const struct exec_spec spec = {
        .name = name, .argv = argv, .fds = {-1, steal_fd(&out_end), steal_fd(&error_end)}};
    if (exec_process_start(c, &spec, &events, x, &x->process, err) < 0) {
        free(x);
        return err_errno(err);
    }
    x->loop = c->daemon->loop;
    x->on_done = on_done;
    x->data = data;
    x->result.out.max = x->result.err.max = max;
    capture_start(&x->out, x->loop, steal_fd(&out), &x->result.out, check_end, x);
    capture_start(&x->err, x->loop, steal_fd(&error), &x->result.err, check_end, x);
    *ret = x;
    return 0;
}

void exec_capture_kill(struct exec_capture *x)
{
    if (x->process)
        exec_process_kill(x->process);
}
