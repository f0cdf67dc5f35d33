/*
 * The tokens in the URLs that Exec, Attach and PortForward give out: each is good for one request within a minute. Pure: the
 * caller says what time it is.
 */
#pragma once
#include "core/err.h"
#include <stddef.h>
#include <stdint.h>

enum {
    STREAM_TOKEN_LEN = 32, /* hexadecimal digits: 128 bits of getrandom(2) */
    STREAM_TOKEN_SIZE = STREAM_TOKEN_LEN + 1,
    STREAM_TOKENS_MAX = 1000,
    STREAM_TOKEN_S = 60, /* how long one is good */
};

struct stream_tokens;

/* drop(value) is called for what nobody came for. */
struct stream_tokens *stream_tokens_new(void (*drop)(void *value));
void stream_tokens_free(struct stream_tokens *t); /* drops what is left; NULL is fine */

/* now_us is monotonic. Keeps value under a new token. RESOURCE_EXHAUSTED: STREAM_TOKENS_MAX are there; the value stays the
 * caller's. */
int stream_tokens_add(struct stream_tokens *t, int64_t now_us, void *value,
                      char ret_token[static STREAM_TOKEN_SIZE], struct err *err) must_check;

/* Gives the value back, which is the caller's from now on; NULL for a token that is unknown, used or too old. The time that
 * the comparison takes does not tell how much of a token is right. */
void *stream_tokens_take(struct stream_tokens *t, int64_t now_us, const char *token, size_t len);

/* Drops those that are too old; how many are left. */
size_t stream_tokens_expire(struct stream_tokens *t, int64_t now_us);
