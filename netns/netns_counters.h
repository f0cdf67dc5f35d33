/* The counters of the interfaces of pods, read inside their network namespaces by one forked child. */
#pragma once
#include "core/err.h"
#include "core/net_dev.h"
#include "loop/loop.h"

enum { NETNS_INTERFACES_MAX = 8 }; /* of a pod; more are left out */

struct netns_counters {
    size_t n; /* 0: the pin is gone or is none */
    struct net_dev devs[NETNS_INTERFACES_MAX];
};

/* err NULL on success: one for each path, in their order; the callee frees the array. */
typedef void netns_counters_fn(void *data, struct netns_counters *counters, const struct err *err);

/* paths: n pins of network namespaces. on_done comes once, later. The strings are copied by fork(2). */
int netns_counters_read(struct loop *l, const char *const *paths, size_t n, netns_counters_fn *on_done,
                        void *data, struct err *err) must_check;
