/*
 * Runs a pod with one container that has limits, as a kubelet would ask for it, and prints the container's id:
 *
 *   limited NAME HANDLER CGROUP_PARENT IMAGE COMMAND [ARG]...
 *
 * With SHARED_PID in the environment the pod has one PID namespace, and so an infra container. What the numbers become on
 * cgroup v2 is in guest.sh.
 */
#include "cli/cli.h"
#include "cli/grpc.h"
#include "core/mem.h"

#include <curl/curl.h>
#include <stdio.h>
#include <stdlib.h>

#define LOG_DIR "/var/log/pods"

struct parts {
    Runtime__V1__PodSandboxMetadata pod_meta;
    Runtime__V1__LinuxSandboxSecurityContext pod_security;
    Runtime__V1__LinuxPodSandboxConfig pod_linux;
    Runtime__V1__PodSandboxConfig pod;
    Runtime__V1__LinuxContainerResources__UnifiedEntry low, group, *unified[2];
    Runtime__V1__LinuxContainerResources resources;
    Runtime__V1__NamespaceOption namespaces;
    Runtime__V1__LinuxContainerSecurityContext security;
    Runtime__V1__LinuxContainerConfig linux;
    Runtime__V1__ContainerMetadata meta;
    Runtime__V1__ImageSpec image;
    Runtime__V1__ContainerConfig container;
};

static void set_resources(struct parts *x)
{
    runtime__v1__linux_container_resources__unified_entry__init(&x->low);
    x->low.key = "memory.low";
    x->low.value = "1048576";
    runtime__v1__linux_container_resources__unified_entry__init(&x->group);
    x->group.key = "memory.oom.group";
    x->group.value = "1";
    x->unified[0] = &x->low;
    x->unified[1] = &x->group;
    runtime__v1__linux_container_resources__init(&x->resources);
    x->resources.memory_limit_in_bytes = 64 << 20;
    x->resources.cpu_shares = 512;
    x->resources.cpu_quota = 50000;
    x->resources.cpu_period = 100000;
    x->resources.cpuset_cpus = "0";
    x->resources.oom_score_adj = -500;
    x->resources.unified = x->unified;
    x->resources.n_unified = countof(x->unified);
}

static void set_pod(struct parts *x, char *name, char *parent)
{
    runtime__v1__pod_sandbox_metadata__init(&x->pod_meta);
    x->pod_meta.name = name;
    x->pod_meta.uid = name;
    x->pod_meta.namespace_ = "test";
    runtime__v1__namespace_option__init(&x->namespaces);
    x->namespaces.pid =
        getenv("SHARED_PID") ? RUNTIME__V1__NAMESPACE_MODE__POD : RUNTIME__V1__NAMESPACE_MODE__CONTAINER;
    runtime__v1__linux_sandbox_security_context__init(&x->pod_security);
    x->pod_security.namespace_options = &x->namespaces;
    runtime__v1__linux_pod_sandbox_config__init(&x->pod_linux);
    x->pod_linux.security_context = &x->pod_security;
    x->pod_linux.cgroup_parent = parent;
    runtime__v1__pod_sandbox_config__init(&x->pod);
    x->pod.metadata = &x->pod_meta;
    x->pod.hostname = name;
    x->pod.log_directory = LOG_DIR;
    x->pod.linux = &x->pod_linux;
}

static void set_container(struct parts *x, char *name, char **argv, int argc)
{
    runtime__v1__linux_container_security_context__init(&x->security);
    x->security.namespace_options = &x->namespaces;
    runtime__v1__linux_container_config__init(&x->linux);
    x->linux.resources = &x->resources;
    x->linux.security_context = &x->security;
    runtime__v1__container_metadata__init(&x->meta);
    x->meta.name = name;
    runtime__v1__image_spec__init(&x->image);
    x->image.image = argv[0];
    runtime__v1__container_config__init(&x->container);
    x->container.metadata = &x->meta;
    x->container.image = &x->image;
    x->container.command = argv + 1;
    x->container.n_command = (size_t)argc - 1;
    x->container.log_path = mem_printf("%s.log", name);
    x->container.linux = &x->linux;
}

static int run(struct cli *cli, struct parts *x, char *handler, struct err *err)
{
    cleanup_reply Runtime__V1__RunPodSandboxResponse *pod = NULL;
    cleanup_reply Runtime__V1__CreateContainerResponse *container = NULL;
    cleanup_reply Runtime__V1__StartContainerResponse *started = NULL;
    Runtime__V1__RunPodSandboxRequest run_pod = RUNTIME__V1__RUN_POD_SANDBOX_REQUEST__INIT;
    Runtime__V1__CreateContainerRequest create = RUNTIME__V1__CREATE_CONTAINER_REQUEST__INIT;
    Runtime__V1__StartContainerRequest start = RUNTIME__V1__START_CONTAINER_REQUEST__INIT;
    int rc;

    run_pod.config = &x->pod;
    run_pod.runtime_handler = handler;
    if ((rc = cri_call(cli, "RunPodSandbox", &run_pod, &pod, err)) < 0)
        return rc;
    create.pod_sandbox_id = pod->pod_sandbox_id;
    create.config = &x->container;
    create.sandbox_config = &x->pod;
    if ((rc = cri_call(cli, "CreateContainer", &create, &container, err)) < 0)
        return rc;
    start.container_id = container->container_id;
    if ((rc = cri_call(cli, "StartContainer", &start, &started, err)) < 0)
        return rc;
    puts(container->container_id);
    return 0;
}

int main(int argc, char **argv)
{
    struct cli cli = {.endpoint = "unix:///run/cricket/cricket.sock"};
    struct parts x;
    struct err err = {0};

    if (argc < 6)
        return EXIT_USAGE;
    curl_global_init(CURL_GLOBAL_DEFAULT);
    set_resources(&x);
    set_pod(&x, argv[1], argv[3]);
    set_container(&x, argv[1], argv + 4, argc - 4);
    int rc = run(&cli, &x, argv[2], &err);
    if (rc < 0)
        fprintf(stderr, "limited: %s\n", err.msg);
    free(x.container.log_path);
    grpc_free(cli.grpc);
    free(cli.socket);
    curl_global_cleanup();
    return rc < 0;
}
