/*
 * A pod's namespaces: made, set up and pinned by bind mounts in a forked child, so that the daemon never leaves its own.
 */
#pragma once
#include "core/err.h"
#include "core/kv.h"
#include "loop/loop.h"
#include <stdbool.h>

struct netns_spec {
    const char *dir;      /* pins are DIR/net, DIR/ipc, DIR/uts; made if missing */
    bool net, ipc, uts;   /* which to make; the others are the host's */
    const char *hostname; /* set in the new UTS namespace */
    const struct kv_list *sysctls; /* written in the new namespaces: net.* needs net, kernel.* needs ipc or uts */
    const char *shm_dir;  /* a tmpfs for /dev/shm is mounted here; NULL: none. Needs ipc for its owner, not for the mount */
    long shm_size;        /* bytes */
};

typedef void netns_done_fn(void *data, const struct err *err); /* err NULL on success */

/* Refuses a sysctl of a namespace that the pod does not own, with INVALID_ARGUMENT that names it. Brings lo up by netlink. */
int netns_check_sysctls(const struct kv_list *sysctls, bool net, bool ipc, bool uts, struct err *err) must_check;
int netns_pin(struct loop *l, const struct netns_spec *spec, netns_done_fn *on_done, void *data, struct err *err) must_check;

/* Unmounts the pins and shm_dir and removes them; what is not there is fine. Safe to repeat. */
int netns_unpin(struct loop *l, const char *dir, const char *shm_dir, netns_done_fn *on_done, void *data, struct err *err) must_check;
