#include "loop/h2o_bridge.h"
#include "core/log.h"
#include "core/mem.h"
#include "loop/acceptor.h"
#include "loop/uv_nest.h"

#include <assert.h>
#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include <h2o.h>
#include <h2o/http2.h>
#include <h2o/http2_internal.h>

/* The trailers below are written through h2o's private structs, which no other version shares. */
#if H2O_LIBRARY_VERSION_MAJOR != 0 || H2O_LIBRARY_VERSION_MINOR != 13 || H2O_LIBRARY_VERSION_PATCH != 5
#error "loop/h2o_bridge.c is written for libh2o 0.13.5 (h2o 2.2.5): see docs/architecture.md, \"h2o\""
#endif

enum {
    CHUNKS_PER_SEND = 64,
    BACKLOG = 128,
    CLOSE_LIMIT_MS = 1000,
};
static const double DRAIN_POLL_S = 0.005;

/*
 * A call, from the bridge's side:
 *
 *   WAITING --first send or finish--> SENDING --finish, all data in the connection's buffer--> ENDED
 *      |                                 |                                                       |
 *      +------- reset, connection gone --+-------------------------------------------------------+--> on_gone
 *
 * busy: an h2o_send() is under way, whose proceed callback has not come; h2o allows one at a time.
 */
enum call_state { CALL_WAITING, CALL_SENDING, CALL_ENDED };

struct chunk {
    struct chunk *next;
    void *p;
    size_t n;
};

struct bridge_call {
    h2o_generator_t generator; /* first: h2o hands this back */
    h2o_req_t *req;
    struct bridge *bridge;
    struct bridge_call *prev, *next; /* bridge->calls */
    char *path, *method;
    enum call_state state;
    bool busy;
    bool finished; /* by its owner */
    int status;
    const char *message;
    struct chunk *queue, **queue_end;
    struct chunk *in_flight; /* given to h2o_send(); h2o keeps pointers into it until proceed */
    size_t queued;
    void (*on_drain)(void *data);
    void *drain_data;
    void (*on_gone)(void *data, bool finished);
    void *gone_data;
};

struct bridge {
    struct loop *loop;
    struct uv_nest *nest;
    h2o_globalconf_t conf;
    h2o_context_t ctx;
    h2o_accept_ctx_t accept;
    struct acceptor acceptor;
    struct sockaddr_un address;
    struct stat socket_file; /* to remove only our own at the end */
    bridge_on_call *on_call;
    void *data;
    struct bridge_call *calls;
    bool closing; /* draining or being freed: new calls are refused */
    struct timer drain_poll;
    void (*on_drained)(void *data);
    void *drained_data;
};

struct bridge_handler {
    h2o_handler_t super; /* first: h2o hands this back */
    struct bridge *bridge;
};

/* ---- what knows h2o's private HTTP/2 structs --------------------------------------------------------------------- */

static h2o_http2_stream_t *stream_of(h2o_req_t *req)
{
    return H2O_STRUCT_FROM_MEMBER(h2o_http2_stream_t, req, req);
}

static h2o_http2_conn_t *conn_of(h2o_req_t *req)
{
    return (h2o_http2_conn_t *)req->conn;
}

static bool stream_is_open(h2o_req_t *req)
{
    return stream_of(req)->state < H2O_HTTP2_STREAM_STATE_END_STREAM &&
           conn_of(req)->state < H2O_HTTP2_CONN_STATE_IS_CLOSING;
}

/* Moves the stream's DATA into the connection's write buffer as far as both windows allow; true when none is left. */
static bool stream_flush(h2o_req_t *req)
{
    h2o_http2_stream_t *s = stream_of(req);
    h2o_http2_conn_t *c = conn_of(req);

    while (s->_data.size != 0) {
        size_t before = c->_write.buf->size;
        if (h2o_http2_conn_get_buffer_window(c) <= 0)
            return false;
        h2o_http2_stream_send_pending_data(c, s);
        if (c->_write.buf->size == before)
            return false;
    }
    return true;
}

/* RFC 7541, 6.2.2: literal without indexing, new name. It leaves h2o's dynamic table, which we cannot reach, alone. */
static uint8_t *put_field(uint8_t *at, const char *name, const char *value)
{
    *at++ = 0;
    at += h2o_hpack_encode_string(at, name, strlen(name));
    return at + h2o_hpack_encode_string(at, value, strlen(value));
}

