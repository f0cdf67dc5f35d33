#include "handlers/streaming.h"
#include "core/log.h"
#include "core/mem.h"
#include "core/stream_tokens.h"
#include "handlers/record.h"
#include "loop/http_server.h"
#include "proto/channel.h"
#include "proto/websocket_handshake.h"

#include <arpa/inet.h>
#include <string.h>
#include <strings.h>

_Static_assert(countof(((struct stream_opening *)0)->ports) == CHANNEL_PORTS_MAX,
               "as many as a client may name");

struct streaming {
    struct daemon *daemon;
    struct http_server *server;
    struct stream_tokens *tokens;
    struct timer expiry; /* tokens that nobody came for */
    struct stream_session *sessions;
    size_t sessions_n;
    bool stopping;
};

/* ---- requests ------------------------------------------------------------------------------------------------------ */

struct stream_request *stream_request_new(const struct stream_kind *kind, const char *id)
{
    struct stream_request *r = mem_new(struct stream_request);

    r->kind = kind;
    r->id = mem_strdup(id);
    return r;
}

void stream_request_free(struct stream_request *r)
{
    if (!r)
        return;
    free(r->id);
    strings_free(r->cmd);
    free(r);
}

static void drop_request(void *value)
{
    stream_request_free(value);
}

static void on_expiry(void *data)
{
    struct streaming *s = data;

    if (stream_tokens_expire(s->tokens, time_monotonic_us()) > 0)
        timer_start(&s->expiry, s->daemon->loop, STREAM_TOKEN_S, on_expiry, s);
}

/* Everybody who may call us is on this host: an address that means "all" is reached by loopback. */
static char *url_of(const struct streaming *s, const char *kind, const char *token)
{
    const struct config *c = &s->daemon->config;
    const char *host = c->stream_address;

    if (strcmp(host, "0.0.0.0") == 0)
        host = "127.0.0.1";
    bool v6 = strchr(host, ':') != NULL;
    if (v6 && strcmp(host, "::") == 0)
        host = "::1";
    return mem_printf("%s://%s%s%s:%u/%s/%s", *c->stream_tls_cert ? "https" : "http", v6 ? "[" : "", host,
                      v6 ? "]" : "", http_server_port(s->server), kind, token);
}

static int keep_request(struct streaming *s, struct stream_request *request, char **ret_url, struct err *err)
{
    char token[STREAM_TOKEN_SIZE];
    int r = s->stopping ? err_set(err, GRPC_UNAVAILABLE, 0, "cricket is shutting down: try again")
                        : stream_tokens_add(s->tokens, time_monotonic_us(), request, token, err);

    if (r < 0) {
        stream_request_free(request);
        return r;
    }
    if (!timer_active(&s->expiry))
        timer_start(&s->expiry, s->daemon->loop, STREAM_TOKEN_S, on_expiry, s);
    *ret_url = url_of(s, request->kind->path, token);
    return 0;
}

void streaming_reply(struct rpc *rpc, struct stream_request *request, ProtobufCMessage *reply, char **url)
{
    struct err err;

    if (keep_request(rpc->daemon->streaming, request, url, &err) < 0) {
        rpc_fail(rpc, &err);
        return;
    }
    rpc_reply(rpc, reply);
    free(*url);
}

/* ---- HTTP ---------------------------------------------------------------------------------------------------------- */

/* What the reference server makes of an error's code. */
static int http_status_of(const struct err *err)
{
    switch (err->grpc) {
    case GRPC_NOT_FOUND:
        return 404;
    case GRPC_RESOURCE_EXHAUSTED:
        return 429;
    case GRPC_PERMISSION_DENIED:
        return 403;
    case GRPC_FAILED_PRECONDITION:
        return 426;
    case GRPC_UNAVAILABLE:
        return 503;
    default:
        return 400;
    }
}

/* The protocols that we would take, for a client whose offer has none of them (403); the version for one of another (426). */
static void refuse(struct http_request *r, const struct stream_kind *kind, const struct err *err)
{
    struct http_header headers[2];
    size_t n = 0;
    int status = http_status_of(err);
    cleanup_free char *accepted = kind ? stream_protocol_list(STREAM_SPDY, kind->use) : NULL;

    if (status == 403 && accepted)
        headers[n++] = (struct http_header){"X-Accepted-Stream-Protocol-Versions", accepted};
    if (status == 426)
        headers[n++] = (struct http_header){"Sec-WebSocket-Version", "13"};
    if (status == 429)
        headers[n++] = (struct http_header){"Retry-After", "60"};
    log_info("streaming: %d: %s", status, err->msg);
    http_request_answer(r, status, headers, n, err->msg);
}

