#include "loop/http_server.h"
#include "core/log.h"
#include "core/mem.h"
#include "loop/acceptor.h"
#include "loop/tcp_listen.h"
#include "loop/tls_cert.h"
#include "loop/tls_relay.h"
#include "loop/uv_nest.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>

#include <h2o.h>
#include <h2o/http1.h>

/* conn_close() works by h2o's own read callback, kept in a private member. */
#if H2O_LIBRARY_VERSION_MAJOR != 0 || H2O_LIBRARY_VERSION_MINOR != 13 || H2O_LIBRARY_VERSION_PATCH != 5
#error "loop/http_server.c is written for libh2o 0.13.5 (h2o 2.2.5): see docs/architecture.md, \"h2o\""
#endif

enum {
    CLOSE_LIMIT_MS = 1000,
    FULL_LOG_S = 10,
};

/* How many TCP connections are open: outlives the server, as the streams do. */
struct slots {
    size_t used;
    bool orphan;
};

enum request_state { REQUEST_OPEN, REQUEST_ANSWERED, REQUEST_UPGRADING };

struct http_request { /* in the request's pool */
    h2o_req_t *req;
    struct conn *conn;
    enum request_state state;
    const char *method, *path, *query, *upgrade;
    void (*on_gone)(void *data);
    void *gone_data;
};

/* An upgrade under way: the request, and with an error the connection, is gone before h2o tells. */
struct upgrade {
    struct http_server *server;
    void (*on_open)(void *data, struct stream_conn *c);
    void *data;
};

/* A connection from accept(2) to the end of its request; then it is a stream_conn, or gone. */
struct conn {
    struct http_server *server;
    struct conn *prev, *next;
    struct tls_relay *relay;      /* while it shakes hands; then the relay lives by itself */
    h2o_socket_t *sock;           /* NULL before */
    h2o_socket_cb h2o_read;       /* what h2o does with input; with an error, it closes */
    struct http_request *request; /* NULL while its head is read */
    struct upgrade *upgrade;
    struct slots *slots; /* NULL: the relay holds the place */
    int linger_fd;       /* a duplicate that outlives h2o's close(2), to end as a stream_conn; or -1 */
};

struct http_server {
    struct loop *loop;
    struct uv_nest *nest;
    h2o_globalconf_t conf;
    h2o_context_t ctx;
    h2o_accept_ctx_t accept;
    struct acceptor acceptor;
    char name[INET6_ADDRSTRLEN + 16];
    uint16_t port;
    struct tls_cert *cert; /* NULL: plain */
    size_t connections_max;
    struct slots *slots;
    struct conn *conns;
    struct timer gone_check;
    int64_t full_logged_us;
    http_server_on_request *on_request;
    void *data;
    bool closing;
};

struct server_handler {
    h2o_handler_t super; /* first: h2o hands this back */
    struct http_server *server;
};

static void slots_give(void *data)
{
    struct slots *s = data;

    if (--s->used == 0 && s->orphan)
        free(s);
}

/* ---- connections ------------------------------------------------------------------------------------------------- */

static struct conn *conn_new(struct http_server *s)
{
    struct conn *c = mem_new(struct conn);

    c->server = s;
    c->linger_fd = -1;
    c->next = s->conns;
    if (c->next)
        c->next->prev = c;
    s->conns = c;
    return c;
}

static void conn_free(struct conn *c)
{
    if (c->prev)
        c->prev->next = c->next;
    else
        c->server->conns = c->next;
    if (c->next)
        c->next->prev = c->prev;
    if (c->slots)
        slots_give(c->slots);
    free(c);
}

static struct stream_conn *conn_to_stream(struct conn *c, int fd, const void *first, size_t n)
{
    struct stream_conn *stream = stream_conn_new(c->server->loop, fd, first, n);

    if (c->slots)
        stream_conn_on_closed(stream, slots_give, c->slots);
    c->slots = NULL;
    return stream;
}

