#include "handlers/command_session.h"
#include "core/buf.h"
#include "core/log.h"
#include "core/mem.h"
#include "handlers/command_link.h"
#include "proto/exec_status.h"
#include "proto/terminal_size.h"

#include <errno.h>
#include <string.h>
#include <sys/ioctl.h>

enum { CHUNK = 64 * 1024 };
static const double GRACE_S = 0.2; /* after the exit, for output that others may still write */

enum state { OPENING, STARTING, RUNNING, ENDING };

struct output {
    struct command_session *session;
    enum channel_number channel;
    int fd; /* -1: ended */
    struct watch *watch;
    bool bounded; /* the command has ended: read only what is left */
    size_t left;
};

struct command_session {
    struct stream_session base; /* first */
    struct daemon *daemon;
    const struct command_kind *kind;
    void *self;
    struct stream_request *request;
    const struct stream_protocol *protocol;
    struct command_link *link;
    enum state state;
    struct timer timer; /* OPENING: creation; RUNNING: grace; ENDING: the next turn */

    struct output outputs[2];
    bool until_exit, exited;
    int64_t stalled_us, longest_stall_us; /* since when output waits for the client; 0: it does not */
    int code;

    int in_fd;
    struct watch *in_watch;
    struct timer ping; /* runs while the client is not read */
    struct buf in;     /* from the client, for the command; from in_sent on */
    size_t in_sent;
    bool in_ended;  /* the client has no more */
    bool in_closed; /* the command takes no more */

    int pty;
    struct terminal_size_reader size_reader;
    struct terminal_size size; /* to be set once there is a terminal */
    bool size_known;
    char *status; /* ENDING */
};

void *command_session_self(struct command_session *s)
{
    return s->self;
}

struct daemon *command_session_daemon(struct command_session *s)
{
    return s->daemon;
}

const struct stream_request *command_session_request(const struct command_session *s)
{
    return s->request;
}

/* ---- end ----------------------------------------------------------------------------------------------------------- */

static void output_close(struct output *o)
{
    watch_stop(o->watch);
    o->watch = NULL;
    if (o->fd >= 0)
        close(steal_fd(&o->fd));
}

static void input_close(struct command_session *s)
{
    watch_stop(s->in_watch);
    s->in_watch = NULL;
    if (s->in_fd >= 0)
        close(steal_fd(&s->in_fd));
    buf_done(&s->in);
    s->in_sent = 0;
    s->in_closed = true;
}

/* Lets go of the command; with it goes its terminal, whose programs are hung up. */
static void let_go(struct command_session *s)
{
    timer_stop(&s->timer);
    timer_stop(&s->ping);
    for (size_t i = 0; i < countof(s->outputs); i++)
        output_close(&s->outputs[i]);
    input_close(s);
    if (s->pty >= 0)
        close(steal_fd(&s->pty));
    if (s->self)
        s->kind->on_gone(s);
    s->self = NULL;
}

static void destroy(struct command_session *s)
{
    let_go(s);
    stream_session_done(&s->base);
    stream_request_free(s->request);
    free(s->status);
    free(s);
}

static void on_end_time(void *data)
{
    struct command_session *s = data;

    command_link_finish(s->link, s->status);
    destroy(s);
}

/* In the next turn: we may be within a callback of the link. */
static void end_with(struct command_session *s, const struct exec_status *status)
{
    if (s->state == ENDING)
        return;
    let_go(s);
    s->state = ENDING;
    s->status = exec_status_text(s->protocol->status, status);
    timer_start(&s->timer, s->daemon->loop, 0, on_end_time, s);
}

void command_session_end(struct command_session *s)
{
    end_with(s, &(struct exec_status){.exit_code = 0});
}

void command_session_fail(struct command_session *s, const struct err *why)
{
    if (s->state != ENDING)
        log_info("streaming: %s: %s", s->kind->doing, why->msg);
    end_with(s, &(struct exec_status){.doing = s->kind->doing, .failure = why});
}

static void on_session_end(struct stream_session *base, const struct err *why)
{
    command_session_fail((struct command_session *)base, why);
}

static void on_session_drop(struct stream_session *base)
{
    struct command_session *s = (struct command_session *)base;

    command_link_free(s->link);
    destroy(s);
}

static void on_gone(void *data, const struct err *err)
{
    struct command_session *s = data;

    log_debug("streaming: the client of %s went away%s%s", s->request->id, err ? ": " : "",
              err ? err->msg : "");
    command_link_free(s->link);
    destroy(s);
}

/* ---- output -------------------------------------------------------------------------------------------------------- */

static bool any_output(const struct command_session *s)
{
    return s->outputs[0].fd >= 0 || s->outputs[1].fd >= 0;
}

static void check_end(struct command_session *s)
{
    if (s->state == RUNNING && s->exited && !any_output(s))
        end_with(s, &(struct exec_status){.exit_code = s->code});
}

