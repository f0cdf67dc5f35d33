#include "handlers/pods.h"
#include "core/cgroup.h"
#include "core/log.h"
#include "core/mem.h"
#include "handlers/images.h"
#include "handlers/record.h"

#include <string.h>

struct pods {
    struct pod *by_id, *by_key;
};

struct pods *pods_new(void)
{
    return mem_new(struct pods);
}

void pods_free(struct pods *p)
{
    if (!p)
        return;
    for (struct pod *pod = p->by_id, *next; pod; pod = next) {
        next = pod->hh_id.next;
        pod_free(pod);
    }
    free(p);
}

char *pod_key(const Runtime__V1__PodSandboxMetadata *m)
{
    /* with lengths: a slash in a name must not make two pods one */
    return mem_printf("%zu/%zu/%s/%s/%s/%u", strlen(m->namespace_), strlen(m->name), m->namespace_, m->name,
                      m->uid, m->attempt);
}

/* What is read from the config, by a new pod and by one that is loaded. */
static void take_config(struct pod *pod, const Runtime__V1__PodSandboxConfig *config)
{
    const Runtime__V1__LinuxSandboxSecurityContext *sec =
        config->linux ? config->linux->security_context : NULL;
    const Runtime__V1__NamespaceOption *ns = sec ? sec->namespace_options : NULL;

    pod->key = pod_key(config->metadata);
    pod->name = mem_strdup(config->metadata->name);
    pod->namespace = mem_strdup(config->metadata->namespace_);
    pod->uid = mem_strdup(config->metadata->uid);
    pod->attempt = config->metadata->attempt;
    kv_of_map(&pod->labels, config->labels, config->n_labels);
    kv_of_map(&pod->annotations, config->annotations, config->n_annotations);
    pod->host_network = ns && ns->network == RUNTIME__V1__NAMESPACE_MODE__NODE;
    pod->host_ipc = ns && ns->ipc == RUNTIME__V1__NAMESPACE_MODE__NODE;
    pod->host_pid = ns && ns->pid == RUNTIME__V1__NAMESPACE_MODE__NODE;
    pod->shared_pid = !ns || ns->pid == RUNTIME__V1__NAMESPACE_MODE__POD;
    pod->privileged = sec && sec->privileged;
}

static void insert(struct pod *pod)
{
    struct pods *p = pod->daemon->pods;

    HASH_ADD(hh_id, p->by_id, id, ID_LEN, pod);
    HASH_ADD_KEYPTR(hh_key, p->by_key, pod->key, strlen(pod->key), pod);
}

static struct pod *make(struct daemon *d, const char *id)
{
    struct pod *pod = mem_new(struct pod);

    pod->daemon = d;
    pod->infra_pidfd = -1;
    snprintf(pod->id, sizeof(pod->id), "%s", id);
    pod->dir = mem_printf("%s/pods/%s", d->config.state, id);
    return pod;
}

struct pod *pod_new(struct daemon *d, const Runtime__V1__PodSandboxConfig *config, const char *handler,
                    const char *runtime)
{
    char id[ID_SIZE];

    id_new(id);
    struct pod *pod = make(d, id);
    take_config(pod, config);
    pod->config = message_pack(&config->base, &pod->config_len);
    pod->handler = mem_strdup(handler);
    pod->runtime = mem_strdup(runtime);
    pod->state = POD_CREATING;
    pod->created_ns = time_now_ns();
    snprintf(pod->boot_id, sizeof(pod->boot_id), "%s", d->host.boot_id);
    insert(pod);
    return pod;
}

struct pod *pod_unknown(struct daemon *d, const char *id)
{
    Runtime__V1__PodSandboxConfig config = RUNTIME__V1__POD_SANDBOX_CONFIG__INIT;
    Runtime__V1__PodSandboxMetadata m = RUNTIME__V1__POD_SANDBOX_METADATA__INIT;
    struct pod *pod = make(d, id);

    m.name = m.uid = m.namespace_ = pod->id;
    config.metadata = &m;
    take_config(pod, &config);
    pod->config = message_pack(&config.base, &pod->config_len);
    pod->handler = mem_strdup("");
    pod->runtime = mem_strdup("");
    pod->state = POD_CREATING;
    pod->infra = true; /* perhaps */
    pod->cgroup_parent = cgroup_parent_default(d->config.cgroup_driver, id);
    pod->cgroup_dir = cgroup_parent_dir(d->config.cgroup_driver, pod->cgroup_parent);
    pod->cgroup_parent_is_ours = d->config.cgroup_driver == CGROUP_DRIVER_CGROUPFS;
    insert(pod);
    return pod;
}

void pod_free(struct pod *pod)
{
    if (!pod)
        return;
    HASH_DELETE(hh_id, pod->daemon->pods->by_id, pod);
    HASH_DELETE(hh_key, pod->daemon->pods->by_key, pod);
    keeper_disconnect(pod->keeper);
    keeper_disconnect(pod->lost_keeper);
    timer_stop(&pod->keeper_timer);
    if (pod->infra_pidfd >= 0)
        close(pod->infra_pidfd);
    packed_done(&pod->listed);
    kv_done(&pod->labels);
    kv_done(&pod->annotations);
    strings_free(pod->ips);
    free(pod->key);
    free(pod->name);
    free(pod->namespace);
    free(pod->uid);
    free(pod->handler);
    free(pod->runtime);
    free(pod->cgroup_parent);
    free(pod->cgroup_dir);
    free(pod->dir);
    free(pod->step);
    free(pod->config);
    free(pod->infra_image_id);
    free(pod);
}