/* "/exec/TOKEN": the request under the token, which is used up by that. */
static struct stream_request *take_request(struct streaming *s, const char *path)
{
    const char *slash = strrchr(path, '/');
    struct stream_request *r = NULL;

    if (slash && path[0] == '/')
        r = stream_tokens_take(s->tokens, time_monotonic_us(), slash + 1, strlen(slash + 1));
    if (!r)
        return NULL;
    size_t n = strlen(r->kind->path);
    if (slash == path + 1 + n && memcmp(path + 1, r->kind->path, n) == 0)
        return r;
    stream_request_free(r); /* another kind's: guessing gives nothing away, and costs the token */
    return NULL;
}

static void opening_free(struct stream_opening *o)
{
    stream_request_free(o->request);
    free(o);
}

static void on_upgraded(void *data, struct stream_conn *conn)
{
    struct stream_opening *o = data;

    if (conn && o->daemon->streaming->stopping) {
        stream_conn_free(conn);
        conn = NULL;
    }
    o->conn = conn;
    if (conn)
        o->request->kind->open(o);
    opening_free(o);
}

static void upgrade_spdy(struct http_request *r, struct stream_opening *o)
{
    const struct stream_kind *kind = o->request->kind;
    struct err err;

    if (stream_protocol_choose(STREAM_SPDY, kind->use, http_request_header(r, "x-stream-protocol-version"),
                               &o->protocol, &err) < 0) {
        refuse(r, kind, &err);
        opening_free(o);
        return;
    }
    const struct http_header headers[] = {{"Upgrade", "SPDY/3.1"},
                                          {"X-Stream-Protocol-Version", o->protocol->name}};
    http_request_upgrade(r, headers, countof(headers), on_upgraded, o);
}

static int check_websocket(struct http_request *r, struct stream_opening *o,
                           char accept[static WEBSOCKET_ACCEPT_SIZE], struct err *err)
{
    const struct websocket_request request = {
        .upgrade = http_request_upgrade_to(r),
        .connection = "upgrade", /* http_request_upgrade_to() has seen to it */
        .version = http_request_header(r, "sec-websocket-version"),
        .key = http_request_header(r, "sec-websocket-key"),
    };

    if (strcmp(http_request_method(r), "GET") != 0)
        return err_set(err, GRPC_INVALID_ARGUMENT, 0, "WebSocket handshake: the method must be GET");
    if (websocket_handshake(&request, accept, err) < 0 ||
        stream_protocol_choose(STREAM_WEBSOCKET, o->request->kind->use,
                               http_request_header(r, "sec-websocket-protocol"), &o->protocol, err) < 0)
        return err_errno(err);
    if (o->request->kind->use == STREAM_PORTS && !o->protocol->tunnel)
        return channel_ports_parse(http_request_query(r), o->ports, &o->ports_n, err);
    return 0;
}

static void upgrade_websocket(struct http_request *r, struct stream_opening *o)
{
    char accept[WEBSOCKET_ACCEPT_SIZE];
    struct err err;

    if (check_websocket(r, o, accept, &err) < 0) {
        refuse(r, NULL, &err);
        opening_free(o);
        return;
    }
    const struct http_header headers[] = {{"Upgrade", "websocket"},
                                          {"Sec-WebSocket-Accept", accept},
                                          {"Sec-WebSocket-Protocol", o->protocol->name}};
    http_request_upgrade(r, headers, countof(headers) - (o->protocol->name[0] ? 0 : 1), on_upgraded, o);
}

/* Before the token is looked at, so that one that cannot be served now can be used later. */
static int check_request(const struct streaming *s, struct http_request *r, struct err *err)
{
    const char *method = http_request_method(r);

    if (s->stopping)
        return err_set(err, GRPC_UNAVAILABLE, 0, "cricket is shutting down: ask for another URL");
    if (strcmp(method, "GET") != 0 && strcmp(method, "POST") != 0)
        return err_set(err, GRPC_NOT_FOUND, 0,
                       "nothing is here for this method: GET or POST a URL of Exec, Attach or "
                       "PortForward");
    if (s->sessions_n >= STREAM_SESSIONS_MAX)
        return err_set(err, GRPC_RESOURCE_EXHAUSTED, 0,
                       "%d streaming sessions are open: try again when one of them has ended",
                       STREAM_SESSIONS_MAX);
    return 0;
}

