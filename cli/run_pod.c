#include "cli/run_pod.h"
#include "cli/pod_ops.h"
#include "core/ids.h"
#include "core/mem.h"

#include <errno.h>
#include <libgen.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

enum { UID_LEN = 32, SUFFIX_LEN = 5 };

static int make_dir(const char *path, struct err *err)
{
    if (mkdir(path, 0700) < 0 && errno != EEXIST) {
        if (errno == ENOENT)
            return err_set(err, GRPC_UNAVAILABLE, ENOENT,
                           "log directory %s: the runtime's socket is not there. Is cricketd running?", path);
        return err_sys(err, errno, "log directory %s", path);
    }
    return 0;
}

/* CRI allows two pods of one name with different uids; a person who says `cricket logs web` means one. */
static int check_free(struct cli *cli, const char *name, struct err *err)
{
    cleanup_reply Runtime__V1__ListPodSandboxResponse *r = NULL;
    Runtime__V1__ListPodSandboxRequest req = RUNTIME__V1__LIST_POD_SANDBOX_REQUEST__INIT;
    int rc = cri_call(cli, "ListPodSandbox", &req, &r, err);

    for (size_t i = 0; !rc && i < r->n_items; i++)
        if (r->items[i]->metadata && !strcmp(r->items[i]->metadata->name, name))
            return err_set(
                err, GRPC_ALREADY_EXISTS, 0,
                "there is a pod named %s already: give another --name, or remove it: `cricket rm -f %s`", name,
                name);
    return rc;
}

int run_pod_init(struct run_pod *p, struct cli *cli, const char *name, const char *image_name, struct err *err)
{
    char id[ID_SIZE];
    int rc;

    *p = (struct run_pod){0};
    if (name && (rc = check_free(cli, name, err)) < 0)
        return rc;
    id_new(id);
    id[UID_LEN] = 0;
    p->uid = mem_strdup(id);
    if (name) {
        p->name = mem_strdup(name);
    } else {
        cleanup_free char *base = run_name_of_image(image_name);
        p->name = mem_printf("%s-%.*s", base, SUFFIX_LEN, id);
    }
    p->log_dir = run_log_dir(cli, p->uid);
    p->log_path = mem_printf("%s/%s.log", p->log_dir, p->name);
    cleanup_free char *copy = mem_strdup(p->log_dir);
    if ((rc = make_dir(dirname(copy), err)) < 0)
        return rc;
    return make_dir(p->log_dir, err);
}

void run_pod_done(struct run_pod *p)
{
    free(p->name);
    free(p->uid);
    free(p->log_dir);
    free(p->log_path);
    free(p->pod_id);
    free(p->container_id);
    *p = (struct run_pod){0};
}

static Runtime__V1__Protocol protocol(const char *name)
{
    if (!strcmp(name, "udp"))
        return RUNTIME__V1__PROTOCOL__UDP;
    return !strcmp(name, "sctp") ? RUNTIME__V1__PROTOCOL__SCTP : RUNTIME__V1__PROTOCOL__TCP;
}

/* The messages of one run, tied together by pointers: built by pod_config() and container_config(), freed by parts_done(). */
struct parts {
    Runtime__V1__PodSandboxConfig pod;
    Runtime__V1__PodSandboxMetadata pod_meta;
    Runtime__V1__PodSandboxConfig__LabelsEntry label, *labels[1];
    Runtime__V1__LinuxPodSandboxConfig pod_linux;
    Runtime__V1__LinuxSandboxSecurityContext pod_security;
    Runtime__V1__NamespaceOption namespaces;
    Runtime__V1__PortMapping *ports, **port_ptrs;

    Runtime__V1__ContainerConfig container;
    Runtime__V1__ContainerMetadata container_meta;
    Runtime__V1__ImageSpec image;
    Runtime__V1__ContainerConfig__LabelsEntry container_label, *container_labels[1];
    Runtime__V1__LinuxContainerConfig linux;
    Runtime__V1__LinuxContainerSecurityContext security;
    Runtime__V1__KeyValue *envs, **env_ptrs;
    Runtime__V1__Mount *mounts, **mount_ptrs;
    char *entrypoint[1];
};

static void parts_done(struct parts *x)
{
    free(x->ports);
    free(x->port_ptrs);
    free(x->envs);
    free(x->env_ptrs);
    free(x->mounts);
    free(x->mount_ptrs);
}

static void add_ports(struct parts *x, const struct run_spec *spec)
{
    x->ports = mem_alloc(spec->ports_n * sizeof(*x->ports));
    x->port_ptrs = mem_alloc(spec->ports_n * sizeof(*x->port_ptrs));
    for (size_t i = 0; i < spec->ports_n; i++) {
        x->ports[i] = (Runtime__V1__PortMapping)RUNTIME__V1__PORT_MAPPING__INIT;
        x->ports[i].protocol = protocol(spec->ports[i].protocol);
        x->ports[i].container_port = spec->ports[i].container_port;
        x->ports[i].host_port = spec->ports[i].host_port;
        x->ports[i].host_ip = (char *)spec->ports[i].host_ip;
        x->port_ptrs[i] = &x->ports[i];
    }
    x->pod.port_mappings = x->port_ptrs;
    x->pod.n_port_mappings = spec->ports_n;
}

