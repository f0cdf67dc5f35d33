/* Allocation that aborts when there is no memory: every size that comes from outside has a limit before it gets here. */
#pragma once
#include "core/cleanup.h"
#include <stdarg.h>
#include <stddef.h>

#define never_null __attribute__((returns_nonnull))

void *mem_alloc(size_t size) never_null;            /* zeroed; size 0 gives a pointer that may be freed */
void *mem_realloc(void *p, size_t size) never_null; /* not zeroed */
void *mem_grow(void *array, size_t *cap, size_t want,
               size_t item);     /* doubles *cap until it is >= want; new part zeroed */
char *mem_strdup(const char *s); /* NULL gives NULL */
char *mem_strndup(const char *s, size_t n) never_null;
void *mem_dup(const void *p, size_t n) never_null;
char *mem_printf(const char *fmt, ...) never_null printf_like(1, 2);
char *mem_vprintf(const char *fmt, va_list ap) never_null printf_like(1, 0);
#define mem_new(type) ((type *)mem_alloc(sizeof(type)))

/* The analyzer of LLVM 14 does not believe returns_nonnull. */
#if defined(__clang_analyzer__) && !defined(MEM_IMPLEMENTATION)
static inline void *mem_believe(void *p)
{
    if (!p)
        __builtin_unreachable();
    return p;
}
#define mem_alloc(size)          mem_believe((mem_alloc)(size))
#define mem_realloc(p, size)     mem_believe((mem_realloc)((p), (size)))
#define mem_grow(a, c, want, it) mem_believe((mem_grow)((a), (c), (want), (it)))
#define mem_strndup(s, n)        ((char *)mem_believe((mem_strndup)((s), (n))))
#define mem_dup(p, n)            mem_believe((mem_dup)((p), (n)))
#define mem_vprintf(fmt, ap)     ((char *)mem_believe((mem_vprintf)((fmt), (ap))))
#define mem_printf(...)          ((char *)mem_believe((mem_printf)(__VA_ARGS__)))
#endif
