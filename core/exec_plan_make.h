/*
 * From a container's OCI configuration to the part of an exec plan that all its commands share. Pure but for the filter
 * (core/seccomp_bpf.h); takes some milliseconds: call it in a child.
 *
 * What this file does not know is left to the OCI runtime: a member of `process` or `linux` with another name, AppArmor and
 * SELinux labels, user namespaces. So a command by plan gets what the runtime would give it, or there is no plan.
 */
#pragma once
#include "core/buf.h"
#include "core/err.h"
#include "core/exec_plan.h"
#include <jansson.h>

enum exec_style { EXEC_AS_CRUN, EXEC_AS_RUNC }; /* where the two differ: HOME, keyring, ENOSYS */

struct exec_plan_env {
    enum exec_style style;
    const char *id;
    const char *cgroup_v2;      /* host path of the container's directory there, or NULL */
    const char *const *cgroups; /* those in the v1 hierarchies; NULL-terminated, or NULL */
    bool mitigated;             /* the container's filter came with the kernel's speculation mitigations */
    unsigned kernel_major, kernel_minor;
};

/* Always gives a plan, by ret_plan: one that is EXEC_PLAN_REFUSED where the runtime has to do it. */
void exec_plan_make(const json_t *config, const struct exec_plan_env *env, struct buf *ret_plan);

/*
 * Puts a command behind it: a block for cricket-enter, which the caller frees. INVALID_ARGUMENT for a command that is too long
 * for a plan, UNIMPLEMENTED with the reason for a refused one.
 */
int exec_plan_command(const struct buf *plan, const char *const *argv, bool tty, void **ret_plan,
                      size_t *ret_len, struct err *err) must_check;
