/*
 * HTTP(S) requests on the loop, for registries: libcurl does the protocol, loop/dns.h the names, so that there is never a
 * thread. HTTP/1.1 only: there the socket's own window is the back-pressure, while HTTP/2 would buffer up to 32 MiB a
 * transfer in memory.
 *
 *   http_start          address          answer to follow, at most 5 times
 *  ------------> names ---------> moving ---------------------------------> names
 *                  | error           | end, error, idle, http_cancel
 *                  '-----------------'------> ended: on_done, once
 *
 * The proxy environment is honoured (core/proxy_env.h). A redirect from https to http is refused; one to another origin
 * goes without the Authorization header and the client certificate. Server certificates are checked against the system's
 * and, where given, ca_file's authorities.
 */
#pragma once
#include "core/err.h"
#include "loop/loop.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    HTTP_REDIRECTS_MAX = 5,
    HTTP_HEADERS_MAX = 64 << 10, /* bytes of one answer's */
    HTTP_CONNECT_SECONDS = 10,   /* for the name, and for TCP and TLS */
    HTTP_IDLE_SECONDS = 60,      /* where the request says nothing */
};

struct http;
struct http_transfer;

struct http_tls {
    const char *ca_file, *cert_file, *key_file; /* PEM; NULL: none */
    bool skip_verify;
};

struct http_fetch {     /* all of it is copied */
    const char *method; /* NULL: GET, or POST with a body */
    const char *url;
    const char *const *headers; /* "Accept: text/plain", NULL-terminated; NULL: none */
    const char *authorization;  /* "Basic dTpw", "Bearer ..."; NULL: none */
    struct http_tls tls;
    const void *body;
    size_t body_len;
    int idle_seconds; /* no byte moved for that long, while the receiver wanted some: UNAVAILABLE. 0: the default */
};

struct http_result {
    int status;      /* of the last answer; 0 when none came */
    uint64_t bytes;  /* of its body, as far as on_body took them */
    bool retry;      /* the failure may pass: refused, reset, cut off, timed out */
    bool tls_failed; /* the peer does not speak TLS, or not ours */
    struct err err;  /* GRPC_OK: the answer is complete, whatever its status */
};

enum { HTTP_ABORT = -1 };

struct http_events { /* any may be NULL */
    /* The answer's status and headers are known; not called for redirects that are followed. */
    void (*on_headers)(void *data, struct http_transfer *t);
    /* Takes up to n bytes and returns how many. Fewer than n stop the transfer until http_resume(), after which the rest
     * comes again. HTTP_ABORT ends it with CANCELLED. */
    ssize_t (*on_body)(void *data, const void *p, size_t n);
    /* The last that is heard of the transfer. */
    void (*on_done)(void *data, const struct http_result *r);
};

struct http *http_new(struct loop *l, const char *dns_servers); /* servers: see dns_new() */
void http_free(
    struct http *h); /* drops transfers without a call; not from inside a callback of one. NULL is fine */

/* INVALID_ARGUMENT for a URL that is not http or https. */
int http_start(struct http *h, const struct http_fetch *r, const struct http_events *events, void *data,
               struct http_transfer **ret_transfer, struct err *err) must_check;
void http_resume(struct http_transfer *t); /* may call on_body before it returns */
void http_cancel(
    struct http_transfer *t); /* on_done still comes, with CANCELLED; on_headers and on_body do not */

int http_status(const struct http_transfer *t);
/* The n-th header (from 0) of that name, without surrounding blanks; NULL past the last. Lives until on_done returned. */
const char *http_header(const struct http_transfer *t, const char *name, size_t nth);

bool http_idle(const struct http *h); /* neither connections nor TLS state in memory: for the tests */
