/*
 *   opening --> running --> status known --> end
 *                  |  detach keys, signal      ^
 *                  v                           |   each of the last two for STREAM_END_MS at most
 *                leaving --- server's Close ---'
 *
 * Output is written only where poll(2) said that it goes, and so little at a time that it then does not block: to make our
 * stdout non-blocking would make it so for every process that shares it.
 */
#include "cli/session.h"
#include "cli/stream.h"
#include "cli/stream_status.h"
#include "cli/terminal.h"
#include "core/buf.h"
#include "proto/channel.h"

#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/signalfd.h>

enum { IN_BYTES = 16 * 1024 };

struct session {
    const struct session_options *o;
    struct stream *stream;
    int signals;
    bool opened, ended; /* the stream */
    bool in_ended;
    bool leaving;     /* end.how is decided: only the closing handshake is waited for */
    int64_t until_ms; /* with leaving or status: 0 before */
    struct detach_keys detach;
    struct stream_piece piece; /* what is not written yet */
    struct buf status;
    bool has_status;
    struct session_end end;
};

static void end_soon(struct session *s)
{
    if (!s->until_ms)
        s->until_ms = stream_now_ms() + STREAM_END_MS;
}

static void leave(struct session *s, enum session_how how, int code)
{
    if (s->leaving)
        return;
    s->end.how = how;
    s->end.code = code;
    s->leaving = true;
    stream_close(s->stream);
    end_soon(s);
}

/* ---- out ---- */

/* 1: all of the piece was written; 0: it waits for poll. */
static int write_piece(struct session *s, struct err *err)
{
    const bool to_stderr = s->piece.channel == CHANNEL_STDERR;
    struct pollfd p = {.fd = to_stderr ? STDERR_FILENO : STDOUT_FILENO, .events = POLLOUT};

    while (s->piece.len) {
        if (poll(&p, 1, 0) == 0)
            return 0;
        ssize_t n = write(p.fd, s->piece.data, s->piece.len < PIPE_BUF ? s->piece.len : PIPE_BUF);
        if (n < 0 && (errno == EAGAIN || errno == EINTR))
            return 0;
        if (n < 0 && errno == EPIPE) {
            leave(s, SESSION_INTERRUPTED, SIGPIPE);
            s->piece.len = 0;
            return 1;
        }
        if (n < 0)
            return err_sys(err, errno, "writing the output");
        s->piece.data += n;
        s->piece.len -= (size_t)n;
    }
    return 1;
}

static int take_piece(struct session *s, struct err *err)
{
    switch (s->piece.channel) {
    case CHANNEL_STDOUT:
    case CHANNEL_STDERR:
        return write_piece(s, err);
    case CHANNEL_ERROR:
        buf_add(&s->status, s->piece.data, s->piece.len);
        if (s->piece.ends && s->status.len) {
            s->has_status = true;
            end_soon(s);
        }
        break;
    default:
        break;
    }
    s->piece.len = 0;
    return 1;
}

static void send_size(struct session *s)
{
    struct terminal_size size;
    char text[64];

    if (!s->opened || !s->o->tty ||
        !(terminal_size_of(STDIN_FILENO, &size) || terminal_size_of(STDOUT_FILENO, &size)))
        return;
    int n = snprintf(text, sizeof(text), "{\"Width\":%u,\"Height\":%u}", size.width, size.height);
    stream_send(s->stream, CHANNEL_RESIZE, text, (size_t)n);
}

/* 1, or a negative errno */
static int on_open(struct session *s, struct err *err)
{
    s->opened = true;
    send_size(s);
    if (!s->o->in || !s->o->tty || !isatty(STDIN_FILENO))
        return 1;
    s->detach = s->o->detach;
    int rc = terminal_make_raw(STDIN_FILENO, err);
    return rc < 0 ? rc : 1;
}

/* Until the stream has nothing more, or our output takes no more. */
static int pump_out(struct session *s, struct err *err)
{
    int rc = s->piece.len ? write_piece(s, err) : 1;

    while (rc > 0) {
        int r = stream_next(s->stream, &s->piece, err);
        if (r <= 0)
            return r;
        if (r == STREAM_ENDED) {
            s->ended = true;
            return 0;
        }
        rc = r == STREAM_OPENED ? on_open(s, err) : take_piece(s, err);
    }
    return rc < 0 ? rc : stream_flush(s->stream, err);
}

/* ---- in ---- */

static bool takes_input(const struct session *s)
{
    return s->opened && s->o->in && !s->in_ended && !s->leaving && !s->has_status &&
           stream_pending(s->stream) < STREAM_MARK;
}