static size_t put_trailers(uint8_t *block, int status, const char *message)
{
    char digits[12];
    uint8_t *at = block;

    snprintf(digits, sizeof(digits), "%d", status);
    at = put_field(at, "grpc-status", digits);
    if (message[0])
        at = put_field(at, "grpc-message", message);
    return (size_t)(at - block);
}

/*
 * Ends the stream as h2o itself ends one, with a HEADERS frame in the place of the last DATA frame. All DATA must be in
 * the write buffer. The window is set high because h2o asserts that an ended stream's window is above zero when a late
 * WINDOW_UPDATE comes. The generator is taken away as after H2O_SEND_STATE_FINAL: neither proceed nor stop comes.
 */
static void stream_end(h2o_req_t *req, int status, const char *message)
{
    h2o_http2_stream_t *s = stream_of(req);
    h2o_http2_conn_t *c = conn_of(req);
    uint8_t block[BRIDGE_MESSAGE_MAX + 64]; /* below 16384, the smallest limit a peer may set: one frame */

    assert(s->_data.size == 0 && s->state == H2O_HTTP2_STREAM_STATE_SEND_BODY);
    size_t n = put_trailers(block, status, message);
    uint8_t *at = (uint8_t *)h2o_buffer_reserve(&c->_write.buf, H2O_HTTP2_FRAME_HEADER_SIZE + n).base;
    at = h2o_http2_encode_frame_header(at, n, H2O_HTTP2_FRAME_TYPE_HEADERS,
                                       H2O_HTTP2_FRAME_FLAG_END_HEADERS | H2O_HTTP2_FRAME_FLAG_END_STREAM,
                                       (int32_t)s->stream_id);
    memcpy(at, block, n);
    c->_write.buf->size += H2O_HTTP2_FRAME_HEADER_SIZE + n;

    s->output_window._avail = 1 << 30;
    req->_generator = NULL;
    h2o_http2_stream_set_state(c, s, H2O_HTTP2_STREAM_STATE_END_STREAM);
    if (!s->_refs.scheduler._self_is_active && !h2o_linklist_is_linked(&s->_refs.link))
        h2o_linklist_insert(&c->_write.streams_to_proceed, &s->_refs.link);
    h2o_http2_conn_request_write(c);
}

static void conn_each(struct bridge *b, void (*fn)(h2o_http2_conn_t *c, void *data), void *data)
{
    h2o_linklist_t *next;

    for (h2o_linklist_t *at = b->ctx.http2._conns.next; at != &b->ctx.http2._conns; at = next) {
        next = at->next;
        fn(H2O_STRUCT_FROM_MEMBER(h2o_http2_conn_t, _conns, at), data);
    }
}

static void conn_goaway(h2o_http2_conn_t *c, void *data)
{
    (void)data;
    if (c->state >= H2O_HTTP2_CONN_STATE_IS_CLOSING)
        return;
    h2o_http2_encode_goaway_frame(&c->_write.buf, c->pull_stream_ids.max_open, 0,
                                  h2o_iovec_init(H2O_STRLIT("shutting down")));
    h2o_http2_conn_request_write(c);
}

static void conn_unwritten(h2o_http2_conn_t *c, void *data)
{
    bool *unwritten = data;

    if (c->state < H2O_HTTP2_CONN_STATE_IS_CLOSING && (c->_write.buf->size != 0 || c->_write.buf_in_flight))
        *unwritten = true;
}

/* h2o has no call to close a connection; it does so by itself when its socket ends. */
static void conn_shut(h2o_http2_conn_t *c, void *data)
{
    (void)data;
    shutdown(h2o_socket_get_fd(c->sock), SHUT_RDWR);
}

/* ---- calls ------------------------------------------------------------------------------------------------------- */

static void chunks_free(struct chunk *c)
{
    while (c) {
        struct chunk *next = c->next;
        free(c->p);
        free(c);
        c = next;
    }
}

static void call_start(struct bridge_call *c)
{
    h2o_res_t *res = &c->req->res;

    res->status = 200;
    h2o_add_header(&c->req->pool, &res->headers, H2O_TOKEN_CONTENT_TYPE, NULL, H2O_STRLIT("application/grpc"));
    h2o_add_header_by_str(&c->req->pool, &res->headers, H2O_STRLIT("grpc-accept-encoding"), 0, NULL,
                          H2O_STRLIT("identity"));
    c->state = CALL_SENDING;
    h2o_start_response(c->req, &c->generator);
}

