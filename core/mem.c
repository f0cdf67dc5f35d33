#define MEM_IMPLEMENTATION
#include "core/mem.h"

#include <string.h>

void *mem_alloc(size_t size)
{
    void *p = calloc(1, size ? size : 1);
    if (!p)
        abort();
    return p;
}

void *mem_realloc(void *p, size_t size)
{
    p = realloc(p, size ? size : 1);
    if (!p)
        abort();
    return p;
}

void *mem_grow(void *array, size_t *cap, size_t want, size_t item)
{
    size_t now = *cap;

    if (array && want <= now)
        return array;
    size_t next = now ? now : 4;
    while (next < want)
        next *= 2;
    array = mem_realloc(array, next * item);
    memset((char *)array + now * item, 0, (next - now) * item);
    *cap = next;
    return array;
}

char *mem_strdup(const char *s)
{
    return s ? mem_strndup(s, strlen(s)) : NULL;
}

char *mem_strndup(const char *s, size_t n)
{
    char *p = mem_alloc(n + 1);
    memcpy(p, s, n);
    return p;
}

void *mem_dup(const void *s, size_t n)
{
    void *p = mem_alloc(n);
    if (n)
        memcpy(p, s, n);
    return p;
}

char *mem_vprintf(const char *fmt, va_list ap)
{
    char *s;

    if (vasprintf(&s, fmt, ap) < 0)
        abort();
    return s;
}

char *mem_printf(const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    char *s = mem_vprintf(fmt, ap);
    va_end(ap);
    return s;
}
