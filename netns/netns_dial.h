/*
 * TCP sockets inside a pod's network namespace, without being there: a forked child enters, makes them, and passes them
 * back. A socket stays in the namespace in which it was made, so that the daemon can connect it from where it is.
 */
#pragma once
#include "core/err.h"
#include "loop/loop.h"
#include <stddef.h>

enum { NETNS_SOCKETS_MAX = 64 }; /* pairs of one child */

struct netns_socket_pair {
    int v4, v6; /* non-blocking, unconnected; -1 where the namespace lacks the family */
};

/* err NULL on success: n pairs, which are the callee's; else n is 0. */
typedef void netns_sockets_fn(void *data, struct netns_socket_pair *pairs, size_t n, const struct err *err);

/*
 * path is the pin of a network namespace, NULL is the daemon's own (no child then). n is 1 to NETNS_SOCKETS_MAX: one child
 * for all of them. Errors through on_done: NOT_FOUND (the pin is gone), FAILED_PRECONDITION (it is none), RESOURCE_EXHAUSTED
 * (descriptors), INTERNAL.
 */
int netns_sockets(struct loop *l, const char *path, size_t n, netns_sockets_fn *on_done, void *data,
                  struct err *err) must_check;
