#include "core/stream_tokens.h"
#include "core/ids.h"
#include "core/mem.h"

#include <openssl/crypto.h>
#include <string.h>
#include <sys/random.h>

struct token {
    char text[STREAM_TOKEN_SIZE];
    int64_t until_us;
    void *value;
};

/* In the order in which they were made, which is that in which they grow old. */
struct stream_tokens {
    void (*drop)(void *value);
    struct token *items;
    size_t n, cap;
};

struct stream_tokens *stream_tokens_new(void (*drop)(void *value))
{
    struct stream_tokens *t = mem_new(struct stream_tokens);

    t->drop = drop;
    return t;
}

/* An idle daemon keeps no array. */
static void forget(struct stream_tokens *t, size_t from, size_t n)
{
    memmove(t->items + from, t->items + from + n, (t->n - from - n) * sizeof(*t->items));
    t->n -= n;
    if (t->n == 0) {
        free_ptr(&t->items);
        t->cap = 0;
    }
}

void stream_tokens_free(struct stream_tokens *t)
{
    if (!t)
        return;
    for (size_t i = 0; i < t->n; i++)
        t->drop(t->items[i].value);
    free(t->items);
    free(t);
}

size_t stream_tokens_expire(struct stream_tokens *t, int64_t now_us)
{
    size_t old = 0;

    while (old < t->n && t->items[old].until_us <= now_us)
        t->drop(t->items[old++].value);
    if (old)
        forget(t, 0, old);
    return t->n;
}

int stream_tokens_add(struct stream_tokens *t, int64_t now_us, void *value,
                      char ret_token[static STREAM_TOKEN_SIZE], struct err *err)
{
    unsigned char raw[STREAM_TOKEN_LEN / 2];

    if (stream_tokens_expire(t, now_us) >= STREAM_TOKENS_MAX)
        return err_set(
            err, GRPC_RESOURCE_EXHAUSTED, 0,
            "%d streaming requests wait for their clients already: connect to their URLs, or try again "
            "within %d s",
            STREAM_TOKENS_MAX, STREAM_TOKEN_S);
    if (getrandom(raw, sizeof(raw), 0) != sizeof(raw))
        abort();
    t->items = mem_grow(t->items, &t->cap, t->n + 1, sizeof(*t->items));
    struct token *token = &t->items[t->n++];
    hex_of(raw, sizeof(raw), token->text);
    token->until_us = now_us + STREAM_TOKEN_S * 1000000LL;
    token->value = value;
    memcpy(ret_token, token->text, STREAM_TOKEN_SIZE);
    return 0;
}

void *stream_tokens_take(struct stream_tokens *t, int64_t now_us, const char *token, size_t len)
{
    size_t found = SIZE_MAX;

    stream_tokens_expire(t, now_us);
    if (len != STREAM_TOKEN_LEN)
        return NULL;
    for (size_t i = 0; i < t->n; i++) /* all of them, whichever it is */
        if (CRYPTO_memcmp(t->items[i].text, token, STREAM_TOKEN_LEN) == 0)
            found = i;
    if (found == SIZE_MAX)
        return NULL;
    void *value = t->items[found].value;
    forget(t, found, 1);
    return value;
}