static void pod_config(struct parts *x, const struct run_pod *p, const struct run_spec *spec)
{
    x->namespaces = (Runtime__V1__NamespaceOption)RUNTIME__V1__NAMESPACE_OPTION__INIT;
    x->namespaces.network =
        spec->host_network ? RUNTIME__V1__NAMESPACE_MODE__NODE : RUNTIME__V1__NAMESPACE_MODE__POD;
    x->namespaces.pid = RUNTIME__V1__NAMESPACE_MODE__CONTAINER;
    x->pod_security =
        (Runtime__V1__LinuxSandboxSecurityContext)RUNTIME__V1__LINUX_SANDBOX_SECURITY_CONTEXT__INIT;
    x->pod_security.namespace_options = &x->namespaces;
    x->pod_security.privileged = spec->privileged;
    x->pod_linux = (Runtime__V1__LinuxPodSandboxConfig)RUNTIME__V1__LINUX_POD_SANDBOX_CONFIG__INIT;
    x->pod_linux.security_context = &x->pod_security;

    x->pod_meta = (Runtime__V1__PodSandboxMetadata)RUNTIME__V1__POD_SANDBOX_METADATA__INIT;
    x->pod_meta.name = p->name;
    x->pod_meta.uid = p->uid;
    x->pod_meta.namespace_ = "default";
    x->label = (Runtime__V1__PodSandboxConfig__LabelsEntry)RUNTIME__V1__POD_SANDBOX_CONFIG__LABELS_ENTRY__INIT;
    x->label.key = RUN_LABEL;
    x->label.value = p->uid;
    x->labels[0] = &x->label;

    x->pod = (Runtime__V1__PodSandboxConfig)RUNTIME__V1__POD_SANDBOX_CONFIG__INIT;
    x->pod.metadata = &x->pod_meta;
    if (!spec->host_network)
        x->pod.hostname = p->name;
    x->pod.log_directory = p->log_dir;
    x->pod.labels = x->labels;
    x->pod.n_labels = 1;
    x->pod.linux = &x->pod_linux;
    add_ports(x, spec);
}

static void add_env(struct parts *x, const struct run_spec *spec)
{
    x->envs = mem_alloc(spec->env_n * sizeof(*x->envs));
    x->env_ptrs = mem_alloc(spec->env_n * sizeof(*x->env_ptrs));
    for (size_t i = 0; i < spec->env_n; i++) {
        x->envs[i] = (Runtime__V1__KeyValue)RUNTIME__V1__KEY_VALUE__INIT;
        x->envs[i].key = (char *)spec->env_keys[i];
        x->envs[i].value.data = (uint8_t *)spec->env_values[i];
        x->envs[i].value.len = strlen(spec->env_values[i]);
        x->env_ptrs[i] = &x->envs[i];
    }
    x->container.envs = x->env_ptrs;
    x->container.n_envs = spec->env_n;
}

static void add_mounts(struct parts *x, const struct run_spec *spec)
{
    x->mounts = mem_alloc(spec->volumes_n * sizeof(*x->mounts));
    x->mount_ptrs = mem_alloc(spec->volumes_n * sizeof(*x->mount_ptrs));
    for (size_t i = 0; i < spec->volumes_n; i++) {
        x->mounts[i] = (Runtime__V1__Mount)RUNTIME__V1__MOUNT__INIT;
        x->mounts[i].host_path = spec->volumes[i].source;
        x->mounts[i].container_path = spec->volumes[i].destination;
        x->mounts[i].readonly = spec->volumes[i].readonly;
        x->mount_ptrs[i] = &x->mounts[i];
    }
    x->container.mounts = x->mount_ptrs;
    x->container.n_mounts = spec->volumes_n;
}

