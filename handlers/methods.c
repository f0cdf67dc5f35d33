#include "handlers/methods.h"
#include "core/cleanup.h"

#include "proto/cri.pb-c.h"
#include "proto/cricket.pb-c.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define RUNTIME(name, handle)                                                                                  \
    {                                                                                                          \
        &runtime__v1__runtime_service__descriptor, name, handle, "/runtime.v1.RuntimeService/" name, NULL      \
    }
#define IMAGE(name, handle)                                                                                    \
    {                                                                                                          \
        &runtime__v1__image_service__descriptor, name, handle, "/runtime.v1.ImageService/" name, NULL          \
    }
#define CRICKET(name, handle)                                                                                  \
    {                                                                                                          \
        &cricket__v1__cricket__descriptor, name, handle, "/cricket.v1.Cricket/" name, NULL                     \
    }

/* In the order of the .proto files. Only the descriptors are filled in at start. */
static struct method methods[] = {
    RUNTIME("Version", handle_version),
    RUNTIME("RunPodSandbox", handle_run_pod_sandbox),
    RUNTIME("StopPodSandbox", handle_stop_pod_sandbox),
    RUNTIME("RemovePodSandbox", handle_remove_pod_sandbox),
    RUNTIME("PodSandboxStatus", handle_pod_sandbox_status),
    RUNTIME("ListPodSandbox", handle_list_pod_sandbox),
    RUNTIME("StreamPodSandboxes", NULL),
    RUNTIME("CreateContainer", handle_create_container),
    RUNTIME("StartContainer", handle_start_container),
    RUNTIME("StopContainer", handle_stop_container),
    RUNTIME("RemoveContainer", handle_remove_container),
    RUNTIME("ListContainers", handle_list_containers),
    RUNTIME("StreamContainers", NULL),
    RUNTIME("ContainerStatus", handle_container_status),
    RUNTIME("UpdateContainerResources", NULL),
    RUNTIME("ReopenContainerLog", handle_reopen_container_log),
    RUNTIME("ExecSync", handle_exec_sync),
    RUNTIME("Exec", handle_exec),
    RUNTIME("Attach", handle_attach),
    RUNTIME("PortForward", handle_port_forward),
    RUNTIME("ContainerStats", handle_container_stats),
    RUNTIME("ListContainerStats", handle_list_container_stats),
    RUNTIME("StreamContainerStats", NULL),
    RUNTIME("PodSandboxStats", handle_pod_sandbox_stats),
    RUNTIME("ListPodSandboxStats", handle_list_pod_sandbox_stats),
    RUNTIME("StreamPodSandboxStats", NULL),
    RUNTIME("UpdateRuntimeConfig", handle_update_runtime_config),
    RUNTIME("Status", handle_status),
    RUNTIME("CheckpointContainer", NULL),
    RUNTIME("CheckpointPod", NULL),
    RUNTIME("RestorePod", NULL),
    RUNTIME("GetContainerEvents", NULL),
    RUNTIME("ListMetricDescriptors", NULL),
    RUNTIME("ListPodSandboxMetrics", NULL),
    RUNTIME("StreamPodSandboxMetrics", NULL),
    RUNTIME("RuntimeConfig", handle_runtime_config),
    RUNTIME("UpdatePodSandboxResources", NULL),
    IMAGE("ListImages", handle_list_images),
    IMAGE("StreamImages", NULL),
    IMAGE("ImageStatus", handle_image_status),
    IMAGE("PullImage", handle_pull_image),
    IMAGE("RemoveImage", handle_remove_image),
    IMAGE("ImageFsInfo", handle_image_fs_info),
    CRICKET("ImportImage", handle_import_image),
};

void methods_init(void)
{
    for (size_t i = 0; i < countof(methods); i++) {
        struct method *m = &methods[i];
        m->descriptor = protobuf_c_service_descriptor_get_method_by_name(m->service, m->name);
        if (!m->descriptor) {
            fprintf(stderr, "handlers/methods.c: service %s has no method %s\n", m->service->name, m->name);
            abort();
        }
    }
}

const struct method *method_find(const char *path)
{
    for (size_t i = 0; i < countof(methods); i++)
        if (strcmp(methods[i].path, path) == 0)
            return &methods[i];
    return NULL;
}

const struct method *method_at(size_t i)
{
    return i < countof(methods) ? &methods[i] : NULL;
}