static void call_send_queue(struct bridge_call *c)
{
    h2o_iovec_t vec[CHUNKS_PER_SEND];
    size_t n = 0;
    struct chunk **at = &c->queue;

    c->in_flight = c->queue;
    for (; *at && n < CHUNKS_PER_SEND; at = &(*at)->next)
        vec[n++] = h2o_iovec_init((*at)->p, (*at)->n);
    c->queue = *at;
    *at = NULL;
    if (!c->queue)
        c->queue_end = &c->queue;
    c->busy = true;
    /* never FINAL: that would end the stream with a DATA frame */
    h2o_send(c->req, vec, n, H2O_SEND_STATE_IN_PROGRESS);
}

/* Brings a call as far as h2o allows now; on_proceed() takes it from there. */
static void call_advance(struct bridge_call *c)
{
    if (c->state == CALL_ENDED || !stream_is_open(c->req))
        return;
    if (!c->busy) {
        bool first = c->state == CALL_WAITING && (c->queue || c->finished);
        if (first)
            call_start(c);
        if (first || c->queue)
            call_send_queue(c);
    }
    if (c->finished && !c->queue && c->state == CALL_SENDING && stream_flush(c->req)) {
        c->state = CALL_ENDED;
        stream_end(c->req, c->status, c->message);
    }
}

static void on_proceed(h2o_generator_t *g, h2o_req_t *req)
{
    struct bridge_call *c = (struct bridge_call *)g;

    (void)req;
    c->busy = false;
    for (struct chunk *at = c->in_flight; at; at = at->next)
        c->queued -= at->n;
    chunks_free(c->in_flight);
    c->in_flight = NULL;
    call_advance(c);
    if (!c->finished && !c->busy && c->on_drain)
        c->on_drain(c->drain_data);
}

/* The request's pool is about to go: the only way in which a call ends. */
static void on_dispose(void *p)
{
    struct bridge_call *c = p;

    if (c->prev)
        c->prev->next = c->next;
    else
        c->bridge->calls = c->next;
    if (c->next)
        c->next->prev = c->prev;
    chunks_free(c->queue);
    chunks_free(c->in_flight);
    if (c->on_gone)
        c->on_gone(c->gone_data, c->finished);
}

static struct bridge_call *call_new(struct bridge *b, h2o_req_t *req)
{
    struct bridge_call *c = h2o_mem_alloc_shared(&req->pool, sizeof(*c), on_dispose);

    memset(c, 0, sizeof(*c));
    c->generator.proceed = on_proceed;
    c->req = req;
    c->bridge = b;
    c->queue_end = &c->queue;
    c->path = h2o_strdup(&req->pool, req->path.base, req->path.len).base;
    c->method = h2o_strdup(&req->pool, req->method.base, req->method.len).base;
    c->next = b->calls;
    if (c->next)
        c->next->prev = c;
    b->calls = c;
    return c;
}

static int on_request(h2o_handler_t *h, h2o_req_t *req)
{
    struct bridge *b = ((struct bridge_handler *)h)->bridge;
    struct bridge_call *c = call_new(b, req);

    if (b->closing)
        bridge_call_finish(c, GRPC_UNAVAILABLE, "cricket is shutting down: try again");
    else
        b->on_call(b->data, c);
    return 0;
}

const char *bridge_call_path(const struct bridge_call *c)
{
    return c->path;
}

const char *bridge_call_method(const struct bridge_call *c)
{
    return c->method;
}

const char *bridge_call_header(struct bridge_call *c, const char *lower_name)
{
    ssize_t i = h2o_find_header_by_str(&c->req->headers, lower_name, strlen(lower_name), -1);

    if (i < 0)
        return NULL;
    h2o_iovec_t v = c->req->headers.entries[i].value;
    return h2o_strdup(&c->req->pool, v.base, v.len).base;
}

const void *bridge_call_body(const struct bridge_call *c, size_t *ret_len)
{
    *ret_len = c->req->entity.base ? c->req->entity.len : 0;
    return c->req->entity.base ? c->req->entity.base : "";
}

void *bridge_call_alloc(struct bridge_call *c, size_t size)
{
    return h2o_mem_alloc_pool(&c->req->pool, size);
}