static void container_config(struct parts *x, const struct run_pod *p, const struct run_spec *spec)
{
    x->security =
        (Runtime__V1__LinuxContainerSecurityContext)RUNTIME__V1__LINUX_CONTAINER_SECURITY_CONTEXT__INIT;
    x->security.namespace_options = &x->namespaces;
    x->security.privileged = spec->privileged;
    x->linux = (Runtime__V1__LinuxContainerConfig)RUNTIME__V1__LINUX_CONTAINER_CONFIG__INIT;
    x->linux.security_context = &x->security;
    x->container_meta = (Runtime__V1__ContainerMetadata)RUNTIME__V1__CONTAINER_METADATA__INIT;
    x->container_meta.name = p->name;
    x->image = (Runtime__V1__ImageSpec)RUNTIME__V1__IMAGE_SPEC__INIT;
    x->image.image = (char *)spec->image;
    x->image.user_specified_image = (char *)spec->image_name;
    x->container_label =
        (Runtime__V1__ContainerConfig__LabelsEntry)RUNTIME__V1__CONTAINER_CONFIG__LABELS_ENTRY__INIT;
    x->container_label.key = RUN_LABEL;
    x->container_label.value = p->uid;
    x->container_labels[0] = &x->container_label;

    x->container = (Runtime__V1__ContainerConfig)RUNTIME__V1__CONTAINER_CONFIG__INIT;
    x->container.metadata = &x->container_meta;
    x->container.image = &x->image;
    x->container.labels = x->container_labels;
    x->container.n_labels = 1;
    x->container.log_path = strrchr(p->log_path, '/') + 1;
    x->container.linux = &x->linux;
    if (spec->entrypoint) {
        x->entrypoint[0] = (char *)spec->entrypoint;
        x->container.command = x->entrypoint;
        x->container.n_command = 1;
    }
    x->container.args = (char **)spec->command;
    x->container.n_args = spec->command_n;
    add_env(x, spec);
    add_mounts(x, spec);
}

static int run_sandbox(struct run_pod *p, struct cli *cli, struct parts *x, const char *handler,
                       struct err *err)
{
    cleanup_reply Runtime__V1__RunPodSandboxResponse *r = NULL;
    Runtime__V1__RunPodSandboxRequest req = RUNTIME__V1__RUN_POD_SANDBOX_REQUEST__INIT;

    req.config = &x->pod;
    req.runtime_handler = (char *)handler;
    int rc = cri_call(cli, "RunPodSandbox", &req, &r, err);
    if (!rc)
        p->pod_id = mem_strdup(r->pod_sandbox_id);
    return rc;
}

static int create_container(struct run_pod *p, struct cli *cli, struct parts *x, struct err *err)
{
    cleanup_reply Runtime__V1__CreateContainerResponse *r = NULL;
    Runtime__V1__CreateContainerRequest req = RUNTIME__V1__CREATE_CONTAINER_REQUEST__INIT;

    req.pod_sandbox_id = p->pod_id;
    req.config = &x->container;
    req.sandbox_config = &x->pod;
    int rc = cri_call(cli, "CreateContainer", &req, &r, err);
    if (!rc)
        p->container_id = mem_strdup(r->container_id);
    return rc;
}

static int start_container(const struct run_pod *p, struct cli *cli, struct err *err)
{
    cleanup_reply Runtime__V1__StartContainerResponse *r = NULL;
    Runtime__V1__StartContainerRequest req = RUNTIME__V1__START_CONTAINER_REQUEST__INIT;

    req.container_id = p->container_id;
    return cri_call(cli, "StartContainer", &req, &r, err);
}

int run_pod_start(struct run_pod *p, struct cli *cli, const struct run_spec *spec, struct err *err)
{
    struct parts x = {0};
    int rc;

    pod_config(&x, p, spec);
    container_config(&x, p, spec);
    rc = run_sandbox(p, cli, &x, spec->handler, err);
    if (!rc)
        rc = create_container(p, cli, &x, err);
    if (!rc)
        rc = start_container(p, cli, err);
    parts_done(&x);
    return rc;
}

/* RunPodSandbox may have made the pod although its answer never came. */
static int find_by_label(struct run_pod *p, struct cli *cli, struct err *err)
{
    cleanup_reply Runtime__V1__ListPodSandboxResponse *r = NULL;
    Runtime__V1__ListPodSandboxRequest req = RUNTIME__V1__LIST_POD_SANDBOX_REQUEST__INIT;
    Runtime__V1__PodSandboxFilter filter = RUNTIME__V1__POD_SANDBOX_FILTER__INIT;
    Runtime__V1__PodSandboxFilter__LabelSelectorEntry entry =
        RUNTIME__V1__POD_SANDBOX_FILTER__LABEL_SELECTOR_ENTRY__INIT;
    Runtime__V1__PodSandboxFilter__LabelSelectorEntry *entries[] = {&entry};

    entry.key = RUN_LABEL;
    entry.value = p->uid;
    filter.label_selector = entries;
    filter.n_label_selector = 1;
    req.filter = &filter;
    int rc = cri_call(cli, "ListPodSandbox", &req, &r, err);
    if (!rc && r->n_items)
        p->pod_id = mem_strdup(r->items[0]->id);
    return rc;
}

int run_pod_remove(struct run_pod *p, struct cli *cli, struct err *err)
{
    int rc = 0;

    if (!p->uid)
        return 0;
    if (!p->pod_id)
        rc = find_by_label(p, cli, err);
    if (p->pod_id)
        return pod_remove(cli, p->pod_id, p->uid, err);
    rmdir(p->log_dir); /* no pod, no logs: it is empty */
    return rc;
}