/* h2o has closed its socket. */
static void on_socket_closed(void *data)
{
    struct conn *c = data;

    if (c->linger_fd >= 0)
        stream_conn_finish(conn_to_stream(c, c->linger_fd, NULL, 0), NULL, NULL);
    conn_free(c);
}

/*
 * h2o closes when an answer has been written, and what the client sends meanwhile would make that a reset, which can destroy
 * the answer. So the connection is kept open by another descriptor, and ended with patience. Without one it must do.
 */
static void conn_keep(struct conn *c)
{
    if (c->linger_fd < 0)
        c->linger_fd = fcntl(h2o_socket_get_fd(c->sock), F_DUPFD_CLOEXEC, 3);
}

/* Closes from outside of h2o, in every state of it: h2o has no call for that, but does so on an error of its socket. */
static void conn_close(struct conn *c)
{
    struct upgrade *u = c->upgrade;

    c->upgrade = NULL;
    c->h2o_read(c->sock, h2o_socket_error_closed); /* frees c */
    if (u)
        u->on_open(u->data, NULL);
    free(u);
}

/* In front of h2o's own callback: h2o takes up to 417,792 bytes of head, which so many connections may not cost us. */
static void on_head_read(h2o_socket_t *sock, const char *err)
{
    static const char answer[] = "HTTP/1.1 431 Request Header Fields Too Large\r\nConnection: close\r\n"
                                 "Content-Type: text/plain; charset=utf-8\r\nContent-Length: 32\r\n\r\n"
                                 "The request's head is too large\n";
    struct conn *c = sock->on_close.data;

    if (err || c->request || sock->input->size <= HTTP_HEAD_MAX) {
        c->h2o_read(sock, err);
        return;
    }
    conn_keep(c);
    (void)!send(h2o_socket_get_fd(sock), answer, sizeof(answer) - 1, MSG_DONTWAIT | MSG_NOSIGNAL);
    conn_close(c);
}

static void on_uv_closed(uv_handle_t *h)
{
    free(h);
}

/* Hands the descriptor to h2o: TCP, or a relay's unix socket. */
static void conn_serve(struct conn *c, int fd)
{
    struct http_server *s = c->server;
    uv_tcp_t *tcp = mem_new(uv_tcp_t);
    struct timeval now;

    uv_tcp_init(uv_nest_loop(s->nest), tcp);
    if (uv_tcp_open(tcp, fd) < 0) { /* only for what is no socket */
        close(fd);
        uv_close((uv_handle_t *)tcp, on_uv_closed);
        conn_free(c);
        return;
    }
    c->sock = h2o_uv_socket_create((uv_stream_t *)tcp, on_uv_closed);
    c->sock->on_close.cb = on_socket_closed;
    c->sock->on_close.data = c;
    gettimeofday(&now, NULL);
    h2o_http1_accept(&s->accept, c->sock, now);
    c->h2o_read = c->sock->_cb.read;
    c->sock->_cb.read = on_head_read;
}

static void on_plain(void *data, int fd)
{
    struct conn *c = data;

    c->relay = NULL;
    if (fd < 0)
        conn_free(c);
    else
        conn_serve(c, fd);
}

static void on_accept(void *data, int fd)
{
    struct http_server *s = data;

    if (s->slots->used >= s->connections_max) {
        int64_t now = time_monotonic_us();
        if (!s->full_logged_us || now - s->full_logged_us > FULL_LOG_S * 1000000LL)
            log_warn("%s: %zu connections are open, which is the limit: new ones are closed", s->name,
                     s->slots->used);
        s->full_logged_us = now;
        close(fd);
        return;
    }
    struct conn *c = conn_new(s);
    s->slots->used++;
    if (!s->cert) {
        c->slots = s->slots;
        conn_serve(c, fd);
        return;
    }
    struct tls_relay_events ev = {on_plain, c, slots_give, s->slots};
    c->relay = tls_relay_start(s->loop, tls_cert_context(s->cert), fd, &ev);
}

