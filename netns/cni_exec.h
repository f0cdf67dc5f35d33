/* One run of one CNI plugin: CNI specification 1.1.0, section 2. */
#pragma once
#include "core/cni_conf.h"
#include "core/cni_result.h"
#include "loop/child.h"

/* The CNI_* variables, all but the command and the path; the strings are the owner's. */
struct cni_env {
    const char *container_id, *netns /* "" : gone */, *ifname, *args;
};

struct cni_exec {
    enum cni_verb verb;
    const struct cni_conf *conf;
    size_t plugin; /* index in conf */
    const struct cni_env *env;
    char *const *bin_dirs;
    const char *cache_dir;               /* where the plugin's stdin is, see cni_cache.h */
    const json_t *runtime, *prev_result; /* NULL: none */
    int timeout_ms;
};

/* result: of ADD, to be kept or freed by the callee; NULL for DEL. err NULL on success. */
typedef void cni_exec_fn(void *data, struct cni_result *result, const struct err *err);

/* Everything that x points to is needed only until it returns. ret_child is valid until on_done. */
int cni_exec(struct loop *l, const struct cni_exec *x, cni_exec_fn *on_done, void *data,
             struct child **ret_child, struct err *err) must_check;

/* FAILED_PRECONDITION when a plugin of the list, or an IPAM plugin that one calls, is in none of bin_dirs; says which package has them. */
int cni_check_plugins(const struct cni_conf *c, char *const *bin_dirs, struct err *err) must_check;
