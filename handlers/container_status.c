/* ListContainers and ContainerStatus: served from memory. */
#include "core/file.h"
#include "core/signals.h"
#include "handlers/containers.h"
#include "handlers/cri_maps.h"
#include "handlers/cri_objects.h"
#include "handlers/methods.h"

#include <string.h>

enum { SPEC_MAX = 4 << 20 };

static Runtime__V1__ContainerState cri_state(const struct container *c)
{
    switch (c->state) {
    case CONTAINER_STATE_RUNNING:
        return RUNTIME__V1__CONTAINER_STATE__CONTAINER_RUNNING;
    case CONTAINER_STATE_EXITED:
        return RUNTIME__V1__CONTAINER_STATE__CONTAINER_EXITED;
    default:
        return RUNTIME__V1__CONTAINER_STATE__CONTAINER_CREATED;
    }
}

Runtime__V1__ContainerMetadata *cri_container_metadata(struct rpc *rpc, const struct container *c)
{
    Runtime__V1__ContainerMetadata *m = rpc_new(rpc, Runtime__V1__ContainerMetadata);

    runtime__v1__container_metadata__init(m);
    m->name = c->name;
    m->attempt = c->attempt;
    return m;
}

static Runtime__V1__ImageSpec *cri_image(struct rpc *rpc, const struct container *c)
{
    Runtime__V1__ImageSpec *s = rpc_new(rpc, Runtime__V1__ImageSpec);

    runtime__v1__image_spec__init(s);
    s->image = c->image;
    return s;
}

bool container_is_selected(const struct container *c, const char *id, const char *pod_id, void *labels,
                           size_t n)
{
    return strncmp(c->id, id, strlen(id)) == 0 && strncmp(c->pod_id, pod_id, strlen(pod_id)) == 0 &&
           map_selects(&c->labels, labels, n);
}

static bool matches(const struct container *c, const Runtime__V1__ContainerFilter *f)
{
    if (c->state == CONTAINER_STATE_CREATING)
        return false;
    if (!f)
        return true;
    if (f->state && f->state->state != cri_state(c))
        return false;
    return container_is_selected(c, f->id, f->pod_sandbox_id, f->label_selector, f->n_label_selector);
}

static Runtime__V1__Container *cri_container(struct rpc *rpc, struct container *c)
{
    Runtime__V1__Container *o = rpc_new(rpc, Runtime__V1__Container);

    runtime__v1__container__init(o);
    o->id = c->id;
    o->pod_sandbox_id = c->pod_id;
    o->metadata = cri_container_metadata(rpc, c);
    o->image = cri_image(rpc, c);
    o->image_ref = c->image_id;
    o->image_id = c->image_id;
    o->state = cri_state(c);
    o->created_at = c->created_ns;
    MAP_OF_KV(rpc, o, labels, &c->labels, runtime__v1__container__labels_entry__descriptor);
    MAP_OF_KV(rpc, o, annotations, &c->annotations, runtime__v1__container__annotations_entry__descriptor);
    return o;
}

/* As an item of a reply: kept from the last list, or made now. */
static struct rpc_piece listed(struct rpc *rpc, struct container *c)
{
    Runtime__V1__ListContainersResponse r = RUNTIME__V1__LIST_CONTAINERS_RESPONSE__INIT;
    Runtime__V1__Container *item;
    struct rpc_piece piece;

    if (packed_find(&c->listed, (int)cri_state(c), &piece))
        return piece;
    item = cri_container(rpc, c);
    r.n_containers = 1;
    r.containers = &item;
    packed_make(&c->listed, (int)item->state, rpc, &r.base, &piece);
    return piece;
}

void handle_list_containers(struct rpc *rpc)
{
    const Runtime__V1__ListContainersRequest *req = (const Runtime__V1__ListContainersRequest *)rpc->request;
    size_t n = 0;

    for (struct container *c = containers_first(rpc->daemon->containers); c; c = containers_next(c))
        n++;
    struct rpc_piece *pieces = rpc_alloc(rpc, n * sizeof(*pieces));
    n = 0;
    for (struct container *c = containers_first(rpc->daemon->containers); c; c = containers_next(c))
        if (matches(c, req->filter))
            pieces[n++] = listed(rpc, c);
    rpc_reply_pieces(rpc, pieces, n);
}

/* ---- status -------------------------------------------------------------------------------------------------------- */