/* ---- requests ---------------------------------------------------------------------------------------------------- */

/* The request's pool is about to go: the end of every request. */
static void on_request_dispose(void *p)
{
    struct http_request *r = p;

    r->conn->request = NULL;
    if (r->state == REQUEST_OPEN && r->on_gone)
        r->on_gone(r->gone_data);
}

static const char *pool_string(h2o_req_t *req, const char *p, size_t n)
{
    return h2o_strdup(&req->pool, p, n).base;
}

static struct http_request *request_new(struct conn *c, h2o_req_t *req)
{
    struct http_request *r = h2o_mem_alloc_shared(&req->pool, sizeof(*r), on_request_dispose);
    size_t path_len = req->query_at == SIZE_MAX ? req->path.len : req->query_at;

    *r = (struct http_request){.req = req, .conn = c};
    r->method = pool_string(req, req->method.base, req->method.len);
    r->path = pool_string(req, req->path.base, path_len);
    r->query = path_len < req->path.len
                   ? pool_string(req, req->path.base + path_len + 1, req->path.len - path_len - 1)
                   : "";
    if (req->upgrade.base && req->version == 0x101)
        r->upgrade = pool_string(req, req->upgrade.base, req->upgrade.len);
    c->request = r;
    return r;
}

static void on_gone_check(void *data)
{
    struct http_server *s = data;
    bool waiting = false;
    struct conn *next;

    for (struct conn *c = s->conns; c; c = next) {
        next = c->next;
        if (!c->request || c->request->state != REQUEST_OPEN)
            continue;
        if (stream_conn_peer_left(h2o_socket_get_fd(c->sock)))
            conn_close(c);
        else
            waiting = true;
    }
    if (waiting)
        timer_start(&s->gone_check, s->loop, HTTP_GONE_CHECK_S, on_gone_check, s);
}

static int on_h2o_request(h2o_handler_t *h, h2o_req_t *req)
{
    struct http_server *s = ((struct server_handler *)h)->server;
    struct conn *c = req->conn->callbacks->get_socket(req->conn)->on_close.data;
    struct http_request *r = request_new(c, req);

    if (s->closing) {
        http_request_answer(r, 503, NULL, 0, "cricket is shutting down: try again\n");
        return 0;
    }
    s->on_request(s->data, r);
    /* h2o has stopped reading: it would not hear of a client that goes away */
    if (r->state == REQUEST_OPEN && !timer_active(&s->gone_check))
        timer_start(&s->gone_check, s->loop, HTTP_GONE_CHECK_S, on_gone_check, s);
    return 0;
}

const char *http_request_method(const struct http_request *r)
{
    return r->method;
}

const char *http_request_path(const struct http_request *r)
{
    return r->path;
}

const char *http_request_query(const struct http_request *r)
{
    return r->query;
}

const char *http_request_upgrade_to(struct http_request *r)
{
    return r->upgrade;
}

const char *http_request_header(struct http_request *r, const char *lower_name)
{
    const h2o_headers_t *headers = &r->req->headers;
    h2o_iovec_t joined = {NULL, 0};

    if (strcmp(lower_name, "host") == 0)
        return pool_string(r->req, r->req->authority.base, r->req->authority.len);
    for (ssize_t i = -1; (i = h2o_find_header_by_str(headers, lower_name, strlen(lower_name), i)) >= 0;) {
        h2o_iovec_t v = headers->entries[i].value;
        joined = joined.base ? h2o_concat(&r->req->pool, joined, h2o_iovec_init(H2O_STRLIT(", ")), v)
                             : h2o_strdup(&r->req->pool, v.base, v.len);
    }
    return joined.base;
}

void http_request_on_gone(struct http_request *r, void (*fn)(void *data), void *data)
{
    r->on_gone = fn;
    r->gone_data = data;
}