static void on_request(void *data, struct http_request *r)
{
    struct streaming *s = data;
    struct stream_request *request;
    struct err err;

    if (check_request(s, r, &err) < 0) {
        refuse(r, NULL, &err);
        return;
    }
    if (!(request = take_request(s, http_request_path(r)))) {
        err_set(&err, GRPC_NOT_FOUND, 0,
                "no such token: each is good for one connection within %d s; ask for another URL",
                STREAM_TOKEN_S);
        refuse(r, NULL, &err);
        return;
    }
    struct stream_opening *o = mem_new(struct stream_opening);
    o->daemon = s->daemon;
    o->request = request;
    const char *to = http_request_upgrade_to(r);
    if (to && strcasecmp(to, "SPDY/3.1") == 0) {
        upgrade_spdy(r, o);
    } else if (to && header_has_token(to, "websocket")) {
        upgrade_websocket(r, o);
    } else {
        err_set(
            &err, GRPC_INVALID_ARGUMENT, 0,
            "unable to upgrade: the headers must say Connection: Upgrade and Upgrade: SPDY/3.1 or websocket");
        refuse(r, NULL, &err);
        opening_free(o);
    }
}

/* ---- sessions ------------------------------------------------------------------------------------------------------ */

static void on_idle(void *data)
{
    struct stream_session *s = data;
    const struct daemon *d = s->streaming->daemon;
    uint64_t bytes = stream_conn_bytes(s->conn);
    struct err err;

    if (bytes != s->bytes) {
        s->bytes = bytes;
        timer_start(&s->idle, d->loop, d->config.stream_idle_timeout_s, on_idle, s);
        return;
    }
    err_set(&err, GRPC_DEADLINE_EXCEEDED, 0, "no byte has moved for %d s (streaming.idle_timeout_s)",
            d->config.stream_idle_timeout_s);
    s->end(s, &err);
}

void stream_session_start(struct stream_session *s, struct daemon *d, struct stream_conn *conn)
{
    struct streaming *t = d->streaming;

    s->next = t->sessions;
    s->streaming = t;
    s->conn = conn;
    if (s->next)
        s->next->prev = s;
    t->sessions = s;
    t->sessions_n++;
    timer_start(&s->idle, d->loop, d->config.stream_idle_timeout_s, on_idle, s);
}

void stream_session_done(struct stream_session *s)
{
    struct streaming *t = s->streaming;

    timer_stop(&s->idle);
    if (s->prev)
        s->prev->next = s->next;
    else
        t->sessions = s->next;
    if (s->next)
        s->next->prev = s->prev;
    t->sessions_n--;
}

/* ---- life ---------------------------------------------------------------------------------------------------------- */

int streaming_start(struct daemon *d, struct err *err)
{
    const struct config *c = &d->config;
    struct streaming *s = mem_new(struct streaming);
    struct http_server_spec spec = {
        .address = c->stream_address,
        .port = (uint16_t)c->stream_port,
        .tls_cert = *c->stream_tls_cert ? c->stream_tls_cert : NULL,
        .tls_key = *c->stream_tls_key ? c->stream_tls_key : NULL,
        .tls_client_ca = *c->stream_tls_client_ca ? c->stream_tls_client_ca : NULL,
    };

    s->daemon = d;
    s->tokens = stream_tokens_new(drop_request);
    d->streaming = s;
    if (http_server_start(d->loop, &spec, on_request, s, &s->server, err) < 0)
        return err_wrap(err, "streaming");
    return 0;
}

void streaming_stop(struct streaming *s)
{
    struct err err;

    s->stopping = true;
    http_server_stop_accepting(s->server);
    err_set(&err, GRPC_UNAVAILABLE, 0, "cricket is shutting down");
    for (struct stream_session *at = s->sessions, *next; at; at = next) {
        next = at->next;
        at->end(at, &err);
    }
}

bool streaming_idle(const struct streaming *s)
{
    return s->sessions_n == 0;
}

void streaming_free(struct streaming *s)
{
    if (!s)
        return;
    while (s->sessions)
        s->sessions->drop(s->sessions);
    timer_stop(&s->expiry);
    http_server_free(s->server);
    stream_tokens_free(s->tokens);
    free(s);
}
