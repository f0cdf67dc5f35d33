/*
 * What a container wants of the host's file system: bind mount sources (made when missing, as containerd does), mount
 * propagation that the host must allow, device nodes, the log's directory. All of it in a forked child: any of these paths
 * may lie on a network file system that answers tomorrow.
 */
#pragma once
#include "core/oci_spec.h"
#include "core/pool.h"
#include "loop/child.h"
#include "proto/cri.pb-c.h"

struct host_devices {
    struct oci_device *items;
    size_t n;
};

/* On success devices' memory is in the pool given at the start. */
typedef void host_paths_done_fn(void *data, const struct host_devices *devices, const struct err *err);

/* log_path may be NULL: its directory is made. all_devices: the whole of /dev, for privileged containers. config and pool live
 * until on_done. */
int host_paths_prepare(struct loop *l, const Runtime__V1__ContainerConfig *config, const char *log_path,
                       bool all_devices, struct pool *pool, host_paths_done_fn *on_done, void *data,
                       struct child **ret_child, struct err *err) must_check;