static Runtime__V1__ContainerUser *cri_user(struct rpc *rpc, const struct container *c)
{
    Runtime__V1__ContainerUser *u = rpc_new(rpc, Runtime__V1__ContainerUser);
    Runtime__V1__LinuxContainerUser *l = rpc_new(rpc, Runtime__V1__LinuxContainerUser);

    runtime__v1__container_user__init(u);
    runtime__v1__linux_container_user__init(l);
    l->uid = c->uid;
    l->gid = c->gid;
    l->supplemental_groups = rpc_alloc(rpc, (c->gids_n + 1) * sizeof(*l->supplemental_groups));
    l->n_supplemental_groups = c->gids_n;
    for (size_t i = 0; i < c->gids_n; i++)
        l->supplemental_groups[i] = c->gids[i];
    u->linux = l;
    return u;
}

static Runtime__V1__ContainerResources *cri_resources(struct rpc *rpc,
                                                      const Runtime__V1__ContainerConfig *config)
{
    if (!config->linux || !config->linux->resources)
        return NULL;
    Runtime__V1__ContainerResources *r = rpc_new(rpc, Runtime__V1__ContainerResources);
    runtime__v1__container_resources__init(r);
    r->linux = config->linux->resources;
    return r;
}

static char *verbose_info(struct rpc *rpc, struct container *c, const Runtime__V1__ContainerConfig *config)
{
    cleanup_free char *path = container_path(c, "config.json");
    cleanup_buf struct buf spec = {0};
    struct err ignored;

    json_t *spec_json =
        file_read(path, SPEC_MAX, &spec, &ignored) == 0 ? json_loadb(spec.data, spec.len, 0, NULL) : NULL;
    json_t *o =
        json_pack("{s:s, s:i, s:s, s:s, s:s*, s:{s:b, s:b, s:b}, s:o*}", "sandboxID", c->pod_id, "pid", c->pid,
                  "bundle", c->dir, "bootID", c->boot_id, "imageID", c->image_id, "config", "tty", config->tty,
                  "stdin", config->stdin, "stdin_once", config->stdin_once, "runtimeSpec", spec_json);
    char *text = json_dumps(o, JSON_COMPACT);
    char *copy = rpc_strdup(rpc, text ? text : "{}");

    free(text);
    json_decref(o);
    return copy;
}

static void fill(struct rpc *rpc, struct container *c, Runtime__V1__ContainerConfig *config,
                 Runtime__V1__ContainerStatus *s)
{
    s->id = c->id;
    s->metadata = cri_container_metadata(rpc, c);
    s->state = cri_state(c);
    s->created_at = c->created_ns;
    s->started_at = c->started_ns;
    s->finished_at = c->finished_ns;
    s->exit_code = c->exit_code;
    s->image = cri_image(rpc, c);
    s->image_ref = c->image_ref;
    s->image_id = c->image_id;
    if (c->reason)
        s->reason = c->reason;
    if (c->message)
        s->message = c->message;
    if (c->log_path)
        s->log_path = c->log_path;
    s->n_mounts = config->n_mounts;
    s->mounts = config->mounts;
    s->resources = cri_resources(rpc, config);
    s->user = cri_user(rpc, c);
    s->stop_signal = (Runtime__V1__Signal)signal_to_cri(c->stop_signal);
    MAP_OF_KV(rpc, s, labels, &c->labels, runtime__v1__container_status__labels_entry__descriptor);
    MAP_OF_KV(rpc, s, annotations, &c->annotations,
              runtime__v1__container_status__annotations_entry__descriptor);
}

void handle_container_status(struct rpc *rpc)
{
    const Runtime__V1__ContainerStatusRequest *req = (const Runtime__V1__ContainerStatusRequest *)rpc->request;
    Runtime__V1__ContainerStatusResponse r = RUNTIME__V1__CONTAINER_STATUS_RESPONSE__INIT;
    Runtime__V1__ContainerStatus s = RUNTIME__V1__CONTAINER_STATUS__INIT;
    struct kv_list info = {0};
    struct err err;
    struct container *c = container_find(rpc->daemon->containers, req->container_id, &err);

    if (!c) {
        rpc_fail(rpc, &err);
        return;
    }
    Runtime__V1__ContainerConfig *config = container_config(c);
    fill(rpc, c, config, &s);
    r.status = &s;
    if (req->verbose) {
        kv_set(&info, "info", verbose_info(rpc, c, config));
        MAP_OF_KV(rpc, &r, info, &info, runtime__v1__container_status_response__info_entry__descriptor);
    }
    rpc_reply(rpc, &r.base);
    kv_done(&info);
    runtime__v1__container_config__free_unpacked(config, NULL);
}
