#include "bench/conn.h"
#include "core/mem.h"
#include "proto/grpc_frame.h"

#include <errno.h>
#include <fcntl.h>
#include <nghttp2/nghttp2.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>

enum {
    WINDOW = 32 << 20, /* flow control must never be what is measured */
    READ_SIZE = 256 << 10
};

struct conn {
    nghttp2_session *session;
    int fd;
    bool broken;
    unsigned open;                 /* calls under way, and ended ones not taken yet */
    struct call *ended, **ended_p; /* in the order in which they ended */
    struct call *under_way;        /* by next: only a broken connection looks at this list */
    char broken_text[200];
    uint8_t in[READ_SIZE];
};

uint64_t now_ns(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
}

double call_ms(const struct call *call)
{
    return (double)(call->ended_ns - call->started_ns) / 1e6;
}

void call_done(struct call *call)
{
    buf_done(&call->request);
    buf_done(&call->reply);
}

static void end_call(struct conn *c, struct call *call)
{
    struct call **p = &c->under_way;

    call->ended_ns = now_ns();
    while (*p && *p != call)
        p = &(*p)->next;
    if (*p)
        *p = call->next;
    call->next = NULL;
    *c->ended_p = call;
    c->ended_p = &call->next;
}

static void break_off(struct conn *c, const char *what)
{
    struct call *call;

    if (!c->broken)
        snprintf(c->broken_text, sizeof(c->broken_text), "the connection broke: %s", what);
    c->broken = true;
    while ((call = c->under_way)) {
        call->status = GRPC_UNAVAILABLE;
        snprintf(call->message, sizeof(call->message), "%s", c->broken_text);
        end_call(c, call);
    }
}

/* ---- what nghttp2 tells ---- */

static int take_header(nghttp2_session *s, const nghttp2_frame *frame, const uint8_t *name, size_t name_len,
                       const uint8_t *value, size_t len, uint8_t flags, void *data)
{
    struct call *call = nghttp2_session_get_stream_user_data(s, frame->hd.stream_id);
    (void)flags;
    (void)data;

    if (!call)
        return 0;
    if (name_len == 11 && !memcmp(name, "grpc-status", 11)) {
        call->status = 0;
        for (size_t i = 0; i < len && i < 4; i++)
            call->status = call->status * 10 + value[i] - '0';
    } else if (name_len == 12 && !memcmp(name, "grpc-message", 12)) {
        cleanup_free char *encoded = mem_strndup((const char *)value, len);
        cleanup_free char *text = grpc_message_decode(encoded);
        snprintf(call->message, sizeof(call->message), "%s", text);
    }
    return 0;
}

static int take_data(nghttp2_session *s, uint8_t flags, int32_t stream, const uint8_t *p, size_t n, void *data)
{
    struct call *call = nghttp2_session_get_stream_user_data(s, stream);
    (void)flags;
    (void)data;

    if (call)
        buf_add(&call->reply, p, n);
    return 0;
}

static int take_end(nghttp2_session *s, int32_t stream, uint32_t code, void *data)
{
    struct call *call = nghttp2_session_get_stream_user_data(s, stream);

    if (!call)
        return 0;
    if (call->status < 0) {
        call->status = GRPC_UNAVAILABLE;
        snprintf(call->message, sizeof(call->message), "the stream ended without a status (HTTP/2 code %u)",
                 code);
    }
    end_call(data, call);
    return 0;
}

static ssize_t give_request(nghttp2_session *s, int32_t stream, uint8_t *p, size_t n, uint32_t *flags,
                            nghttp2_data_source *source, void *data)
{
    struct call *call = source->ptr;
    size_t left = call->request.len - call->sent;
    (void)s;
    (void)stream;
    (void)data;

    n = n < left ? n : left;
    memcpy(p, call->request.data + call->sent, n);
    call->sent += n;
    if (n == left)
        *flags |= NGHTTP2_DATA_FLAG_EOF;
    return (ssize_t)n;
}

/* ---- bytes ---- */

static void wait_writable(struct conn *c)
{
    struct pollfd p = {.fd = c->fd, .events = POLLOUT};

    poll(&p, 1, -1);
}

static void flush(struct conn *c)
{
    const uint8_t *p;
    ssize_t n;

    while (!c->broken && (n = nghttp2_session_mem_send(c->session, &p)) > 0)
        while (n > 0) {
            ssize_t w = send(c->fd, p, (size_t)n, MSG_NOSIGNAL);
            if (w < 0 && errno == EAGAIN) {
                wait_writable(c);
            } else if (w < 0) {
                break_off(c, strerror(errno));
                return;
            } else {
                p += w;
                n -= w;
            }
        }
}

static void take_bytes(struct conn *c)
{
    ssize_t n = recv(c->fd, c->in, sizeof(c->in), 0);

    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (n <= 0) {
        break_off(c, n ? strerror(errno) : "closed by the runtime");
        return;
    }
    ssize_t r = nghttp2_session_mem_recv(c->session, c->in, (size_t)n);
    if (r < 0)
        break_off(c, nghttp2_strerror((int)r));
}

