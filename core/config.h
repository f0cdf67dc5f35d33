/*
 * The daemon's configuration: /etc/cricket/config.yaml plus conf.d/ *.yaml beside it, later files win key by key.
 * With no file at all every key has its default. Unknown keys and wrong types are errors with file, line and key.
 */
#pragma once
#include "core/err.h"
#include <stdbool.h>
#include <stddef.h>

enum cgroup_driver { CGROUP_DRIVER_AUTO, CGROUP_DRIVER_CGROUPFS, CGROUP_DRIVER_SYSTEMD };
enum exec_mode {
    EXEC_AUTO,
    EXEC_RUNTIME
}; /* auto: by cricket-enter where that is the same as by the OCI runtime */
enum infra_mode {
    INFRA_AUTO,
    INFRA_ALWAYS
}; /* auto: an infra container only where the pod shares a PID namespace */

struct handler_config {
    char *name;         /* "crun": what RuntimeClass and the CLI say */
    char *path;         /* binary; "crun" is looked up in PATH */
    char *root;         /* --root of the OCI runtime; default STATE/runtime/NAME */
    char *cni_conf_dir; /* NULL: the common one */
    bool privileged_without_host_devices;
};

struct config {
    char *root;      /* /var/lib/cricket: survives a reboot */
    char *state;     /* /run/cricket: does not */
    char *listen;    /* unix:///run/cricket/cricket.sock; default follows state */
    char *log_level; /* info */
    char *
        helper_dir; /* where cricket-keeper, -unpack and -pause are; default: beside cricketd, then PREFIX/libexec/cricket */

    enum infra_mode infra;
    char *sandbox_image; /* "" : the built-in cricket-pause */

    enum cgroup_driver cgroup_driver; /* auto: systemd where the host was booted by it */
    char *default_handler; /* crun; falls to one that works when crun cannot and no file set the key */
    bool default_handler_set;
    struct handler_config *handlers; /* default: crun, runc, runsc */
    size_t handlers_n;

    char *cni_conf_dir;       /* /etc/cni/net.d */
    char **cni_bin_dirs;      /* /opt/cni/bin, /usr/lib/cni; NULL-terminated */
    bool cni_default_bridge;  /* true: an empty conf dir means the built-in bridge network */
    char *cni_default_subnet; /* 10.85.0.0/16 */

    char *registries_file;   /* /etc/cricket/registries.yaml; k3s's format */
    int max_parallel_layers; /* 3 */
    int pull_idle_timeout_s; /* 300: a transfer that moves no byte for that long fails */

    char **default_capabilities; /* NULL-terminated; the 14 of containerd */
    char *
        unset_seccomp_profile; /* what a container gets that asks for none: "unconfined" as containerd, or "runtime/default" */
    bool
        enable_unprivileged_ports; /* true: net.ipv4.ip_unprivileged_port_start=0 in pods with their own network */
    bool enable_unprivileged_icmp; /* true: net.ipv4.ping_group_range */
    enum exec_mode exec;
    int pids_limit; /* -1: none, where the request sets none */

    char *stream_address;          /* 127.0.0.1: where Exec, Attach and PortForward are served */
    int stream_port;               /* 0: any free one */
    char *stream_tls_cert;         /* "": no TLS */
    char *stream_tls_key;          /* "" */
    char *stream_tls_client_ca;    /* "": clients need no certificate */
    bool stream_plain_remote;      /* false: another address than a loopback one wants TLS */
    int stream_idle_timeout_s;     /* 14400 */
    int stream_creation_timeout_s; /* 30: for a client to open the streams it asked for */
};

/* Defaults only. */
void config_init(struct config *c);
void config_done(struct config *c);

/* path NULL: the default path, which may be absent. A path that was given must exist. Checks values as well as types. */
int config_load(struct config *c, const char *path, struct err *err) must_check;

/* After the command line has set root, state and so on: derives what follows from them (listen, handler roots). */
int config_finish(struct config *c, struct err *err) must_check;

/* The whole of it as a YAML document that config_load() reads back, with a comment a key; the caller frees. */
char *config_dump(const struct config *c);
