/*
 * Builds the OCI runtime specification (config.json, version 1.0.2) of a container from plain values.
 * Source: opencontainers/runtime-spec config.md and config-linux.md. Pure: reads no file, asks no kernel.
 */
#pragma once
#include "core/config.h"
#include "core/err.h"
#include "core/kv.h"
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

struct oci_mount {
    char *destination; /* in the container */
    char *source;
    char *type;     /* "bind", "proc", ...; NULL: bind */
    char **options; /* NULL-terminated, as mount(8) names them */
};

struct oci_device {
    char *path; /* in the container */
    char type;  /* 'c' or 'b' */
    int64_t major, minor;
    uint32_t file_mode, uid, gid;
    char *permissions; /* "rwm" */
};

struct oci_hugepage {
    char *page_size; /* "2MB" */
    uint64_t limit;
};

struct oci_resources { /* 0 and NULL mean "not given" */
    int64_t cpu_shares, cpu_quota, cpu_period;
    int64_t memory_limit, memory_swap;
    char *cpuset_cpus, *cpuset_mems;
    int64_t pids_limit;
    struct oci_hugepage *hugepages;
    size_t hugepages_n;
    struct kv_list unified; /* cgroup v2 only */
};

/* What the host can do; found once at start (core/host.h), so that this file stays pure. */
struct oci_host {
    bool cgroup_v2;         /* unified hierarchy only */
    bool apparmor, selinux; /* the LSM is active */
    bool swap_accounting;   /* memory.memsw exists (v1) or memory.swap.max (v2) */
    bool hugetlb;           /* the controller that the driver uses is there */
    int min_oom_score_adj;  /* the lowest that we may set: our own, when CAP_SYS_RESOURCE is missing */
    uint64_t bounding_caps; /* bit n: capability n is in our bounding set */
    unsigned kernel_major, kernel_minor; /* for the seccomp profile's minKernel; 0: unknown, taken as old */
};

enum seccomp_kind { SECCOMP_UNCONFINED, SECCOMP_RUNTIME_DEFAULT, SECCOMP_JSON };

struct oci_container {
    const char *id;
    char **args; /* NULL-terminated; not empty */
    char **env;  /* "K=V", NULL-terminated, already merged and without duplicates */
    const char *cwd;
    bool tty;
    uint32_t uid, gid;
    uint32_t *additional_gids;
    size_t additional_gids_n;
    const char *hostname; /* NULL: the pod's UTS namespace has it */
    const char *rootfs;   /* absolute */
    bool readonly_rootfs;
    const char *rootfs_propagation; /* NULL or "rshared", "rslave" */
    struct oci_mount
        *mounts; /* of the pod and the request; the standard ones (/proc, /dev, ...) are added here */
    size_t mounts_n;
    struct oci_device *devices;
    size_t devices_n;
    bool privileged;
    bool host_devices; /* privileged and the handler did not refuse: all devices of the host are in `devices` */
    bool no_new_privs;
    char **cap_add, **cap_drop, **cap_ambient; /* NULL-terminated, "CAP_X", "X" or "ALL"; NULL: none */
    char *const *cap_default;                  /* the configured default set */
    enum seccomp_kind seccomp;
    const char
        *seccomp_json; /* for SECCOMP_JSON: a linux.seccomp object as the kubelet's Localhost profile has it */
    char **masked_paths, **readonly_paths; /* NULL-terminated; NULL: none */
    const char *apparmor_profile, *selinux_label, *selinux_mount_label;
    int oom_score_adj;
    bool oom_score_adj_set;
    struct oci_resources resources;
    const char *cgroups_path; /* cgroupfs: "/a/b/ID"; systemd: "a-b.slice:cri-cricket:ID" */
    struct kv_list sysctls;   /* only for an own, not pinned, namespace */
    struct kv_list annotations;
    /* namespaces: path NULL and `new` true: a new one; path set: join; neither: the host's */
    struct oci_ns {
        bool create;
        const char *path;
    } ns_net, ns_ipc, ns_uts, ns_pid, ns_mnt, ns_cgroup;
};

/* Writes the JSON text; the caller frees. Errors name the field: INVALID_ARGUMENT "capability CAP_FOO is not known". */
int oci_spec_build(const struct oci_container *c, const struct oci_host *host, char **ret_json,
                   struct err *err) must_check;

/* The process object alone, as config.json has it: for `exec --process FILE` in a container whose `c` this is, with other args. */
int oci_process_build(const struct oci_container *c, const struct oci_host *host, char **ret_json,
                      struct err *err) must_check;

/* The defaults of Kubernetes' procMount: Default (what containerd masks). NULL-terminated. */
extern const char *const oci_default_masked_paths[];
extern const char *const oci_default_readonly_paths[];
