/*
 * Attach: a URL at which a client gets what a container's process prints from now on, and may type to it. Nothing is replayed.
 *
 * As in containerd: at the end of a client's stdin the session ends, but with stdin_once and without a terminal it is the
 * container's stdin that ends, and the session goes on until its output does. The container goes on in any case. Output comes
 * from the keeper, stdin goes into the pipe or terminal directly: both survive a restart of the daemon, the session does not.
 */
#include "core/mem.h"
#include "handlers/command_session.h"
#include "handlers/containers.h"
#include "handlers/methods.h"
#include "handlers/pods.h"
#include "handlers/record.h"
#include "handlers/rpc.h"

#include <errno.h>
#include <fcntl.h>

struct attach_session {
    struct command_session *session; /* NULL: it has ended while the keeper was asked */
    int ours[2];                     /* read ends of stdout and stderr, until the keeper has the others */
    bool asked;                      /* the keeper's answer is still to come: it frees */
};

static void attach_free(struct attach_session *a)
{
    for (int i = 0; i < 2; i++)
        if (a->ours[i] >= 0)
            close(a->ours[i]);
    free(a);
}

static void on_gone(struct command_session *s)
{
    struct attach_session *a = command_session_self(s);

    a->session = NULL;
    if (!a->asked)
        attach_free(a);
}

/* What the container was made with: whether it has a stdin, and whether that ends with the first client's. */
static void stdin_of(const struct container *c, bool *ret_open, bool *ret_once)
{
    Runtime__V1__ContainerConfig *config = container_config(c);

    *ret_open = config->stdin;
    *ret_once = config->stdin_once && !c->tty;
    runtime__v1__container_config__free_unpacked(config, NULL);
}

static int dup_of(int fd)
{
    return fd < 0 ? -1 : fcntl(fd, F_DUPFD_CLOEXEC, 3);
}

static void on_attached(void *data, const struct err *err)
{
    struct attach_session *a = data;
    struct command_session *s = a->session;
    struct err gone;

    a->asked = false;
    if (!s) {
        attach_free(a);
        return;
    }
    const struct stream_request *r = command_session_request(s);
    const struct container *c =
        err ? NULL : container_find_running(command_session_daemon(s)->containers, r->id, "attach to", &gone);
    struct keeper *k = c ? container_pod(c)->keeper : NULL;
    if (!err && !k)
        err = c ? (err_set(&gone, GRPC_UNAVAILABLE, 0, "the keeper of its pod is being restarted: try again"),
                   &gone)
                : &gone;
    if (err) {
        command_session_fail(s, err);
        return;
    }
    bool has_stdin, once;
    stdin_of(c, &has_stdin, &once);
    int in = keeper_stdin(k, c->id); /* a terminal's is there in any case */
    command_session_run(s,
                        &(struct command_fds){.in = r->in && has_stdin ? dup_of(in) : -1,
                                              .out = steal_fd(&a->ours[0]),
                                              .err = steal_fd(&a->ours[1]),
                                              .pty = c->tty ? dup_of(in) : -1},
                        false);
}

/* At least one output is asked for at the keeper, for its end tells that the container has ended. */
static int ask_keeper(struct command_session *s, struct err *err)
{
    struct attach_session *a = command_session_self(s);
    const struct stream_request *r = command_session_request(s);
    const struct container *c =
        container_find_running(command_session_daemon(s)->containers, r->id, "attach to", err);
    const bool wanted[2] = {r->out || !r->err, r->err && !(c && c->tty)};
    int theirs[2] = {-1, -1}, rc = 0;

    if (!c)
        return err_errno(err);
    if (!container_pod(c)->keeper)
        return err_set(err, GRPC_UNAVAILABLE, 0, "the keeper of its pod is being restarted: try again");
    for (int i = 0; i < 2 && rc == 0; i++) {
        int fds[2];
        if (!wanted[i])
            continue;
        if (pipe2(fds, O_CLOEXEC | O_NONBLOCK) < 0) {
            rc = err_sys(err, errno, "make a pipe");
            break;
        }
        a->ours[i] = fds[0];
        theirs[i] = fds[1];
    }
    if (rc == 0)
        rc = keeper_attach(container_pod(c)->keeper, c->id, theirs[0], theirs[1], on_attached, a, err);
    a->asked = rc == 0;
    for (int i = 0; i < 2; i++)
        if (theirs[i] >= 0)
            close(theirs[i]);
    return rc;
}

static void start(struct command_session *s)
{
    struct attach_session *a = command_session_self(s);
    struct err err;

    a->session = s;
    if (ask_keeper(s, &err) < 0)
        command_session_fail(s, &err);
}

static void on_stdin_closed(void *data, const struct err *err)
{
    (void)data;
    (void)err; /* the container may have ended meanwhile */
}

static void on_stdin_end(struct command_session *s)
{
    struct daemon *d = command_session_daemon(s);
    struct err err;
    struct container *c = container_find(d->containers, command_session_request(s)->id, &err);
    bool open, once = false;

    if (c)
        stdin_of(c, &open, &once);
    if (!once) {
        command_session_end(s);
        return;
    }
    command_session_close_stdin(s);
    struct keeper *k = container_pod(c)->keeper;
    if (k && keeper_close_stdin(k, c->id, on_stdin_closed, NULL, &err) < 0)
        command_session_fail(s, &err);
}

/* The container's output has ended, or the keeper has dropped a client that did not read: of the one output that it was behind
 * with, and the other may be silent for ever. */
static void on_output_end(struct command_session *s, bool last)
{
    struct daemon *d = command_session_daemon(s);
    struct err err;
    const struct container *c = container_find(d->containers, command_session_request(s)->id, &err);

    if (!c || c->state != CONTAINER_STATE_RUNNING || command_session_longest_stall_s(s) < KEEPER_SINK_LIMIT_S) {
        if (last)
            command_session_end(s);
        return;
    }
    err_set(&err, GRPC_ABORTED, 0,
            "the client took nothing for %d s, for which container %s had to wait: it is attached no longer",
            KEEPER_SINK_LIMIT_S, c->name);
    command_session_fail(s, &err);
}

static const struct command_kind attach_command = {.doing = "error attaching to container",
                                                   .start = start,
                                                   .on_stdin_end = on_stdin_end,
                                                   .on_output_end = on_output_end,
                                                   .on_gone = on_gone};

static void open_attach(struct stream_opening *o)
{
    struct attach_session *a = mem_new(struct attach_session);

    a->ours[0] = a->ours[1] = -1;
    command_session_open(o, &attach_command, a);
}

static const struct stream_kind attach_kind = {.path = "attach", .use = STREAM_COMMAND, .open = open_attach};

void handle_attach(struct rpc *rpc)
{
    const Runtime__V1__AttachRequest *req = (const Runtime__V1__AttachRequest *)rpc->request;
    Runtime__V1__AttachResponse reply = RUNTIME__V1__ATTACH_RESPONSE__INIT;
    const struct container *c;
    struct err err;

    if (command_streams_check("Attach", req->container_id, req->stdin, req->stdout, req->stderr, req->tty,
                              &err) < 0 ||
        !(c = container_find_running(rpc->daemon->containers, req->container_id, "attach to", &err))) {
        rpc_fail(rpc, &err);
        return;
    }
    struct stream_request *r = stream_request_new(&attach_kind, c->id);
    r->in = req->stdin;
    r->out = req->stdout;
    r->err = req->stderr;
    r->tty = req->tty;
    streaming_reply(rpc, r, &reply.base, &reply.url);
}
