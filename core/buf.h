/* A growing byte buffer with a limit; always NUL-terminated behind len, so that text in it can be read as a string. */
#pragma once
#include "core/cleanup.h"
#include <stdbool.h>
#include <stddef.h>

struct buf {
    char *data; /* NULL while empty */
    size_t len;
    size_t cap;
    size_t max;     /* bytes it may hold; 0 means no limit */
    bool truncated; /* something did not fit and was dropped */
};

void buf_done(struct buf *b);                         /* frees; the buffer can be used again */
void buf_add(struct buf *b, const void *p, size_t n); /* what exceeds max is dropped and truncated is set */
void buf_adds(struct buf *b, const char *s);
void buf_addf(struct buf *b, const char *fmt, ...) printf_like(2, 3);
char *buf_steal(struct buf *b); /* the caller frees; "" rather than NULL when empty */
#define cleanup_buf cleanup_with(buf_done)