static void output_ended(struct output *o)
{
    struct command_session *s = o->session;

    output_close(o);
    if (s->until_exit)
        check_end(s);
    else if (s->state == RUNNING)
        s->kind->on_output_end(s, !any_output(s));
}

static void outputs_watch(struct command_session *s, int events)
{
    for (size_t i = 0; i < countof(s->outputs); i++)
        if (s->outputs[i].watch)
            watch_set(s->outputs[i].watch, events);
}

static void on_output(void *data, int events)
{
    static uint8_t chunk[CHUNK]; /* one for all: what the client does not take at once, its connection copies */
    struct output *o = data;
    struct command_session *s = o->session;

    (void)events;
    ssize_t n = read(o->fd, chunk, o->bounded && o->left < CHUNK ? o->left : CHUNK);
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (n <= 0) { /* a terminal says EIO when its last user is gone */
        output_ended(o);
        return;
    }
    command_link_write(s->link, o->channel, chunk, (size_t)n);
    if (stream_conn_queued(s->base.conn) > 0) {
        outputs_watch(s, 0);
        s->stalled_us = time_monotonic_us();
    }
    if (!o->bounded)
        return;
    o->left -= (size_t)n;
    if (o->left == 0)
        output_ended(o);
}

static void on_drain(void *data)
{
    struct command_session *s = data;
    int64_t stall = s->stalled_us ? time_monotonic_us() - s->stalled_us : 0;

    s->stalled_us = 0;
    if (stall > s->longest_stall_us)
        s->longest_stall_us = stall;
    outputs_watch(s, WATCH_READ);
}

int command_session_longest_stall_s(const struct command_session *s)
{
    return (int)(s->longest_stall_us / 1000000);
}

/* Others hold the output open: what is in it by now was written before, mostly by the command. */
static void on_grace_over(void *data)
{
    struct command_session *s = data;

    for (size_t i = 0; i < countof(s->outputs); i++) {
        struct output *o = &s->outputs[i];
        int left = 0;
        if (o->fd < 0)
            continue;
        o->bounded = true;
        o->left = ioctl(o->fd, FIONREAD, &left) == 0 && left > 0 ? (size_t)left : 0;
        if (o->left == 0)
            output_close(o);
    }
    check_end(s);
}

void command_session_exited(struct command_session *s, int code)
{
    s->exited = true;
    s->code = code;
    if (s->state != RUNNING)
        return;
    input_close(s);
    timer_stop(&s->ping);
    stream_conn_read(s->base.conn,
                     true); /* what it did not read is dropped; the client's end must still be seen */
    timer_start(&s->timer, s->daemon->loop, GRACE_S, on_grace_over, s);
    check_end(s);
}

/* ---- input --------------------------------------------------------------------------------------------------------- */

static void on_ping_time(void *data)
{
    struct command_session *s = data;

    command_link_ping(s->link);
    timer_start(&s->ping, s->daemon->loop, STREAM_PING_S, on_ping_time, s);
}

static void client_pause(struct command_session *s)
{
    stream_conn_read(s->base.conn, false);
    if (!timer_active(&s->ping))
        timer_start(&s->ping, s->daemon->loop, STREAM_PING_S, on_ping_time, s);
}

static void client_resume(struct command_session *s)
{
    timer_stop(&s->ping);
    stream_conn_read(s->base.conn, true);
}

static void input_settled(struct command_session *s)
{
    buf_done(&s->in);
    s->in_sent = 0;
    if (s->in_watch)
        watch_set(s->in_watch, 0);
    client_resume(s);
    if (s->in_ended && !s->in_closed)
        s->kind->on_stdin_end(s);
}

/* False: the command reads no more. */
static bool input_write(struct command_session *s, const uint8_t *p, size_t n, size_t *ret_done)
{
    *ret_done = 0;
    while (*ret_done < n) {
        ssize_t w = write(s->in_fd, p + *ret_done, n - *ret_done);
        if (w < 0 && errno == EINTR)
            continue;
        if (w < 0)
            return errno == EAGAIN;
        *ret_done += (size_t)w;
    }
    return true;
}

static void on_input_room(void *data, int events)
{
    struct command_session *s = data;
    size_t done;

    (void)events;
    if (!input_write(s, (const uint8_t *)s->in.data + s->in_sent, s->in.len - s->in_sent, &done)) {
        input_close(s);
        client_resume(s);
        return;
    }
    s->in_sent += done;
    if (s->in_sent == s->in.len)
        input_settled(s);
}

static void input_keep(struct command_session *s, const uint8_t *p, size_t n)
{
    buf_add(&s->in, p, n);
    client_pause(s);
    if (s->in_watch)
        watch_set(s->in_watch, WATCH_WRITE);
}

static void input_take(struct command_session *s, const uint8_t *p, size_t n)
{
    size_t done = 0;

    if (s->in_closed || s->in_ended)
        return;
    if (s->in_fd >= 0 && s->in.len == 0 && !input_write(s, p, n, &done)) {
        input_close(s);
        return;
    }
    if (done < n)
        input_keep(s, p + done, n - done);
}

