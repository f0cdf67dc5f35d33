/* What several methods say of a pod or a container in the same way, and choose them by. */
#pragma once
#include "handlers/containers.h"
#include "handlers/pods.h"
#include "handlers/rpc.h"

Runtime__V1__PodSandboxMetadata *cri_pod_metadata(struct rpc *rpc, const struct pod *pod);
Runtime__V1__ContainerMetadata *cri_container_metadata(struct rpc *rpc, const struct container *c);

/* The fields of a filter: ids may be prefixes, "" is any; labels are n entries of a label_selector. */
bool pod_is_selected(const struct pod *pod, const char *id, void *labels, size_t n);
bool container_is_selected(const struct container *c, const char *id, const char *pod_id, void *labels,
                           size_t n);