static const char *reason_of(int status)
{
    static const struct {
        int status;
        const char *reason;
    } reasons[] = {
        {101, "Switching Protocols"}, {200, "OK"},
        {400, "Bad Request"},         {403, "Forbidden"},
        {404, "Not Found"},           {405, "Method Not Allowed"},
        {408, "Request Timeout"},     {426, "Upgrade Required"},
        {429, "Too Many Requests"},   {500, "Internal Server Error"},
        {503, "Service Unavailable"},
    };

    for (size_t i = 0; i < countof(reasons); i++)
        if (reasons[i].status == status)
            return reasons[i].reason;
    return "Status";
}

static void set_head(struct http_request *r, int status, const struct http_header *headers, size_t n)
{
    h2o_req_t *req = r->req;

    req->res.status = status;
    req->res.reason = reason_of(status);
    req->http1_is_persistent = 0;
    for (size_t i = 0; i < n; i++) {
        size_t len = strlen(headers[i].name), value_len = strlen(headers[i].value);
        char *name = h2o_strdup(&req->pool, headers[i].name, len).base;
        h2o_strtolower(name, len);
        h2o_add_header_by_str(&req->pool, &req->res.headers, name, len, 1,
                              pool_string(req, headers[i].name, len),
                              pool_string(req, headers[i].value, value_len), value_len);
    }
}

void http_request_answer(struct http_request *r, int status, const struct http_header *headers, size_t n,
                         const char *text)
{
    h2o_req_t *req = r->req;

    assert(r->state == REQUEST_OPEN && status >= 200);
    r->state = REQUEST_ANSWERED;
    conn_keep(r->conn);
    set_head(r, status, headers, n);
    h2o_add_header(&req->pool, &req->res.headers, H2O_TOKEN_CONTENT_TYPE, NULL,
                   H2O_STRLIT("text/plain; charset=utf-8"));
    req->res.content_length = strlen(text);
    h2o_send_inline(req, text, strlen(text));
}

/* 101 has been given to the kernel. Of the connection only the socket is left, or, when the client went away, nothing. */
static void on_upgraded(void *data, h2o_socket_t *sock, size_t head_len)
{
    struct upgrade u = *(struct upgrade *)data;
    struct stream_conn *stream = NULL;

    free(data);
    if (sock) {
        struct conn *c = sock->on_close.data;
        int fd = fcntl(h2o_socket_get_fd(sock), F_DUPFD_CLOEXEC, 3);
        if (fd < 0)
            log_error("%s: cannot upgrade a connection: %s: raise LimitNOFILE or close clients", u.server->name,
                      strerror(errno));
        else
            stream = conn_to_stream(c, fd, sock->input->bytes + head_len, sock->input->size - head_len);
        h2o_socket_close(sock); /* frees c */
    }
    u.on_open(u.data, stream);
}

void http_request_upgrade(struct http_request *r, const struct http_header *headers, size_t n,
                          void (*on_open)(void *data, struct stream_conn *c), void *data)
{
    struct upgrade *u = mem_new(struct upgrade);

    assert(r->state == REQUEST_OPEN && r->upgrade);
    r->state = REQUEST_UPGRADING;
    *u = (struct upgrade){r->conn->server, on_open, data};
    r->conn->upgrade = u;
    set_head(r, 101, headers, n);
    h2o_http1_upgrade(r->req, NULL, 0, on_upgraded, u);
}

/* ---- the server -------------------------------------------------------------------------------------------------- */

static int server_cert(const struct http_server_spec *spec, struct tls_cert **ret, struct err *err)
{
    struct tls_files files = {spec->tls_cert, spec->tls_key, spec->tls_client_ca};

    if (!spec->tls_cert && !spec->tls_key && !spec->tls_client_ca)
        return 0;
    if (!spec->tls_cert || !spec->tls_key)
        return err_set(err, GRPC_INVALID_ARGUMENT, 0,
                       "TLS: %s: give a certificate and its key, or neither of them and no client authority",
                       spec->tls_cert ? spec->tls_cert : (spec->tls_key ? spec->tls_key : spec->tls_client_ca));
    return tls_cert_new(&files, ret, err);
}

