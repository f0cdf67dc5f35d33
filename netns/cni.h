/*
 * CNI: network configuration lists and their plugins, run by exec. Specification 1.0.0 (and results of 0.3.x to 1.1.0).
 */
#pragma once
#include "core/cni_conf.h"
#include "core/cni_result.h"
#include "core/err.h"
#include "loop/loop.h"

struct cni;

struct cni_attach {
    const char *container_id;                       /* the pod's id */
    const char *netns;                              /* path */
    const char *ifname;                             /* eth0 */
    const char *pod_name, *pod_namespace, *pod_uid; /* K8S_POD_* of CNI_ARGS */
    const struct cni_port_mapping *ports;
    size_t ports_n;
    const struct cni_dns_config *dns; /* capability dns; NULL */
    const char *cgroup_path;          /* capability cgroupPath; NULL */
    const struct kv_list
        *annotations; /* of the pod: capability io.kubernetes.cri.pod-annotations; ingress/egress bandwidth */
    int timeout_ms;   /* for all plugins of an ADD or DEL together; 0: 60 s each */
};

/* conf_dir's first usable file (sorted by name) is the network; with no file there and a default subnet, a built-in bridge
 * list. Files are read again when one of them changed: asked on each cni_network(). cache_dir (STATE/cni; made if missing,
 * but not its parents) holds the results for DEL, and the addresses of the built-in network, whose bridge is named after
 * STATE. Several may share a cache_dir. bin_dirs is NULL-terminated. Everything is copied. Operations end before cni_free(). */
struct cni *cni_new(struct loop *l, const char *conf_dir, char *const *bin_dirs,
                    const char *default_subnet /* NULL: none */, const char *cache_dir);
void cni_free(struct cni *c);

/* NULL with the reason in err (what to put where) when no configuration is usable or a plugin of it is not installed:
 * NetworkReady=false. Valid until the next call. */
const struct cni_conf *cni_network(struct cni *c, struct err *err);

typedef void cni_add_fn(void *data, const struct cni_result *result,
                        const struct err *err); /* err NULL on success */
typedef void cni_del_fn(void *data, const struct err *err);

/* ADD through all plugins. The result is valid during on_done. On failure it has already run DEL. The list and result used are cached on disk before the first
 * plugin starts, so that cni_del() after a crash, a restart or a changed conf dir undoes just what was done. */
struct cni_op;
int cni_add(struct cni *c, const struct cni_attach *a, cni_add_fn *on_done, void *data, struct cni_op **ret_op,
            struct err *err) must_check;
/* Kills the plugin that runs; on_done still comes, after DEL. */
void cni_cancel(struct cni_op *op);
/* DEL in reverse order, of every plugin even if one fails; the first error is reported, and a repeated cni_del() tries all
 * again. Nothing cached for the container id is success. netns may be gone already. */
int cni_del(struct cni *c, const struct cni_attach *a, cni_del_fn *on_done, void *data,
            struct err *err) must_check;