void command_session_close_stdin(struct command_session *s)
{
    input_close(s);
}

/* ---- terminal ------------------------------------------------------------------------------------------------------ */

static void resize(struct command_session *s)
{
    const struct winsize size = {.ws_row = s->size.height, .ws_col = s->size.width};

    if (s->pty >= 0 && s->size_known && ioctl(s->pty, TIOCSWINSZ, &size) < 0)
        log_debug("streaming: cannot resize a terminal to %ux%u: %s", size.ws_col, size.ws_row,
                  strerror(errno));
}

static void take_resize(struct command_session *s, const uint8_t *p, size_t n)
{
    struct terminal_size size;
    struct err err;
    bool there;

    if (terminal_size_read(&s->size_reader, p, n, &there, &size, &err) < 0) {
        log_info("streaming: %s: %s", s->request->id, err.msg); /* the reference ignores it, too */
        return;
    }
    if (!there)
        return;
    s->size = size;
    s->size_known = true;
    resize(s);
}

/* ---- the client ---------------------------------------------------------------------------------------------------- */

static void on_data(void *data, enum channel_number channel, const uint8_t *p, size_t n)
{
    struct command_session *s = data;

    if (channel == CHANNEL_STDIN)
        input_take(s, p, n);
    else if (channel == CHANNEL_RESIZE)
        take_resize(s, p, n);
}

static void on_end(void *data, enum channel_number channel)
{
    struct command_session *s = data;

    if (channel != CHANNEL_STDIN || s->in_ended)
        return;
    s->in_ended = true;
    if (s->state == RUNNING && s->in.len == 0 && !s->in_closed)
        s->kind->on_stdin_end(s);
}

static void on_open(void *data)
{
    struct command_session *s = data;

    if (s->state != OPENING)
        return;
    timer_stop(&s->timer);
    s->state = STARTING;
    s->kind->start(s);
}

static void on_creation_timeout(void *data)
{
    struct command_session *s = data;
    struct err err;

    err_set(&err, GRPC_DEADLINE_EXCEEDED, 0, "the client has not opened its streams within %d s",
            s->daemon->config.stream_creation_timeout_s);
    command_session_fail(s, &err);
}

static void output_start(struct command_session *s, size_t i, int fd)
{
    struct output *o = &s->outputs[i];

    o->fd = fd;
    if (fd >= 0)
        o->watch = watch_start(s->daemon->loop, fd, WATCH_READ, on_output, o);
}

void command_session_run(struct command_session *s, const struct command_fds *fds, bool until_exit)
{
    s->state = RUNNING;
    s->until_exit = until_exit;
    output_start(s, 0, fds->out);
    output_start(s, 1, fds->err);
    s->pty = fds->pty;
    resize(s);
    s->in_fd = fds->in;
    if (fds->in < 0) {
        input_close(s);
        client_resume(s);
    } else {
        s->in_watch = watch_start(s->daemon->loop, fds->in, s->in.len ? WATCH_WRITE : 0, on_input_room, s);
        if (s->in_ended && s->in.len == 0)
            s->kind->on_stdin_end(s);
    }
}

void command_session_open(struct stream_opening *o, const struct command_kind *kind, void *self)
{
    static const struct command_link_events events = {on_open, on_data, on_end, on_drain, on_gone};
    struct command_session *s = mem_new(struct command_session);
    struct stream_request *r = steal_ptr(&o->request);
    const struct command_link_spec spec = {.loop = o->daemon->loop,
                                           .conn = o->conn,
                                           .protocol = o->protocol,
                                           .in = r->in,
                                           .out = r->out,
                                           .err = r->err,
                                           .resize = r->tty};

    *s = (struct command_session){
        .base = {.end = on_session_end, .drop = on_session_drop},
        .daemon = o->daemon,
        .kind = kind,
        .self = self,
        .request = r,
        .protocol = o->protocol,
        .outputs = {{.session = s, .channel = CHANNEL_STDOUT, .fd = -1},
                    {.session = s, .channel = CHANNEL_STDERR, .fd = -1}},
        .in_fd = -1,
        .pty = -1,
    };
    stream_session_start(&s->base, o->daemon, o->conn);
    timer_start(&s->timer, o->daemon->loop, o->daemon->config.stream_creation_timeout_s, on_creation_timeout,
                s);
    s->link = command_link_new(&spec, &events, s);
}

int command_streams_check(const char *rpc, const char *id, bool in, bool out, bool err_stream, bool tty,
                          struct err *err)
{
    if (!*id)
        return err_set(err, GRPC_INVALID_ARGUMENT, 0, "%s: missing required container_id", rpc);
    if (tty && err_stream)
        return err_set(err, GRPC_INVALID_ARGUMENT, 0,
                       "%s: tty and stderr cannot both be true: a terminal has one output", rpc);
    if (!in && !out && !err_stream)
        return err_set(err, GRPC_INVALID_ARGUMENT, 0, "%s: one of stdin, stdout, or stderr must be set", rpc);
    return 0;
}
