/* The insides of a transfer, for http.c and for http_target.c, which says where it goes and whom it trusts. */
#pragma once
#include "core/buf.h"
#include "loop/dns.h"
#include "loop/http.h"
#include "loop/multi.h"

enum { HTTP_URL_MAX = 8192 };

struct http {
    struct loop *loop;
    struct dns *dns;
    struct multi *multi;
    struct http_transfer *transfers;
    char *ca_path, *ca_bundle; /* found at the first transfer */
    bool ca_found;
};

struct http_transfer {
    struct http *http;
    struct http_transfer *next;
    const struct http_events *events;
    void *data;

    char *method, *url, *authorization, *body;
    char *ca_file, *cert_file, *key_file;
    bool skip_verify;
    size_t body_len;
    int idle_seconds;

    CURL *easy; /* NULL while the name is asked for */
    struct dns_query *query;
    struct curl_slist *headers, *resolve;
    char *proxy; /* NULL: straight */
    char curl_message[CURL_ERROR_SIZE];
    char *host, *port; /* what is connected to: the URL's, or the proxy's */

    struct buf head; /* "Name: value" and a NUL each */
    int status;
    bool head_done, paused, cancelled, aborted, broken;
    char *location; /* of an answer that is followed */
    int redirects;
    size_t taken;  /* bytes of the chunk that libcurl will give again */
    uint64_t turn; /* of the loop, in which it had turn_bytes */
    size_t turn_bytes;
    size_t dropped;
    uint64_t bytes;
    int64_t moved_us;
    struct timer idle, soon, next_turn;
};

/* http_target.c: the certificates that it trusts and shows. */
void transfer_set_tls(struct http_transfer *t);
/* Fills host, port and proxy by the URL and the environment. */
int transfer_set_target(struct http_transfer *t, struct err *err) must_check;
bool host_is_address(const char *host);                        /* of either family, without brackets */
char *http_url_part(CURLU *u, CURLUPart part, unsigned flags); /* the caller frees; NULL: it has none */
