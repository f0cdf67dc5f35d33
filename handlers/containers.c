#include "handlers/containers.h"
#include "core/log.h"
#include "core/mem.h"
#include "handlers/exec_doors.h"
#include "handlers/images.h"
#include "handlers/record.h"

#include <string.h>

struct containers {
    struct container *by_id, *by_key;
};

struct containers *containers_new(void)
{
    return mem_new(struct containers);
}

void containers_free(struct containers *t)
{
    if (!t)
        return;
    for (struct container *c = t->by_id, *next; c; c = next) {
        next = c->hh_id.next;
        container_free(c);
    }
    free(t);
}

char *container_key(const char *pod_id, const Runtime__V1__ContainerMetadata *m)
{
    return mem_printf("%s/%s/%u", pod_id, m->name, m->attempt);
}

static struct container *make(struct daemon *d, const char *id)
{
    struct container *c = mem_new(struct container);

    c->daemon = d;
    c->pidfd = -1;
    snprintf(c->id, sizeof(c->id), "%s", id);
    c->dir = mem_printf("%s/containers/%s", d->config.state, id);
    return c;
}

static void take_config(struct container *c, const Runtime__V1__ContainerConfig *config)
{
    c->name = mem_strdup(config->metadata->name);
    c->attempt = config->metadata->attempt;
    c->key = container_key(c->pod_id, config->metadata);
    c->image = mem_strdup(config->image ? config->image->image : "");
    c->tty = config->tty;
    kv_of_map(&c->labels, config->labels, config->n_labels);
    kv_of_map(&c->annotations, config->annotations, config->n_annotations);
}

static void insert(struct container *c)
{
    struct containers *t = c->daemon->containers;

    HASH_ADD(hh_id, t->by_id, id, ID_LEN, c);
    HASH_ADD_KEYPTR(hh_key, t->by_key, c->key, strlen(c->key), c);
}

struct container *container_new(struct daemon *d, struct pod *pod, const Runtime__V1__ContainerConfig *config)
{
    char id[ID_SIZE];

    id_new(id);
    struct container *c = make(d, id);
    memcpy(c->pod_id, pod->id, sizeof(c->pod_id));
    take_config(c, config);
    c->config = message_pack(&config->base, &c->config_len);
    c->created_ns = time_now_ns();
    snprintf(c->boot_id, sizeof(c->boot_id), "%s", d->host.boot_id);
    insert(c);
    return c;
}

void container_free(struct container *c)
{
    if (!c)
        return;
    HASH_DELETE(hh_id, c->daemon->containers->by_id, c);
    HASH_DELETE(hh_key, c->daemon->containers->by_key, c);
    exec_door_close(c);
    if (c->pidfd >= 0)
        close(c->pidfd);
    packed_done(&c->listed);
    kv_done(&c->labels);
    kv_done(&c->annotations);
    free(c->key);
    free(c->name);
    free(c->reason);
    free(c->message);
    free(c->image);
    free(c->image_id);
    free(c->image_ref);
    free(c->log_path);
    free(c->gids);
    free(c->dir);
    free(c->step);
    free(c->config);
    free(c->undeleted);
    free(c);
}

struct container *container_find_key(struct containers *t, const char *key)
{
    struct container *c;

    HASH_FIND(hh_key, t->by_key, key, strlen(key), c);
    return c;
}

struct container *container_find(struct containers *t, const char *id, struct err *err)
{
    struct container *c, *found = NULL;
    size_t n = strlen(id);

    if (n == 0) {
        err_set(err, GRPC_INVALID_ARGUMENT, 0,
                "container id is empty: give the id that CreateContainer returned");
        return NULL;
    }
    if (n == ID_LEN) {
        HASH_FIND(hh_id, t->by_id, id, ID_LEN, found);
    } else {
        for (c = t->by_id; c; c = c->hh_id.next) {
            if (strncmp(c->id, id, n) != 0 || c->state == CONTAINER_STATE_CREATING)
                continue;
            if (found) {
                err_set(err, GRPC_INVALID_ARGUMENT, 0, "container id %s is ambiguous: give more digits", id);
                return NULL;
            }
            found = c;
        }
    }
    if (!found || found->state == CONTAINER_STATE_CREATING) {
        err_set(err, GRPC_NOT_FOUND, 0, "container %.64s not found", id);
        return NULL;
    }
    return found;
}

struct container *container_find_running(struct containers *t, const char *id, const char *what,
                                         struct err *err)
{
    struct container *c = container_find(t, id, err);

    if (c && c->state == CONTAINER_STATE_RUNNING)
        return c;
    if (c)
        err_set(err, GRPC_FAILED_PRECONDITION, 0, "container %s (%.13s) is not running: there is nothing to %s",
                c->name, c->id, what);
    return NULL;
}

struct container *containers_first(struct containers *t)
{
    return t->by_id;
}

struct container *containers_next(struct container *c)
{
    return c->hh_id.next;
}