static int pump_in(struct session *s, struct err *err)
{
    unsigned char typed[IN_BYTES], goes[IN_BYTES + DETACH_KEYS_MAX];
    ssize_t n = read(STDIN_FILENO, typed, sizeof(typed));
    size_t len = 0;

    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return 0;
    if (n < 0 && errno != EIO) /* EIO: our terminal is gone */
        return err_sys(err, errno, "reading the input");
    if (n <= 0) {
        s->in_ended = true;
        if (!stream_close_channel(s->stream, CHANNEL_STDIN))
            fprintf(stderr,
                    "cricket %s: the input has ended, but %s, which the runtime chose, has no word for that: a "
                    "command that waits for the end goes on\n",
                    s->o->command, stream_protocol_name(s->stream));
        return stream_flush(s->stream, err);
    }
    bool detached = detach_keys_filter(&s->detach, typed, (size_t)n, goes, &len);
    if (len)
        stream_send(s->stream, CHANNEL_STDIN, goes, len);
    if (detached)
        leave(s, SESSION_DETACHED, 0);
    return stream_flush(s->stream, err);
}

/* ---- signals ---- */

static int take_signals(int *ret_fd, struct err *err)
{
    static const int ours[] = {SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGWINCH};
    sigset_t set;

    sigemptyset(&set);
    for (size_t i = 0; i < countof(ours); i++)
        sigaddset(&set, ours[i]);
    signal(SIGPIPE, SIG_IGN); /* NOLINT: a closed pipe must not leave the terminal raw */
    sigprocmask(SIG_BLOCK, &set, NULL);
    if ((*ret_fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK)) < 0)
        return err_sys(err, errno, "signalfd");
    return 0;
}

static void on_signals(struct session *s)
{
    struct signalfd_siginfo info;

    while (read(s->signals, &info, sizeof(info)) == sizeof(info)) {
        if (info.ssi_signo == SIGWINCH) {
            send_size(s);
            continue;
        }
        if (s->leaving) /* a second one: at once */
            s->until_ms = stream_now_ms();
        leave(s, SESSION_INTERRUPTED, (int)info.ssi_signo);
    }
}

/* ---- the loop ---- */

static int wait_ms(const struct session *s)
{
    if (!s->until_ms)
        return stream_wait_ms(s->stream);
    int64_t left = s->until_ms - stream_now_ms();
    return left > 0 ? (int)left : 0;
}

static int turn(struct session *s, struct err *err)
{
    bool blocked = s->piece.len > 0;
    struct pollfd p[] = {
        {.fd = s->signals, .events = POLLIN},
        {.fd = stream_fd(s->stream), .events = stream_events(s->stream, !blocked)},
        {.fd = takes_input(s) ? STDIN_FILENO : -1, .events = POLLIN},
        {.fd = !blocked                             ? -1
               : s->piece.channel == CHANNEL_STDERR ? STDERR_FILENO
                                                    : STDOUT_FILENO,
         .events = POLLOUT},
    };

    if (!p[1].events) /* else a hangup would wake us again and again */
        p[1].fd = -1;
    if (poll(p, countof(p), wait_ms(s)) < 0 && errno != EINTR)
        return err_sys(err, errno, "poll");
    if (p[0].revents)
        on_signals(s);
    int rc = p[2].revents && takes_input(s) ? pump_in(s, err) : 0;
    return rc < 0 ? rc : pump_out(s, err);
}

/* The connection is over, and no status came. */
static int broken_off(const struct session *s, struct err *err)
{
    const struct stream_end *e = stream_end(s->stream);
    char code[32] = "";

    if (e->code)
        snprintf(code, sizeof(code), " with code %d", e->code);
    return err_set(
        err, GRPC_UNAVAILABLE, 0,
        "the runtime ended the connection%s%s%s before the exit code came: the container or the runtime "
        "may have been stopped",
        code, e->reason[0] ? ": " : "", e->reason);
}

static int loop(struct session *s, struct err *err)
{
    int rc = 0;

    while (!rc && !s->ended && !(s->until_ms && stream_now_ms() >= s->until_ms))
        rc = turn(s, err);
    terminal_restore();
    if (s->leaving)
        return 0;
    if (s->has_status) /* what broke after it does not matter */
        return stream_status_parse(s->status.data, s->status.len, &s->end.code, err);
    return rc ? rc : broken_off(s, err);
}

int session_run(const struct session_options *options, struct session_end *ret, struct err *err)
{
    const struct stream_options to = {
        .url = options->url, .ca_file = options->ca_file, .timeout_ms = options->timeout_ms};
    struct session s = {.o = options, .signals = -1, .status = {.max = STREAM_STATUS_MAX}};
    int rc = stream_open(&to, &s.stream, err);

    if (!rc)
        rc = take_signals(&s.signals, err);
    if (!rc)
        rc = loop(&s, err);
    if (!rc)
        *ret = s.end;
    if (s.signals >= 0)
        close(s.signals);
    stream_free(s.stream);
    buf_done(&s.status);
    return rc;
}

int session_exit_code(const struct session_end *end, const char *command)
{
    switch (end->how) {
    case SESSION_EXITED:
        return end->code & 0xff;
    case SESSION_DETACHED:
        return 0;
    case SESSION_INTERRUPTED:
        break;
    }
    if (end->code != SIGPIPE) /* that one is quiet, as everywhere */
        fprintf(stderr, "cricket %s: interrupted; what runs in the container may go on\n", command);
    return 128 + end->code;
}
