/*
 * A pod's namespaces: made, set up and pinned by bind mounts in a forked child, so that the daemon never leaves its own.
 */
#pragma once
#include "core/buf.h"
#include "core/err.h"
#include "core/kv.h"
#include "loop/child.h"
#include "loop/loop.h"
#include <stdbool.h>

struct netns_spec {
    const char *dir;      /* pins are DIR/net, DIR/ipc, DIR/uts; made if missing, its parents, too */
    bool net, ipc, uts;   /* which to make; the others are the host's */
    const char *hostname; /* set in the new UTS namespace; NULL or "": stays */
    const struct kv_list
        *sysctls; /* written in the new namespaces: net.* needs net, kernel.* needs ipc or uts */
    const char *
        shm_dir; /* a tmpfs for /dev/shm is mounted here; NULL: none. Needs ipc for its owner, not for the mount */
    long shm_size; /* bytes; 0: 64 MiB */
};

typedef void netns_done_fn(void *data, const struct err *err); /* err NULL on success */

/*
 * Refuses a sysctl of a namespace that the pod does not own, with INVALID_ARGUMENT that names it. Names are written with
 * dots or with slashes: "net.ipv4.ip_forward", "net/ipv4/conf/eth0.100/forwarding" (sysctl(8): the first one decides).
 */
int netns_check_sysctls(const struct kv_list *sysctls, bool net, bool ipc, bool uts,
                        struct err *err) must_check;

/* Makes, sets up (lo is up in a new network namespace) and pins. On failure nothing of it is left. spec is read before it returns. */
int netns_pin(struct loop *l, const struct netns_spec *spec, netns_done_fn *on_done, void *data,
              struct err *err) must_check;

/* Unmounts the pins and shm_dir and removes them, and dir if that leaves it empty; what is not there is fine. Safe to repeat. */
int netns_unpin(struct loop *l, const char *dir, const char *shm_dir, netns_done_fn *on_done, void *data,
                struct err *err) must_check;

/*
 * Calls fn(arg, out_fd, err) in a forked child that has joined the namespace pinned at path. The rules of child_spec.run
 * hold for fn, and it has no descriptors but 0, 1, 2 and out_fd. It returns 0, or a negative errno with err filled, which
 * reaches on_done. What it writes to out_fd (at most 1 MiB) is `out`, which on_done may steal.
 */
typedef int netns_fn(void *arg, int out_fd, struct err *err);
typedef void netns_ran_fn(void *data, struct buf *out, const struct err *err); /* err NULL on success */

struct netns_run_spec {
    const char *path; /* pin of a network namespace: DIR/net */
    netns_fn *fn;
    void *arg;
    int timeout_ms;          /* 0: never; then DEADLINE_EXCEEDED */
    int stdin_fd, stdout_fd; /* > 0: fn has them as 0 and as out_fd; the caller keeps them. For port-forward */
};
/* ret_child, for child_cancel(), is valid until on_done. */
int netns_run(struct loop *l, const struct netns_run_spec *spec, netns_ran_fn *on_done, void *data,
              struct child **ret_child, struct err *err) must_check;
