#include "bench/requests.h"
#include "bench/ops.h"
#include "core/file.h"
#include "core/mem.h"
#include "proto/cri.pb-c.h"
#include "proto/grpc_frame.h"

#include <string.h>

static const char *const env[][2] = {
    {"PATH", "/bin"},
    {"KUBERNETES_PORT", "tcp://10.96.0.1:443"},
    {"KUBERNETES_PORT_443_TCP", "tcp://10.96.0.1:443"},
    {"KUBERNETES_PORT_443_TCP_ADDR", "10.96.0.1"},
    {"KUBERNETES_PORT_443_TCP_PORT", "443"},
    {"KUBERNETES_PORT_443_TCP_PROTO", "tcp"},
    {"KUBERNETES_SERVICE_HOST", "10.96.0.1"},
    {"KUBERNETES_SERVICE_PORT", "443"},
    {"KUBERNETES_SERVICE_PORT_HTTPS", "443"},
    {"POD_NAMESPACE", "bench"},
};
static const char *const mounts[][2] = {
    {"/etc/hosts", "hosts"},
    {"/dev/termination-log", "termination-log"},
    {"/var/run/secrets/kubernetes.io/serviceaccount", "serviceaccount"},
};
static const char *const masked[] = {
    "/proc/asound",     "/proc/acpi",        "/proc/kcore",       "/proc/keys", "/proc/latency_stats",
    "/proc/timer_list", "/proc/timer_stats", "/proc/sched_debug", "/proc/scsi", "/sys/firmware"};
static const char *const readonly[] = {"/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys",
                                       "/proc/sysrq-trigger"};
static const char *const words[] = {"sleep", CONTAINER_SECONDS};

/* A pod's configuration with everything that it points to. */
struct pod_message {
    Runtime__V1__PodSandboxConfig config;
    Runtime__V1__PodSandboxMetadata metadata;
    Runtime__V1__LinuxPodSandboxConfig linux;
    Runtime__V1__LinuxSandboxSecurityContext security;
    Runtime__V1__NamespaceOption namespaces;
    Runtime__V1__PodSandboxConfig__LabelsEntry label[2], *labels[2];
    char name[32], uid[40], parent[256], logs[256];
};

struct container_message {
    Runtime__V1__ContainerConfig config;
    Runtime__V1__ContainerMetadata metadata;
    Runtime__V1__ImageSpec image;
    Runtime__V1__LinuxContainerConfig linux;
    Runtime__V1__LinuxContainerResources resources;
    Runtime__V1__LinuxContainerSecurityContext security;
    Runtime__V1__NamespaceOption namespaces;
    Runtime__V1__KeyValue key[countof(env)], *keys[countof(env)];
    Runtime__V1__Mount mount[countof(mounts)], *mounts[countof(mounts)];
    char sources[countof(mounts)][256], log_path[40];
};

int requests_prepare(const struct bench *b, struct err *err)
{
    static const char *const files[] = {"hosts", "termination-log", "serviceaccount/token"};
    cleanup_free char *logs = mem_printf("%s/logs", b->work);
    cleanup_free char *account = mem_printf("%s/serviceaccount", b->work);
    int rc = dir_make(logs, 0755, err);

    if (!rc)
        rc = dir_make(account, 0755, err);
    for (size_t i = 0; !rc && i < countof(files); i++) {
        cleanup_free char *path = mem_printf("%s/%s", b->work, files[i]);
        rc = file_write(path, "127.0.0.1 localhost\n", 20, 0644, err);
    }
    return rc;
}

void request_pack(struct buf *frame, const ProtobufCMessage *message)
{
    size_t n = protobuf_c_message_get_packed_size(message);
    cleanup_free uint8_t *p = mem_alloc(GRPC_FRAME_PREFIX + n);

    grpc_frame_prefix(p, (uint32_t)n);
    protobuf_c_message_pack(message, p + GRPC_FRAME_PREFIX);
    frame->len = 0;
    buf_add(frame, p, GRPC_FRAME_PREFIX + n);
}

ProtobufCMessage *reply_unpack(const struct call *call, const ProtobufCMessageDescriptor *type)
{
    const uint8_t *p;
    size_t n;

    if (grpc_frame_parse(call->reply.data, call->reply.len, &p, &n, NULL) < 0)
        return NULL;
    return protobuf_c_message_unpack(type, NULL, n, p);
}

