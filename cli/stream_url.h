/* The URL that Exec, Attach and PortForward answer with: where the runtime's streaming server is, and the token. Pure. */
#pragma once
#include "core/err.h"
#include <stdbool.h>

enum { STREAM_HOST_SIZE = 256, STREAM_TARGET_SIZE = 2048 };

struct stream_url {
    bool tls;
    bool v6;                         /* host is a literal: in brackets where it is written */
    char host[STREAM_HOST_SIZE];     /* without brackets */
    char port[6];                    /* 1 to 65535; 80 or 443 where the URL has none */
    char target[STREAM_TARGET_SIZE]; /* path and query, fit for a request line */
};

/* Errors (INVALID_ARGUMENT) name the URL: another scheme, no host, a wrong port, bytes that no URL has, too long. */
int stream_url_parse(const char *url, struct stream_url *ret, struct err *err) must_check;
/* Adds "port=80" and the like to the target's query. */
int stream_url_add_query(struct stream_url *url, const char *query, struct err *err) must_check;