/* ---- the interface ---- */

static int connect_to(const char *path, int *ret_fd, struct err *err)
{
    struct sockaddr_un a = {.sun_family = AF_UNIX};
    cleanup_close int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

    if (fd < 0)
        return err_sys(err, errno, "socket");
    if (strlen(path) >= sizeof(a.sun_path))
        return err_set(err, GRPC_INVALID_ARGUMENT, 0, "socket %s: the path is longer than %zu bytes", path,
                       sizeof(a.sun_path) - 1);
    strcpy(a.sun_path, path);
    if (connect(fd, (struct sockaddr *)&a, sizeof(a)) < 0)
        return err_set(err, GRPC_UNAVAILABLE, errno, "no runtime answers on %s: start it, or give --endpoint",
                       path);
    if (fcntl(fd, F_SETFL, O_NONBLOCK) < 0)
        return err_sys(err, errno, "socket %s", path);
    *ret_fd = steal_fd(&fd);
    return 0;
}

static void start_session(struct conn *c)
{
    nghttp2_session_callbacks *cb;
    const nghttp2_settings_entry settings[] = {{NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, WINDOW},
                                               {NGHTTP2_SETTINGS_ENABLE_PUSH, 0}};

    nghttp2_session_callbacks_new(&cb);
    nghttp2_session_callbacks_set_on_header_callback(cb, take_header);
    nghttp2_session_callbacks_set_on_data_chunk_recv_callback(cb, take_data);
    nghttp2_session_callbacks_set_on_stream_close_callback(cb, take_end);
    nghttp2_session_client_new(&c->session, cb, c);
    nghttp2_session_callbacks_del(cb);
    nghttp2_submit_settings(c->session, NGHTTP2_FLAG_NONE, settings, countof(settings));
    nghttp2_session_set_local_window_size(c->session, NGHTTP2_FLAG_NONE, 0, WINDOW);
    flush(c);
}

int conn_open(const char *socket_path, struct conn **ret, struct err *err)
{
    int fd = -1, rc = connect_to(socket_path, &fd, err);

    if (rc < 0)
        return rc;
    struct conn *c = mem_new(struct conn);
    c->fd = fd;
    c->ended_p = &c->ended;
    start_session(c);
    *ret = c;
    return 0;
}

void conn_free(struct conn *c)
{
    if (!c)
        return;
    nghttp2_session_del(c->session);
    close(c->fd);
    free(c);
}

#define HEADER(name, value)                                                                                    \
    {                                                                                                          \
        (uint8_t *)(name), (uint8_t *)(value), strlen(name), strlen(value), NGHTTP2_NV_FLAG_NONE               \
    }

void conn_start(struct conn *c, struct call *call)
{
    const nghttp2_nv headers[] = {
        HEADER(":method", "POST"),
        HEADER(":scheme", "http"),
        HEADER(":path", call->path),
        HEADER(":authority", "localhost"),
        HEADER("content-type", "application/grpc"),
        HEADER("te", "trailers"),
    };
    nghttp2_data_provider body = {.source.ptr = call, .read_callback = give_request};

    call->reply.len = 0;
    call->reply.max = GRPC_FRAME_PREFIX + GRPC_MESSAGE_MAX;
    call->status = -1;
    call->message[0] = '\0';
    call->sent = 0;
    call->next = c->under_way;
    c->under_way = call;
    c->open++;
    call->started_ns = now_ns();
    call->stream =
        c->broken ? -1 : nghttp2_submit_request(c->session, NULL, headers, countof(headers), &body, call);
    if (call->stream >= 0) {
        flush(c);
        return;
    }
    break_off(c, c->broken ? "" : nghttp2_strerror(call->stream));
}

struct call *conn_next(struct conn *c, int timeout_ms)
{
    uint64_t end = now_ns() + (uint64_t)(timeout_ms < 0 ? 0 : timeout_ms) * 1000000;

    while (!c->ended && c->open) {
        uint64_t now = now_ns();
        int left = timeout_ms < 0 ? -1 : now >= end ? 0 : (int)((end - now) / 1000000) + 1;
        struct pollfd p = {.fd = c->fd, .events = POLLIN};
        int r = poll(&p, 1, left);
        if (r == 0)
            return NULL;
        if (r > 0)
            take_bytes(c);
        flush(c); /* window updates, the answer to a ping */
    }
    struct call *call = c->ended;
    if (!call)
        return NULL;
    c->ended = call->next;
    if (!c->ended)
        c->ended_p = &c->ended;
    c->open--;
    return call;
}

int conn_call(struct conn *c, struct call *call, struct err *err)
{
    conn_start(c, call);
    conn_next(c, -1);
    if (call->status == GRPC_OK)
        return 0;
    return err_set(err, call->status, 0, "%s: %s", strrchr(call->path, '/') + 1,
                   call->message[0] ? call->message : grpc_code_name(call->status));
}
