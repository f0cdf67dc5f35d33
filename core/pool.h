/* Memory that is freed all at once: for building one thing out of many strings. */
#pragma once
#include "core/cleanup.h"
#include <stddef.h>

struct pool {
    void **blocks;
    size_t n, cap;
};

void *pool_alloc(struct pool *p, size_t size);    /* zeroed */
char *pool_strdup(struct pool *p, const char *s); /* NULL gives NULL */
char *pool_printf(struct pool *p, const char *fmt, ...) printf_like(2, 3);
void *pool_keep(struct pool *p, void *malloced); /* takes it over; gives it back for use */
void pool_done(struct pool *p);
