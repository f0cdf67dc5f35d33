/*
 * The host's cgroup hierarchies, and the paths of pods and containers in them.
 *
 * Three words: a *parent* is what the kubelet sends ("/kubepods/burstable/podX" for cgroupfs, "kubepods-burstable-podX.slice"
 * for systemd); a *spec path* is what the OCI runtime wants in linux.cgroupsPath; a *dir* is the directory below each mount
 * point, absolute ("/kubepods.slice/kubepods-burstable.slice"). Sources: cgroups(7), systemd.slice(5), runtime-spec
 * config-linux.md.
 */
#pragma once
#include "core/config.h"
#include "core/err.h"
#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

enum cgroup_kind {
    CGROUP_NONE, /* nothing mounted */
    CGROUP_V1,
    CGROUP_V2,     /* the unified hierarchy at /sys/fs/cgroup, alone */
    CGROUP_HYBRID, /* v1 controllers and a v2 hierarchy beside them */
};

struct cgroup_mount {
    char *path; /* where it is mounted, unescaped: "/sys/fs/cgroup/memory" */
    char *root; /* which part of the hierarchy is mounted there: "/" but in a container */
    char *
        controllers; /* "cpu,cpuacct", "name=systemd"; of v2: cgroup.controllers with commas, "" when it has none */
    bool v2;
};

struct cgroups {
    enum cgroup_kind kind;
    struct cgroup_mount *mounts; /* in the order of mountinfo; the first mount of a hierarchy only */
    size_t n;
};

/* Text of /proc/self/mountinfo; malformed lines are skipped. Controllers of v2 are left "". Pure. */
void cgroups_parse(const char *mountinfo, struct cgroups *ret_cgroups);
/* Reads /proc/self/mountinfo and cgroup.controllers below prefix ("" outside of tests). Not having any is kind CGROUP_NONE. */
int cgroups_read(const char *prefix, struct cgroups *ret_cgroups, struct err *err) must_check;
void cgroups_done(struct cgroups *c);
/* The mount that has this controller ("memory"); NULL if none has. */
const struct cgroup_mount *cgroup_controller(const struct cgroups *c, const char *controller);
/* The v2 mount of a v2 or hybrid host, or NULL. */
const struct cgroup_mount *cgroup_unified(const struct cgroups *c);

/* INVALID_ARGUMENT unless parent suits the driver, is absolute (cgroupfs) or a slice name (systemd), has no "..", and at most
 * 1024 bytes. The driver is a resolved one: not AUTO. */
int cgroup_parent_check(enum cgroup_driver driver, const char *parent, struct err *err) must_check;
/* For a pod that names no parent: "/cricket/POD", or "cricket.slice", which all of them share. Caller frees. */
char *cgroup_parent_default(enum cgroup_driver driver, const char *pod_id);
/* linux.cgroupsPath: "PARENT/ID" or "SLICE:cri-cricket:ID". parent has passed the check. Caller frees. */
char *cgroup_spec_path(enum cgroup_driver driver, const char *parent, const char *id);
/* "a-b.slice" gives "/a.slice/a-b.slice", "-.slice" gives "/". Caller frees. */
int cgroup_slice_dir(const char *slice, char **ret_dir, struct err *err) must_check;
/* The dirs of a parent, and of a container in it (for systemd "DIR/cri-cricket-ID.scope"). Callers free. */
char *cgroup_parent_dir(enum cgroup_driver driver, const char *parent);
char *cgroup_container_dir(enum cgroup_driver driver, const char *parent, const char *id);

/* The host path of dir in a hierarchy, whose mount may show only a part of it. Caller frees. */
char *cgroup_dir_path(const struct cgroup_mount *m, const char *dir);

/* The functions below wait for the kernel and walk directories: call them in a forked child (child_spec.run). */

/* Makes dir in every hierarchy that the mounts show, cpuset inherited. Existing ones are fine. */
int cgroup_make(const struct cgroups *c, const char *dir, struct err *err) must_check;
/* Removes dir and its children (8 levels, 1024 directories) where they hold no process. What is gone already is fine;
 * a directory that stays busy for a second is an error that names it. "/" is refused. */
int cgroup_remove(const struct cgroups *c, const char *dir, struct err *err) must_check;
/* Any hierarchy still has it. Fast: safe on the loop. */
bool cgroup_exists(const struct cgroups *c, const char *dir);
/* Processes in dir and below it, of the first hierarchy that has it; at most `max`. Returns how many. */
size_t cgroup_pids(const struct cgroups *c, const char *dir, pid_t *ret_pids, size_t max);
/* SIGKILLs every process in dir and below (cgroup.kill where there is one) and waits up to timeout_ms for them to be gone. */
int cgroup_kill(const struct cgroups *c, const char *dir, int timeout_ms, struct err *err) must_check;
