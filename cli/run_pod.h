/*
 * The pod of `cricket run`: one pod with one container, from plain values. What fails in the middle is unmade by
 * run_pod_remove(), which is right after any of the steps.
 */
#pragma once
#include "cli/cli.h"
#include "cli/run_opts.h"

struct run_spec {
    const char *image;      /* the id that the runtime gave */
    const char *image_name; /* what the user wrote */
    char *const *command;   /* after IMAGE; command_n words */
    size_t command_n;
    const char *entrypoint; /* NULL: the image's */
    const char *handler;    /* "": the default */
    bool host_network, privileged;
    const struct run_port *ports;
    size_t ports_n;
    const struct run_volume *volumes; /* sources absolute */
    size_t volumes_n;
    const char *const *env_keys, *const *env_values;
    size_t env_n;
};

struct run_pod {
    char *name, *uid;
    char *log_dir, *log_path;
    char *pod_id, *container_id; /* NULL until made */
};

/* name NULL: made from the image's. Makes the log directory. */
int run_pod_init(struct run_pod *p, struct cli *cli, const char *name, const char *image_name,
                 struct err *err) must_check;
/* RunPodSandbox, CreateContainer, StartContainer. */
int run_pod_start(struct run_pod *p, struct cli *cli, const struct run_spec *spec, struct err *err) must_check;
/* Pod, container and logs, as far as they are there; a pod whose id never came is found by its label. */
int run_pod_remove(struct run_pod *p, struct cli *cli, struct err *err) must_check;
void run_pod_done(struct run_pod *p);
