/*
 * The HTTP/1.1 server for Exec, Attach and PortForward: libh2o 2.2.5 reads the request's head, our caller looks at it and
 * either answers in plain words or upgrades, and then owns a raw stream (loop/stream_conn.h) that h2o has let go of.
 *
 *   accepted --TLS handshake (loop/tls_relay.h)--> reading the head --> request --http_request_answer()--> answered, closed
 *                 | 10 s                           | header_timeout_s     |  '---http_request_upgrade()--> 101, on_open
 *                 '--> closed                      '--> closed            '--client gone--> on_gone
 *
 * One request a connection, never HTTP/2. What is no request is answered 400, a head above HTTP_HEAD_MAX 431, a body above
 * HTTP_BODY_MAX 413 by the server itself; a smaller body is read and dropped. Connections above connections_max are closed
 * at once, so that the client gets an error rather than a silence that may last for hours.
 *
 * Memory: 35 KiB a server; about 14 KiB a connection until it is upgraded or answered, at most 3 * HTTP_HEAD_MAX; then a
 * stream_conn's. TLS: loop/tls_relay.h. TCP_NODELAY is set, and keep-alive probes find a dead peer host within two minutes.
 *
 * The process ignores SIGPIPE, for libuv.
 */
#pragma once
#include "core/err.h"
#include "loop/loop.h"
#include "loop/stream_conn.h"
#include <stddef.h>
#include <stdint.h>

enum {
    HTTP_HEAD_MAX = 64 << 10, /* bytes; up to half of it is always taken. And h2o takes 100 headers */
    HTTP_BODY_MAX = 4 << 10,
    HTTP_HEADER_TIMEOUT_S = 10,
    HTTP_CONNECTIONS_MAX = 2048,
    HTTP_GONE_CHECK_S = 1,
};

struct http_server;
struct http_request;

struct http_server_spec { /* all of it is copied */
    const char *address;  /* numeric: "127.0.0.1", "::1", "0.0.0.0" */
    uint16_t port;        /* 0: any free one */
    const char *tls_cert; /* PEM files, both or neither; see loop/tls_cert.h */
    const char *tls_key;
    const char *tls_client_ca; /* PEM; NULL: clients need no certificate */
    int header_timeout_s;      /* from the first moment to the whole request; 0: HTTP_HEADER_TIMEOUT_S */
    int connections_max;       /* open TCP connections, upgraded ones included; 0: HTTP_CONNECTIONS_MAX */
};

/* Called when a request is there. It is answered or upgraded once, here or later in the loop. */
typedef void http_server_on_request(void *data, struct http_request *r);

/* INVALID_ARGUMENT for a bad address and for certificate files that cannot be used, ALREADY_EXISTS for a port that is taken. */
int http_server_start(struct loop *l, const struct http_server_spec *spec, http_server_on_request *fn,
                      void *data, struct http_server **ret, struct err *err) must_check;
uint16_t http_server_port(const struct http_server *s);
/* Closes the listening socket. Requests that are there go on. */
void http_server_stop_accepting(struct http_server *s);
/*
 * Closes everything that is not upgraded: open requests hear on_gone, upgrades under way on_open, before it returns.
 * Streams that are open live on by themselves. Not from inside one of the server's callbacks. NULL is fine.
 */
void http_server_free(struct http_server *s);

/* Strings live as long as the request: until it is answered or upgraded, or on_gone has returned. */
const char *http_request_method(const struct http_request *r);
const char *http_request_path(const struct http_request *r);  /* as sent, without the query */
const char *http_request_query(const struct http_request *r); /* behind the '?'; "" if none */
/* Repeated ones joined by ", "; NULL when absent. Upgrade is seen by http_request_upgrade_to() alone; Content-Length,
 * Transfer-Encoding and Expect, which h2o has dealt with, are not seen. */
const char *http_request_header(struct http_request *r, const char *lower_name);
/* The value of Upgrade if Connection names upgrade and the client speaks HTTP/1.1, else NULL. */
const char *http_request_upgrade_to(struct http_request *r);

/* Who does not answer inside on_request sets this: the client went away or the server is being freed, and the request is
 * gone when fn returns: it must not be answered any more. Noticed within HTTP_GONE_CHECK_S. */
void http_request_on_gone(struct http_request *r, void (*fn)(void *data), void *data);

struct http_header {
    const char *name, *value;
};
/* Ends the request: text/plain (some KiB at most), and the connection closes after it. The header's words are ours: they are
 * not checked for line ends. */
void http_request_answer(struct http_request *r, int status, const struct http_header *headers, size_t n,
                         const char *text);
/*
 * Ends the request with 101 and these headers; "Connection: upgrade" is added, Upgrade is the caller's. Only if
 * http_request_upgrade_to() is not NULL. Then on_open comes, once, from the loop: with a conn that is paused and waits for
 * stream_conn_start(), holding what the client had sent behind its head; or with NULL if the client went away meanwhile.
 */
void http_request_upgrade(struct http_request *r, const struct http_header *headers, size_t n,
                          void (*on_open)(void *data, struct stream_conn *c), void *data);