static void server_h2o(struct http_server *s, int header_timeout_s)
{
    s->nest = uv_nest_new(s->loop);
    h2o_socket_buffer_mmap_settings.threshold = SIZE_MAX; /* never a temporary file */
    h2o_config_init(&s->conf);
    s->conf.server_name = h2o_iovec_init(NULL, 0);
    s->conf.http1.upgrade_to_http2 = 0;
    s->conf.http1.req_timeout = (uint64_t)header_timeout_s * 1000;
    s->conf.max_request_entity_size = HTTP_BODY_MAX;
    /* the only host and path, so that every one is ours */
    h2o_hostconf_t *host = h2o_config_register_host(&s->conf, h2o_iovec_init(H2O_STRLIT("default")), 65535);
    h2o_pathconf_t *path = h2o_config_register_path(host, "/", 0);
    struct server_handler *h = (struct server_handler *)h2o_create_handler(path, sizeof(*h));
    h->super.on_req = on_h2o_request;
    h->server = s;
    h2o_context_init(&s->ctx, uv_nest_loop(s->nest), &s->conf);
    s->accept.ctx = &s->ctx;
    s->accept.hosts = s->conf.hosts;
}

int http_server_start(struct loop *l, const struct http_server_spec *spec, http_server_on_request *fn,
                      void *data, struct http_server **ret, struct err *err)
{
    struct tls_cert *cert = NULL;
    uint16_t port = 0;
    int fd = -1;
    int rc = server_cert(spec, &cert, err);

    if (rc < 0)
        return rc;
    rc = tcp_listen(spec->address, spec->port, &port, &fd, err);
    if (rc < 0) {
        tls_cert_free(cert);
        return rc;
    }
    struct http_server *s = mem_new(struct http_server);
    s->loop = l;
    s->cert = cert;
    s->port = port;
    s->on_request = fn;
    s->data = data;
    s->connections_max = (size_t)(spec->connections_max ? spec->connections_max : HTTP_CONNECTIONS_MAX);
    s->slots = mem_new(struct slots);
    snprintf(s->name, sizeof(s->name), strchr(spec->address, ':') ? "[%s]:%u" : "%s:%u", spec->address, port);
    server_h2o(s, spec->header_timeout_s ? spec->header_timeout_s : HTTP_HEADER_TIMEOUT_S);
    acceptor_start(&s->acceptor, l, fd, s->name, on_accept, s);
    *ret = s;
    return 0;
}

uint16_t http_server_port(const struct http_server *s)
{
    return s->port;
}

void http_server_stop_accepting(struct http_server *s)
{
    acceptor_stop(&s->acceptor);
}

/* Every answer that was begun is out. */
static bool answers_written(void *data)
{
    const struct http_server *s = data;

    for (const struct conn *c = s->conns; c; c = c->next)
        if (c->request && c->request->state == REQUEST_ANSWERED)
            return false;
    return true;
}

void http_server_free(struct http_server *s)
{
    if (!s)
        return;
    acceptor_stop(&s->acceptor);
    timer_stop(&s->gone_check);
    s->closing = true;
    uv_nest_settle(s->nest, answers_written, s, CLOSE_LIMIT_MS);
    for (struct conn *c = s->conns, *next; c; c = next) {
        next = c->next;
        if (c->relay) {
            tls_relay_cancel(c->relay);
            conn_free(c);
        } else {
            conn_close(c);
        }
    }
    h2o_context_dispose(&s->ctx);
    h2o_config_dispose(&s->conf);
    uv_nest_free(s->nest);
    tls_cert_free(s->cert);
    s->slots->orphan = true;
    s->slots->used++;
    slots_give(s->slots);
    free(s);
}
