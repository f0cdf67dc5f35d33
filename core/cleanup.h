/*
 * Scope-bound release of memory, descriptors and streams.
 *
 * A cleanup attribute guards what dies with the function. It never guards what must survive a wait (FLOW_WAIT): that
 * belongs to the flow or the store.
 */
#pragma once
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static inline void cleanup_free_fn(void *p)
{
    free(*(void **)p);
}

static inline void cleanup_close_fn(int *fd)
{
    if (*fd >= 0)
        close(*fd);
}

static inline void cleanup_fclose_fn(FILE **f)
{
    if (*f)
        fclose(*f);
}

#define cleanup_free   __attribute__((cleanup(cleanup_free_fn)))
#define cleanup_close  __attribute__((cleanup(cleanup_close_fn)))
#define cleanup_fclose __attribute__((cleanup(cleanup_fclose_fn)))
/* cleanup_with(f): calls f(&variable) at the end of the scope */
#define cleanup_with(f) __attribute__((cleanup(f)))

/* Hands ownership out of a guarded variable. */
static inline int steal_fd(int *fd)
{
    int r = *fd;
    *fd = -1;
    return r;
}

static inline void *steal_ptr_fn(void *p)
{
    void *r = *(void **)p;
    *(void **)p = NULL;
    return r;
}
#define steal_ptr(p) ((__typeof__(*(p)))steal_ptr_fn(p))
/* Frees and forgets: free_ptr(&x->name). */
#define free_ptr(p) free(steal_ptr_fn(p))

#define must_check        __attribute__((warn_unused_result))
#define printf_like(f, a) __attribute__((format(printf, f, a)))
#define countof(a)        (sizeof(a) / sizeof((a)[0]))
