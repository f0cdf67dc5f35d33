/*
 * What this host can and cannot do, and what to do about it. Each check is a row in cmd_doctor.c and a function here; it
 * reads, and changes nothing.
 */
#pragma once
#include "cli/cli.h"
#include "core/config.h"
#include "core/host.h"

enum level {
    LEVEL_OK,
    LEVEL_WARN,
    LEVEL_FAIL
}; /* FAIL: pods cannot run, or not with what the configuration asks for */

struct finding {
    enum level level;
    char found[300];
    char remedy[300]; /* "" with LEVEL_OK */
};

struct doctor {
    struct cli *cli;
    struct config config;
    bool config_ok; /* else config has the defaults */
    struct err config_err;
    struct host host;
    bool host_ok; /* else host is empty */
    struct err host_err;
    Runtime__V1__StatusResponse *status; /* NULL: the daemon did not answer, see status_err */
    struct err status_err;
};

typedef void check_fn(const struct doctor *d, struct finding *ret);

/* Sets what was found; with a level above OK, remedy_fmt says what to do. */
void found(struct finding *f, enum level level, const char *fmt, ...) printf_like(3, 4);
void remedy(struct finding *f, const char *fmt, ...) printf_like(2, 3);

/* A small file's text without the newline at its end; false if there is none. */
bool read_text(const char *path, char *ret, size_t size);

check_fn check_root, check_kernel, check_cgroups, check_controllers, check_overlay, check_seccomp, check_lsm,
    check_userns, check_swap, check_files, check_disk, check_systemd;                    /* doctor_host.c */
check_fn check_crun, check_runc, check_runsc, check_handlers;                            /* doctor_runtime.c */
check_fn check_cni_plugins, check_cni_conf, check_iptables, check_forward, check_bridge; /* doctor_net.c */
check_fn check_config, check_registries, check_daemon, check_conditions;                 /* doctor_daemon.c */