pid_t bridge_call_peer_pid(const struct bridge_call *c)
{
    struct ucred peer = {0};
    socklen_t n = sizeof(peer);

    if (getsockopt(h2o_socket_get_fd(conn_of(c->req)->sock), SOL_SOCKET, SO_PEERCRED, &peer, &n) < 0)
        return 0;
    return peer.pid;
}

void bridge_call_on_gone(struct bridge_call *c, void (*fn)(void *data, bool finished), void *data)
{
    c->on_gone = fn;
    c->gone_data = data;
}

void bridge_call_on_drain(struct bridge_call *c, void (*fn)(void *data), void *data)
{
    c->on_drain = fn;
    c->drain_data = data;
}

void bridge_call_send_owned(struct bridge_call *c, void *p, size_t n)
{
    if (c->finished || n == 0) {
        free(p);
        return;
    }
    struct chunk *k = mem_new(struct chunk);
    k->p = p;
    k->n = n;
    *c->queue_end = k;
    c->queue_end = &k->next;
    c->queued += n;
    /* h2o writes from the loop only: a finish in this same callback still shares the one write */
    call_advance(c);
}

void bridge_call_send(struct bridge_call *c, const void *p, size_t n)
{
    bridge_call_send_owned(c, mem_dup(p, n), n);
}

size_t bridge_call_queued(const struct bridge_call *c)
{
    return c->queued;
}

void bridge_call_finish(struct bridge_call *c, int grpc_status, const char *message)
{
    if (c->finished)
        return;
    c->finished = true;
    c->status = grpc_status;
    c->message = "";
    if (message && message[0]) {
        size_t n = strnlen(message, BRIDGE_MESSAGE_MAX);
        c->message = h2o_strdup(&c->req->pool, message, n).base;
    }
    call_advance(c);
}

void bridge_call_refuse(struct bridge_call *c, int http_status, const char *reason)
{
    assert(c->state == CALL_WAITING && !c->finished);
    c->finished = true;
    c->state = CALL_ENDED;
    c->req->res.status = http_status;
    h2o_add_header(&c->req->pool, &c->req->res.headers, H2O_TOKEN_CONTENT_TYPE, NULL, H2O_STRLIT("text/plain"));
    h2o_send_inline(c->req, reason, strlen(reason));
}

/* ---- the bridge -------------------------------------------------------------------------------------------------- */

struct bridge *bridge_new(struct loop *l, size_t max_body)
{
    struct bridge *b = mem_new(struct bridge);

    b->loop = l;
    b->nest = uv_nest_new(l);
    /* else a large body goes to a temporary file, whose descriptor children would inherit */
    h2o_socket_buffer_mmap_settings.threshold = SIZE_MAX;

    h2o_config_init(&b->conf);
    b->conf.server_name = h2o_iovec_init(NULL, 0);
    b->conf.http1.upgrade_to_http2 = 0;
    b->conf.http2.idle_timeout =
        365ULL * 86400 * 1000; /* the kubelet keeps connections that are idle for hours */
    b->conf.max_request_entity_size = max_body;
    /* the only host, so that any :authority is accepted */
    h2o_hostconf_t *host = h2o_config_register_host(&b->conf, h2o_iovec_init(H2O_STRLIT("default")), 65535);
    host->http2.reprioritize_blocking_assets = 0;
    h2o_pathconf_t *path = h2o_config_register_path(host, "/", 0);
    struct bridge_handler *h = (struct bridge_handler *)h2o_create_handler(path, sizeof(*h));
    h->super.on_req = on_request;
    h->bridge = b;

    h2o_context_init(&b->ctx, uv_nest_loop(b->nest), &b->conf);
    b->accept.ctx = &b->ctx;
    b->accept.hosts = b->conf.hosts;
    return b;
}

static void on_uv_closed(uv_handle_t *h)
{
    free(h);
}

static void serve(void *data, int fd)
{
    struct bridge *b = data;
    uv_pipe_t *pipe = mem_new(uv_pipe_t);
    struct timeval now;

    uv_pipe_init(uv_nest_loop(b->nest), pipe, 0);
    if (uv_pipe_open(pipe, fd) < 0) { /* only for what is no socket */
        close(fd);
        uv_close((uv_handle_t *)pipe, on_uv_closed);
        return;
    }
    gettimeofday(&now, NULL);
    h2o_http2_accept(&b->accept, h2o_uv_socket_create((uv_stream_t *)pipe, on_uv_closed), now);
}