Runtime__V1__ContainerConfig *container_config(const struct container *c)
{
    return runtime__v1__container_config__unpack(NULL, c->config_len, c->config);
}

char *container_path(const struct container *c, const char *name)
{
    return mem_printf("%s/%s", c->dir, name);
}

struct pod *container_pod(const struct container *c)
{
    struct err err;
    struct pod *pod = pod_find(c->daemon->pods, c->pod_id, &err);

    if (!pod)
        abort(); /* RemovePodSandbox takes the containers first */
    return pod;
}

static json_t *gids_array(const struct container *c)
{
    json_t *a = json_array();

    for (size_t i = 0; i < c->gids_n; i++)
        json_array_append_new(a, json_integer(c->gids[i]));
    return a;
}

int container_save(struct container *c, struct err *err)
{
    json_t *o =
        json_pack("{s:s, s:i, s:s, s:I, s:I, s:I, s:i, s:s*, s:s*, s:s*, s:s*, s:s*, s:I, s:I, s:o, s:i, s:b, "
                  "s:i, s:s*, s:b}",
                  "pod", c->pod_id, "state", c->state, "boot", c->boot_id, "created", (json_int_t)c->created_ns,
                  "started", (json_int_t)c->started_ns, "finished", (json_int_t)c->finished_ns, "exit_code",
                  c->exit_code, "reason", c->reason, "message", c->message, "image_id", c->image_id,
                  "image_ref", c->image_ref, "log", c->log_path, "uid", (json_int_t)c->uid, "gid",
                  (json_int_t)c->gid, "gids", gids_array(c), "stop_signal", c->stop_signal, "shared_pid",
                  c->shared_pid, "pid", c->pid, "step", c->step, "in_runtime", c->in_runtime);
    if (!o)
        return err_set(err, GRPC_INVALID_ARGUMENT, 0, "container %s: a path or name in it is not valid UTF-8",
                       c->id);
    char *text = json_dumps(o, JSON_COMPACT);
    int r = store_put(c->daemon->store, "container", c->id, text, c->config, c->config_len, err);

    free(text);
    json_decref(o);
    return r;
}

int container_delete_row(struct container *c, struct err *err)
{
    return store_delete(c->daemon->store, "container", c->id, err);
}

static void take_gids(struct container *c, const json_t *array)
{
    json_t *v;
    size_t i;

    c->gids_n = json_array_size(array);
    c->gids = mem_alloc(c->gids_n * sizeof(*c->gids));
    json_array_foreach (array, i, v)
        c->gids[i] = (uint32_t)json_integer_value(v);
}

static void take_record(struct container *c, const json_t *o)
{
    char *boot = record_string(o, "boot");

    snprintf(c->boot_id, sizeof(c->boot_id), "%s", boot ? boot : "");
    free(boot);
    c->state = (enum container_state)record_int(o, "state");
    c->created_ns = record_int(o, "created");
    c->started_ns = record_int(o, "started");
    c->finished_ns = record_int(o, "finished");
    c->exit_code = (int)record_int(o, "exit_code");
    c->reason = record_string(o, "reason");
    c->message = record_string(o, "message");
    c->image_id = record_string(o, "image_id");
    c->image_ref = record_string(o, "image_ref");
    c->log_path = record_string(o, "log");
    c->uid = (uint32_t)record_int(o, "uid");
    c->gid = (uint32_t)record_int(o, "gid");
    take_gids(c, json_object_get(o, "gids"));
    c->stop_signal = (int)record_int(o, "stop_signal");
    c->shared_pid = json_is_true(json_object_get(o, "shared_pid"));
    c->pid = (int)record_int(o, "pid");
    c->step = record_string(o, "step");
    c->in_runtime = json_is_true(json_object_get(o, "in_runtime"));
}

static int load_one(void *data, const char *id, const char *json, const void *blob, size_t len, struct err *err)
{
    struct daemon *d = data;
    json_t *o = json_loads(json, 0, NULL);
    const char *pod_id = json_string_value(json_object_get(o, "pod"));
    Runtime__V1__ContainerConfig *config = blob ? runtime__v1__container_config__unpack(NULL, len, blob) : NULL;
    struct err ignored;

    if (!config || !config->metadata || !id_is_valid(id) || !pod_id || !pod_find(d->pods, pod_id, &ignored)) {
        log_error("store: container %s cannot be read or its pod is gone; it is left out", id);
    } else {
        struct container *c = make(d, id);
        snprintf(c->pod_id, sizeof(c->pod_id), "%s", pod_id);
        take_config(c, config);
        c->config = mem_dup(blob, len);
        c->config_len = len;
        take_record(c, o);
        insert(c);
        const struct image *image = c->image_id ? image_find_used(d->images, c->image_id) : NULL;
        if (image) {
            image_use(d->images, image);
            c->image_used = true;
        }
    }
    json_decref(o);
    runtime__v1__container_config__free_unpacked(config, NULL);
    (void)err;
    return 0;
}

int containers_load(struct daemon *d, struct err *err)
{
    return store_each(d->store, "container", load_one, d, err);
}
