/*
 * The answer to a WebSocket upgrade request: its head, and whether it is the upgrade that was asked for. Pure; the bytes
 * are a server's and are not trusted. Source: RFC 9112 sections 4 and 5, RFC 6455 section 4.1.
 */
#pragma once
#include "core/err.h"
#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

enum {
    HTTP_HEAD_MAX = 16 * 1024, /* bytes of status line and headers */
    HTTP_VALUE_SIZE = 128,     /* of a header that counts here; a longer one is cut, and then fits nothing */
};

struct http_answer {
    int status;
    bool chunked;
    long length; /* Content-Length; -1: none, or none that is a number below 1 GB */
    char reason[HTTP_VALUE_SIZE];
    char upgrade[HTTP_VALUE_SIZE];
    char connection[HTTP_VALUE_SIZE];
    char accept[HTTP_VALUE_SIZE];     /* Sec-WebSocket-Accept */
    char protocol[HTTP_VALUE_SIZE];   /* Sec-WebSocket-Protocol */
    char extensions[HTTP_VALUE_SIZE]; /* Sec-WebSocket-Extensions */
};

/* The head's length with its empty line; 0 while that has not come; a negative errno when p is no HTTP answer. */
ssize_t http_answer_parse(const char *p, size_t n, struct http_answer *ret, struct err *err) must_check;

/* Whether a 101 is the upgrade asked for with this Sec-WebSocket-Key and this list of protocols. */
int http_answer_check(const struct http_answer *answer, const char *key, const char *protocols,
                      struct err *err) must_check;

/* Whether these are the first n bytes of a body that is whole: servers keep the connection open behind it. */
bool http_answer_body_is_whole(const struct http_answer *answer, const char *body, size_t n);

/* Another status than 101 as an error; body is the beginning of its text. Returns a negative errno, always. */
int http_answer_refusal(const struct http_answer *answer, const char *body, size_t n, struct err *err);