const char *method_path(const char *method)
{
    static const ProtobufCServiceDescriptor *const services[] = {&runtime__v1__runtime_service__descriptor,
                                                                 &runtime__v1__image_service__descriptor};
    static char paths[64][80]; /* one a method, as they are asked for */
    static size_t n;
    char path[80];

    for (size_t i = 0; i < countof(services); i++) {
        if (!protobuf_c_service_descriptor_get_method_by_name(services[i], method))
            continue;
        snprintf(path, sizeof(path), "/%s/%s", services[i]->name, method);
        for (size_t k = 0; k < n; k++)
            if (!strcmp(paths[k], path))
                return paths[k];
        if (n == countof(paths))
            return NULL;
        return strcpy(paths[n++], path);
    }
    return NULL;
}

static void fill_pod(struct pod_message *m, const struct job *j)
{
    static char *const label[][2] = {{"app", "bench"}, {"io.kubernetes.pod.namespace", "bench"}};

    *m = (struct pod_message){
        .config = RUNTIME__V1__POD_SANDBOX_CONFIG__INIT,
        .metadata = RUNTIME__V1__POD_SANDBOX_METADATA__INIT,
        .linux = RUNTIME__V1__LINUX_POD_SANDBOX_CONFIG__INIT,
        .security = RUNTIME__V1__LINUX_SANDBOX_SECURITY_CONTEXT__INIT,
        .namespaces = RUNTIME__V1__NAMESPACE_OPTION__INIT,
    };
    snprintf(m->name, sizeof(m->name), "bench-%05u", j->number);
    snprintf(m->uid, sizeof(m->uid), "00000000-0000-4000-8000-%012u", j->number);
    snprintf(m->parent, sizeof(m->parent), "%s/pod%05u", j->bench->cgroup_parent, j->number);
    snprintf(m->logs, sizeof(m->logs), "%s/logs", j->bench->work);
    m->metadata.name = m->name;
    m->metadata.uid = m->uid;
    m->metadata.namespace_ = "bench";
    m->config.metadata = &m->metadata;
    m->config.hostname = j->host_network ? "" : m->name;
    m->config.log_directory = m->logs;
    for (size_t i = 0; i < countof(label); i++) {
        m->label[i] =
            (Runtime__V1__PodSandboxConfig__LabelsEntry)RUNTIME__V1__POD_SANDBOX_CONFIG__LABELS_ENTRY__INIT;
        m->label[i].key = label[i][0];
        m->label[i].value = label[i][1];
        m->labels[i] = &m->label[i];
    }
    m->config.n_labels = countof(label);
    m->config.labels = m->labels;
    m->namespaces.network =
        j->host_network ? RUNTIME__V1__NAMESPACE_MODE__NODE : RUNTIME__V1__NAMESPACE_MODE__POD;
    m->namespaces.pid = RUNTIME__V1__NAMESPACE_MODE__CONTAINER;
    m->security.namespace_options = &m->namespaces;
    m->linux.cgroup_parent = m->parent;
    m->linux.security_context = &m->security;
    m->config.linux = &m->linux;
}

void request_run_pod(const struct job *j, struct buf *frame)
{
    Runtime__V1__RunPodSandboxRequest r = RUNTIME__V1__RUN_POD_SANDBOX_REQUEST__INIT;
    struct pod_message pod;

    fill_pod(&pod, j);
    r.config = &pod.config;
    r.runtime_handler = (char *)j->bench->handler;
    request_pack(frame, &r.base);
}

static void fill_env_and_mounts(struct container_message *m, const struct job *j)
{
    for (size_t i = 0; i < countof(env); i++) {
        m->key[i] = (Runtime__V1__KeyValue)RUNTIME__V1__KEY_VALUE__INIT;
        m->key[i].key = (char *)env[i][0];
        m->key[i].value = (ProtobufCBinaryData){strlen(env[i][1]), (uint8_t *)env[i][1]};
        m->keys[i] = &m->key[i];
    }
    for (size_t i = 0; i < countof(mounts); i++) {
        m->mount[i] = (Runtime__V1__Mount)RUNTIME__V1__MOUNT__INIT;
        snprintf(m->sources[i], sizeof(m->sources[i]), "%s/%s", j->bench->work, mounts[i][1]);
        m->mount[i].container_path = (char *)mounts[i][0];
        m->mount[i].host_path = m->sources[i];
        m->mount[i].readonly = i == 2;
        m->mounts[i] = &m->mount[i];
    }
    m->config.n_envs = countof(env);
    m->config.envs = m->keys;
    m->config.n_mounts = countof(mounts);
    m->config.mounts = m->mounts;
}

