#include "core/buf.h"
#include "core/mem.h"

#include <stdarg.h>
#include <string.h>

void buf_done(struct buf *b)
{
    free(b->data);
    b->data = NULL;
    b->len = b->cap = 0;
    b->truncated = false;
}

void buf_add(struct buf *b, const void *p, size_t n)
{
    if (b->max && n > b->max - b->len) {
        n = b->max - b->len;
        b->truncated = true;
    }
    if (n == 0)
        return;
    b->data = mem_grow(b->data, &b->cap, b->len + n + 1, 1);
    memcpy(b->data + b->len, p, n);
    b->len += n;
    b->data[b->len] = '\0';
}

void buf_adds(struct buf *b, const char *s)
{
    buf_add(b, s, strlen(s));
}

void buf_addf(struct buf *b, const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    cleanup_free char *s = mem_vprintf(fmt, ap);
    va_end(ap);
    buf_adds(b, s);
}

char *buf_steal(struct buf *b)
{
    char *p = b->data ? b->data : mem_strdup("");
    b->data = NULL;
    b->len = b->cap = 0;
    return p;
}