/* Makes room for bind(2): a socket file that nobody listens on is left over from a crash. */
static int remove_stale(const struct sockaddr_un *a, struct err *err)
{
    struct stat st;

    if (lstat(a->sun_path, &st) < 0)
        return errno == ENOENT ? 0 : err_sys(err, errno, "listen on %s", a->sun_path);
    if (!S_ISSOCK(st.st_mode))
        return err_set(err, GRPC_FAILED_PRECONDITION, EEXIST,
                       "listen on %s: there is a file that is no socket: remove it", a->sun_path);
    cleanup_close int probe = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (probe < 0)
        return err_sys(err, errno, "listen on %s", a->sun_path);
    /* EAGAIN: its backlog is full, so somebody listens */
    if (connect(probe, (const struct sockaddr *)a, sizeof(*a)) == 0 || errno == EAGAIN)
        return err_set(err, GRPC_ALREADY_EXISTS, EADDRINUSE,
                       "listen on %s: another process serves it: stop it first", a->sun_path);
    if (errno != ECONNREFUSED)
        return err_sys(err, errno, "listen on %s: probe the socket that is there", a->sun_path);
    if (unlink(a->sun_path) < 0 && errno != ENOENT)
        return err_sys(err, errno, "listen on %s: remove the stale socket", a->sun_path);
    return 0;
}

int bridge_listen(struct bridge *b, const char *path, bridge_on_call *on_call, void *data, struct err *err)
{
    struct sockaddr_un a = {.sun_family = AF_UNIX};

    assert(!b->acceptor.watch);
    if (strlen(path) >= sizeof(a.sun_path))
        return err_set(err, GRPC_INVALID_ARGUMENT, 0,
                       "listen on %s: the path has %zu bytes, a unix socket's may have %zu", path, strlen(path),
                       sizeof(a.sun_path) - 1);
    strcpy(a.sun_path, path);
    int rc = remove_stale(&a, err);
    if (rc < 0)
        return rc;
    cleanup_close int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    mode_t mask = umask(0117); /* 0660 from the first moment; the daemon has one thread */
    rc = fd < 0 || bind(fd, (const struct sockaddr *)&a, sizeof(a)) < 0 || listen(fd, BACKLOG) < 0 ? errno : 0;
    umask(mask);
    if (rc != 0)
        return err_sys(err, rc, "listen on %s", path);
    if (lstat(path, &b->socket_file) < 0)
        return err_sys(err, errno, "listen on %s", path);
    b->address = a;
    b->on_call = on_call;
    b->data = data;
    acceptor_start(&b->acceptor, b->loop, steal_fd(&fd), b->address.sun_path, serve, b);
    return 0;
}

static void listen_stop(struct bridge *b)
{
    struct stat st;

    if (!b->acceptor.watch)
        return;
    if (lstat(b->address.sun_path, &st) == 0 && st.st_ino == b->socket_file.st_ino &&
        st.st_dev == b->socket_file.st_dev)
        unlink(b->address.sun_path);
    acceptor_stop(&b->acceptor);
}

static void drain_check(void *data)
{
    struct bridge *b = data;
    bool unwritten = false;

    conn_each(b, conn_unwritten, &unwritten);
    if (!b->calls && !unwritten) {
        b->on_drained(b->drained_data);
        return;
    }
    timer_start(&b->drain_poll, b->loop, DRAIN_POLL_S, drain_check, b);
}

void bridge_drain(struct bridge *b, void (*on_drained)(void *data), void *data)
{
    listen_stop(b);
    b->closing = true;
    b->on_drained = on_drained;
    b->drained_data = data;
    conn_each(b, conn_goaway, NULL);
    timer_start(&b->drain_poll, b->loop, 0, drain_check, b);
}

static bool no_connection(void *data)
{
    struct bridge *b = data;

    return h2o_linklist_is_empty(&b->ctx.http2._conns);
}

void bridge_free(struct bridge *b)
{
    if (!b)
        return;
    b->closing = true;
    timer_stop(&b->drain_poll);
    listen_stop(b);
    conn_each(b, conn_shut, NULL);
    uv_nest_settle(b->nest, no_connection, b, CLOSE_LIMIT_MS);
    h2o_context_dispose(&b->ctx);
    h2o_config_dispose(&b->conf);
    uv_nest_free(b->nest);
    free(b);
}