static void fill_security(struct container_message *m, const struct job *j)
{
    m->namespaces.network =
        j->host_network ? RUNTIME__V1__NAMESPACE_MODE__NODE : RUNTIME__V1__NAMESPACE_MODE__POD;
    m->namespaces.pid = RUNTIME__V1__NAMESPACE_MODE__CONTAINER;
    m->security.namespace_options = &m->namespaces;
    m->security.n_masked_paths = countof(masked);
    m->security.masked_paths = (char **)masked;
    m->security.n_readonly_paths = countof(readonly);
    m->security.readonly_paths = (char **)readonly;
    m->resources.cpu_shares = 102;
    m->resources.memory_limit_in_bytes = 64 << 20;
    m->resources.oom_score_adj = 1000;
    m->linux.resources = &m->resources;
    m->linux.security_context = &m->security;
    m->config.linux = &m->linux;
}

void request_create_container(const struct job *j, struct buf *frame)
{
    Runtime__V1__CreateContainerRequest r = RUNTIME__V1__CREATE_CONTAINER_REQUEST__INIT;
    struct pod_message pod;
    struct container_message m = {
        .config = RUNTIME__V1__CONTAINER_CONFIG__INIT,
        .metadata = RUNTIME__V1__CONTAINER_METADATA__INIT,
        .image = RUNTIME__V1__IMAGE_SPEC__INIT,
        .linux = RUNTIME__V1__LINUX_CONTAINER_CONFIG__INIT,
        .resources = RUNTIME__V1__LINUX_CONTAINER_RESOURCES__INIT,
        .security = RUNTIME__V1__LINUX_CONTAINER_SECURITY_CONTEXT__INIT,
        .namespaces = RUNTIME__V1__NAMESPACE_OPTION__INIT,
    };

    fill_pod(&pod, j);
    fill_env_and_mounts(&m, j);
    fill_security(&m, j);
    snprintf(m.log_path, sizeof(m.log_path), "bench-%05u.log", j->number);
    m.metadata.name = "sleeper";
    m.image.image = (char *)j->bench->image;
    m.config.metadata = &m.metadata;
    m.config.image = &m.image;
    m.config.n_command = countof(words);
    m.config.command = (char **)words;
    m.config.log_path = m.log_path;
    r.pod_sandbox_id = (char *)j->pod;
    r.config = &m.config;
    r.sandbox_config = &pod.config;
    request_pack(frame, &r.base);
}

void request_pod_id(const struct job *j, struct buf *frame)
{
    Runtime__V1__StopPodSandboxRequest r = RUNTIME__V1__STOP_POD_SANDBOX_REQUEST__INIT;

    r.pod_sandbox_id = (char *)j->pod;
    request_pack(frame, &r.base);
}

void request_container_id(const struct job *j, struct buf *frame)
{
    Runtime__V1__StartContainerRequest r = RUNTIME__V1__START_CONTAINER_REQUEST__INIT;

    r.container_id = (char *)j->container;
    request_pack(frame, &r.base);
}

void request_exec(const struct job *j, struct buf *frame)
{
    Runtime__V1__ExecSyncRequest r = RUNTIME__V1__EXEC_SYNC_REQUEST__INIT;
    char *cmd[] = {"true"};

    r.container_id = (char *)j->container;
    r.n_cmd = 1;
    r.cmd = cmd;
    r.timeout = 10;
    request_pack(frame, &r.base);
}

void request_image(struct buf *frame, const char *image)
{
    Runtime__V1__PullImageRequest r = RUNTIME__V1__PULL_IMAGE_REQUEST__INIT;
    Runtime__V1__ImageSpec spec = RUNTIME__V1__IMAGE_SPEC__INIT;

    spec.image = (char *)image;
    r.image = &spec;
    request_pack(frame, &r.base);
}
