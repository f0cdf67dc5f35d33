/* From a CRI ContainerConfig, its pod and its image to the OCI configuration. The rules are those of containerd's CRI plugin. */
#pragma once
#include "core/image_config.h"
#include "handlers/containers.h"
#include "handlers/host_paths.h"

struct container_inputs {
    struct pool pool;
    struct host_devices devices;
    bool host_devices; /* privileged, and its handler does not withhold them */
    const Runtime__V1__ContainerConfig *config;
    const Runtime__V1__PodSandboxConfig *pod_config;
    const struct image_config *image;
    char **args; /* filled by container_spec_check() */
    const char *cwd;
};

/* Refuses what cannot be met, before anything is made; fills args and cwd. */
int container_spec_check(struct container *c, struct container_inputs *in, struct err *err) must_check;

/* The text of config.json; caller frees. The user is in the container already. */
int container_spec_build(struct container *c, struct container_inputs *in, char **ret_json,
                         struct err *err) must_check;
