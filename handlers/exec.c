/*
 * Exec: a URL at which a client runs a command in a container, with its streams.
 *
 * A client that goes away does not end the command, as in containerd: its stdin ends and its output goes nowhere (SIGPIPE). A
 * terminal goes with its client, so that the programs on it get SIGHUP.
 */
#include "core/mem.h"
#include "handlers/command_session.h"
#include "handlers/containers.h"
#include "handlers/exec_process.h"
#include "handlers/methods.h"
#include "handlers/record.h"
#include "handlers/rpc.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/wait.h>

/* So that we can refill it while the command reads: with 64 KiB, the two take turns. */
enum { EXEC_STDIN_PIPE = 256 * 1024 };

struct exec_session {
    struct exec_process *process; /* NULL: it has ended */
    int ours[3];                  /* our ends of the pipes, until the command runs; -1: none */
};

static void close_ours(struct exec_session *x)
{
    for (int i = 0; i < 3; i++)
        if (x->ours[i] >= 0)
            close(steal_fd(&x->ours[i]));
}

static void on_gone(struct command_session *s)
{
    struct exec_session *x = command_session_self(s);

    if (x->process)
        exec_process_leave(x->process);
    close_ours(x);
    free(x);
}

static int dup_of(int fd)
{
    return fcntl(fd, F_DUPFD_CLOEXEC, 3);
}

static void on_started(void *data, int pty, const struct err *err)
{
    struct command_session *s = data;
    struct exec_session *x = command_session_self(s);
    struct command_fds fds = {.in = -1, .out = -1, .err = -1, .pty = pty};
    const struct stream_request *r = command_session_request(s);

    if (err) {
        x->process = NULL;
        command_session_fail(s, err);
        return;
    }
    if (pty >= 0) {
        fds.in = r->in ? dup_of(pty) : -1;
        fds.out = dup_of(pty); /* read even where nobody wants it: a full terminal stops the command */
    } else {
        fds.in = steal_fd(&x->ours[0]);
        fds.out = steal_fd(&x->ours[1]);
        fds.err = steal_fd(&x->ours[2]);
    }
    command_session_run(s, &fds, true);
}

static void on_exit_status(void *data, int status)
{
    struct command_session *s = data;
    struct exec_session *x = command_session_self(s);

    x->process = NULL;
    command_session_exited(s, WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status));
}

/* theirs[i] and ours[i] of the streams that are wanted; the others are /dev/null for the command. */
static int make_pipes(const bool wanted[3], int ours[3], int theirs[3], struct err *err)
{
    for (int i = 0; i < 3; i++) {
        int fds[2];
        if (!wanted[i])
            continue;
        if (pipe2(fds, O_CLOEXEC) < 0)
            return err_sys(err, errno, "make a pipe");
        ours[i] = fds[i == 0];
        theirs[i] = fds[i != 0];
        fcntl(ours[i], F_SETFL, O_NONBLOCK);
        if (i == 0) /* or what it has: see pipe(7), pipe-max-size */
            fcntl(ours[i], F_SETPIPE_SZ, EXEC_STDIN_PIPE);
    }
    return 0;
}

static int start_command(struct command_session *s, struct container *c, struct err *err)
{
    static const struct exec_process_events events = {on_started, on_exit_status};
    struct exec_session *x = command_session_self(s);
    const struct stream_request *r = command_session_request(s);
    const bool wanted[3] = {r->in && !r->tty, r->out && !r->tty, r->err && !r->tty};
    cleanup_free char *name = mem_printf("exec \"%.40s\" in container %s", r->cmd[0], c->name);
    struct exec_spec spec = {
        .name = name, .argv = (const char *const *)r->cmd, .tty = r->tty, .fds = {-1, -1, -1}};

    if (make_pipes(wanted, x->ours, spec.fds, err) == 0)
        return exec_process_start(c, &spec, &events, s, &x->process, err);
    for (size_t i = 0; i < countof(spec.fds); i++)
        if (spec.fds[i] >= 0)
            close(spec.fds[i]);
    return err_errno(err);
}

static void start(struct command_session *s)
{
    struct err err;
    struct container *c = container_find_running(command_session_daemon(s)->containers,
                                                 command_session_request(s)->id, "run a command in", &err);

    if (!c || start_command(s, c, &err) < 0)
        command_session_fail(s, &err);
}

/* A terminal has no end of input; its users type ^D. */
static void on_stdin_end(struct command_session *s)
{
    if (!command_session_request(s)->tty)
        command_session_close_stdin(s);
}

static const struct command_kind exec_command = {.doing = "error executing command in container",
                                                 .start = start,
                                                 .on_stdin_end = on_stdin_end,
                                                 .on_gone = on_gone};

static void open_exec(struct stream_opening *o)
{
    struct exec_session *x = mem_new(struct exec_session);

    x->ours[0] = x->ours[1] = x->ours[2] = -1;
    command_session_open(o, &exec_command, x);
}

static const struct stream_kind exec_kind = {.path = "exec", .use = STREAM_COMMAND, .open = open_exec};

void handle_exec(struct rpc *rpc)
{
    const Runtime__V1__ExecRequest *req = (const Runtime__V1__ExecRequest *)rpc->request;
    Runtime__V1__ExecResponse reply = RUNTIME__V1__EXEC_RESPONSE__INIT;
    const struct container *c;
    struct err err;

    if (command_streams_check("Exec", req->container_id, req->stdin, req->stdout, req->stderr, req->tty, &err) <
            0 ||
        !(c = container_find_running(rpc->daemon->containers, req->container_id, "run a command in", &err))) {
        rpc_fail(rpc, &err);
        return;
    }
    if (req->n_cmd == 0 || !req->cmd[0][0]) {
        err_set(&err, GRPC_INVALID_ARGUMENT, 0, "Exec in container %s: cmd is empty", c->name);
        rpc_fail(rpc, &err);
        return;
    }
    struct stream_request *r = stream_request_new(&exec_kind, c->id);
    r->cmd = strings_dup(req->cmd, req->n_cmd);
    r->in = req->stdin;
    r->out = req->stdout;
    r->err = req->stderr;
    r->tty = req->tty;
    streaming_reply(rpc, r, &reply.base, &reply.url);
}