struct pod *pod_find_key(struct pods *p, const char *key)
{
    struct pod *pod;

    HASH_FIND(hh_key, p->by_key, key, strlen(key), pod);
    return pod;
}

struct pod *pod_find(struct pods *p, const char *id, struct err *err)
{
    struct pod *pod, *found = NULL;
    size_t n = strlen(id);

    if (n == 0) {
        err_set(err, GRPC_INVALID_ARGUMENT, 0,
                "pod sandbox id is empty: give the id that RunPodSandbox returned");
        return NULL;
    }
    if (n == ID_LEN) {
        HASH_FIND(hh_id, p->by_id, id, ID_LEN, found);
    } else {
        for (pod = p->by_id; pod; pod = pod->hh_id.next) {
            if (strncmp(pod->id, id, n) != 0 || pod->state == POD_CREATING)
                continue;
            if (found) {
                err_set(err, GRPC_INVALID_ARGUMENT, 0, "pod sandbox id %s is ambiguous: give more digits", id);
                return NULL;
            }
            found = pod;
        }
    }
    if (!found || found->state == POD_CREATING) {
        err_set(err, GRPC_NOT_FOUND, 0, "pod sandbox %.64s not found", id);
        return NULL;
    }
    return found;
}

struct pod *pods_first(struct pods *p)
{
    return p->by_id;
}

struct pod *pods_next(struct pod *pod)
{
    return pod->hh_id.next;
}

Runtime__V1__PodSandboxConfig *pod_config(const struct pod *pod)
{
    return runtime__v1__pod_sandbox_config__unpack(NULL, pod->config_len, pod->config);
}

char *pod_path(const struct pod *pod, const char *name)
{
    return mem_printf("%s/%s", pod->dir, name);
}

int pod_save(struct pod *pod, struct err *err)
{
    json_t *o = json_pack("{s:i, s:s, s:I, s:s, s:s, s:s*, s:b, s:s*, s:b, s:i, s:s*, s:b, s:o}", "state",
                          pod->state, "boot", pod->boot_id, "created", (json_int_t)pod->created_ns, "handler",
                          pod->handler, "runtime", pod->runtime, "cgroup_parent", pod->cgroup_parent,
                          "cgroup_parent_is_ours", pod->cgroup_parent_is_ours, "step", pod->step, "infra",
                          pod->infra, "infra_pid", pod->infra_pid, "infra_image", pod->infra_image_id,
                          "infra_exited", pod->infra_exited, "ips", record_array(pod->ips));
    if (!o)
        return err_set(err, GRPC_INVALID_ARGUMENT, 0, "pod %s: a path or name in it is not valid UTF-8",
                       pod->id);
    char *text = json_dumps(o, JSON_COMPACT);
    int r = store_put(pod->daemon->store, "pod", pod->id, text, pod->config, pod->config_len, err);

    free(text);
    json_decref(o);
    return r;
}

int pod_delete_row(struct pod *pod, struct err *err)
{
    return store_delete(pod->daemon->store, "pod", pod->id, err);
}

static void take_record(struct pod *pod, const json_t *o)
{
    char *boot = record_string(o, "boot");

    pod->state = (enum pod_state)record_int(o, "state");
    snprintf(pod->boot_id, sizeof(pod->boot_id), "%s", boot ? boot : "");
    free(boot);
    pod->created_ns = record_int(o, "created");
    pod->handler = record_string(o, "handler");
    if (!pod->handler)
        pod->handler = mem_strdup("");
    pod->runtime = record_string(o, "runtime");
    if (!pod->runtime)
        pod->runtime = mem_strdup(pod->handler);
    pod->cgroup_parent = record_string(o, "cgroup_parent");
    if (pod->cgroup_parent)
        pod->cgroup_dir = cgroup_parent_dir(pod->daemon->config.cgroup_driver, pod->cgroup_parent);
    pod->cgroup_parent_is_ours = json_is_true(json_object_get(o, "cgroup_parent_is_ours"));
    pod->step = record_string(o, "step");
    pod->infra = json_is_true(json_object_get(o, "infra"));
    pod->infra_pid = (int)record_int(o, "infra_pid");
    pod->infra_image_id = record_string(o, "infra_image");
    pod->infra_exited = json_is_true(json_object_get(o, "infra_exited"));
    pod->ips = record_strings(o, "ips");
}

static int load_one(void *data, const char *id, const char *json, const void *blob, size_t len, struct err *err)
{
    struct daemon *d = data;
    json_t *o = json_loads(json, 0, NULL);
    Runtime__V1__PodSandboxConfig *config =
        blob ? runtime__v1__pod_sandbox_config__unpack(NULL, len, blob) : NULL;

    if (!o || !config || !config->metadata || !id_is_valid(id)) {
        /* one bad row must not keep the node down */
        log_error("store: pod %s cannot be read and is left out; remove its row from the table objects", id);
    } else {
        struct pod *pod = make(d, id);
        take_config(pod, config);
        pod->config = mem_dup(blob, len);
        pod->config_len = len;
        take_record(pod, o);
        insert(pod);
        const struct image *image =
            pod->infra_image_id ? image_find_used(d->images, pod->infra_image_id) : NULL;
        if (image) {
            image_use(d->images, image);
            pod->infra_image_used = true;
        }
    }
    json_decref(o);
    runtime__v1__pod_sandbox_config__free_unpacked(config, NULL);
    (void)err;
    return 0;
}

int pods_load(struct daemon *d, struct err *err)
{
    return store_each(d->store, "pod", load_one, d, err);
}
