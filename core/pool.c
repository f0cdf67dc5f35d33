#include "core/pool.h"
#include "core/mem.h"

#include <stdarg.h>

void *pool_keep(struct pool *p, void *malloced)
{
    p->blocks = mem_grow(p->blocks, &p->cap, p->n + 1, sizeof(*p->blocks));
    p->blocks[p->n++] = malloced;
    return malloced;
}

void *pool_alloc(struct pool *p, size_t size)
{
    return pool_keep(p, mem_alloc(size));
}

char *pool_strdup(struct pool *p, const char *s)
{
    return s ? pool_keep(p, mem_strdup(s)) : NULL;
}

char *pool_printf(struct pool *p, const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    char *s = mem_vprintf(fmt, ap);
    va_end(ap);
    return pool_keep(p, s);
}

void pool_done(struct pool *p)
{
    for (size_t i = 0; i < p->n; i++)
        free(p->blocks[i]);
    free(p->blocks);
    *p = (struct pool){0};
}
