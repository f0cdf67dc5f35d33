#include "cli/resolve.h"
#include "cli/format.h"
#include "core/buf.h"
#include "core/mem.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int ambiguous(const struct candidate *c, size_t n, const char *kind, const char *key, bool by_name,
                     struct err *err)
{
    cleanup_buf struct buf ids = {.max = 300};

    for (size_t i = 0; i < n; i++)
        if (by_name ? !strcmp(c[i].name, key) : !strncmp(c[i].id, key, strlen(key))) {
            char id[SHORT_ID_SIZE];
            format_short_id(c[i].id, id);
            buf_addf(&ids, "%s%s", ids.len ? ", " : "", id);
        }
    return err_set(err, GRPC_INVALID_ARGUMENT, 0, "\"%s\" is %s several %ss: %s. Give more of an id", key,
                   by_name ? "the name of" : "the start of", kind, ids.data);
}

static int pick_name(const struct candidate *c, size_t n, const char *key, size_t *ret)
{
    size_t all = 0, alive = 0, any = 0;

    for (size_t i = 0; i < n; i++)
        if (!strcmp(c[i].name, key)) {
            all++;
            any = i;
            if (c[i].alive)
                alive++, *ret = i;
        }
    if (alive == 1)
        return 1;
    *ret = any;
    return (int)(all == 1 ? 1 : alive > 1 ? alive : all);
}

int resolve_pick(const struct candidate *c, size_t n, const char *kind, const char *key, size_t *ret_index,
                 struct err *err)
{
    size_t found = 0, at = 0;

    for (size_t i = 0; i < n; i++)
        if (!strcmp(c[i].id, key)) {
            *ret_index = i;
            return 0;
        }
    int named = pick_name(c, n, key, &at);
    if (named > 1)
        return ambiguous(c, n, kind, key, true, err);
    for (size_t i = 0; !named && *key && i < n; i++)
        if (!strncmp(c[i].id, key, strlen(key)))
            at = i, found++;
    if (found > 1)
        return ambiguous(c, n, kind, key, false, err);
    if (!named && !found)
        return err_set(err, GRPC_NOT_FOUND, 0, "no %s has the id or name \"%s\"", kind, key);
    *ret_index = at;
    return 0;
}

static const char *run_uid(Runtime__V1__PodSandbox__LabelsEntry *const *labels, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (!strcmp(labels[i]->key, RUN_LABEL))
            return labels[i]->value;
    return "";
}

static const Runtime__V1__PodSandbox *pod_by_id(const Runtime__V1__ListPodSandboxResponse *pods, const char *id)
{
    for (size_t i = 0; i < pods->n_items; i++)
        if (!strcmp(pods->items[i]->id, id))
            return pods->items[i];
    return NULL;
}

static void fill_pod(const Runtime__V1__PodSandbox *p, struct target *t)
{
    *t = (struct target){.kind = TARGET_POD,
                         .running = p->state == RUNTIME__V1__POD_SANDBOX_STATE__SANDBOX_READY};
    snprintf(t->id, sizeof(t->id), "%s", p->id);
    snprintf(t->pod_id, sizeof(t->pod_id), "%s", p->id);
    snprintf(t->name, sizeof(t->name), "%s", p->metadata ? p->metadata->name : "");
    snprintf(t->run_uid, sizeof(t->run_uid), "%s", run_uid(p->labels, p->n_labels));
}

static void fill_container(const Runtime__V1__Container *c, const Runtime__V1__ListPodSandboxResponse *pods,
                           struct target *t)
{
    const Runtime__V1__PodSandbox *p = pod_by_id(pods, c->pod_sandbox_id);

    *t = (struct target){.kind = TARGET_CONTAINER,
                         .running = c->state == RUNTIME__V1__CONTAINER_STATE__CONTAINER_RUNNING};
    snprintf(t->id, sizeof(t->id), "%s", c->id);
    snprintf(t->pod_id, sizeof(t->pod_id), "%s", c->pod_sandbox_id);
    snprintf(t->name, sizeof(t->name), "%s", c->metadata ? c->metadata->name : "");
    if (p)
        snprintf(t->run_uid, sizeof(t->run_uid), "%s", run_uid(p->labels, p->n_labels));
}

static int find_container(const Runtime__V1__ListContainersResponse *l, const char *key, size_t *ret,
                          struct err *err)
{
    cleanup_free struct candidate *c = mem_alloc(l->n_containers * sizeof(*c));

    for (size_t i = 0; i < l->n_containers; i++)
        c[i] = (struct candidate){
            .id = l->containers[i]->id,
            .name = l->containers[i]->metadata ? l->containers[i]->metadata->name : "",
            .alive = l->containers[i]->state == RUNTIME__V1__CONTAINER_STATE__CONTAINER_RUNNING,
        };
    return resolve_pick(c, l->n_containers, "container", key, ret, err);
}

static int find_pod(const Runtime__V1__ListPodSandboxResponse *l, const char *key, size_t *ret, struct err *err)
{
    cleanup_free struct candidate *c = mem_alloc(l->n_items * sizeof(*c));

    for (size_t i = 0; i < l->n_items; i++)
        c[i] = (struct candidate){
            .id = l->items[i]->id,
            .name = l->items[i]->metadata ? l->items[i]->metadata->name : "",
            .alive = l->items[i]->state == RUNTIME__V1__POD_SANDBOX_STATE__SANDBOX_READY,
        };
    return resolve_pick(c, l->n_items, "pod", key, ret, err);
}

int resolve_target(struct cli *cli, const char *key, int kinds, enum target_kind prefer, struct target *ret,
                   struct err *err)
{
    cleanup_reply Runtime__V1__ListPodSandboxResponse *pods = NULL;
    cleanup_reply Runtime__V1__ListContainersResponse *containers = NULL;
    Runtime__V1__ListPodSandboxRequest pods_req = RUNTIME__V1__LIST_POD_SANDBOX_REQUEST__INIT;
    Runtime__V1__ListContainersRequest containers_req = RUNTIME__V1__LIST_CONTAINERS_REQUEST__INIT;
    struct err c_err = {0}, p_err = {0};
    size_t ci = 0, pi = 0;
    int c_rc = -ENOENT, p_rc = -ENOENT, rc;

    if ((rc = cri_call(cli, "ListPodSandbox", &pods_req, &pods, err)) < 0 ||
        (rc = cri_call(cli, "ListContainers", &containers_req, &containers, err)) < 0)
        return rc;
    if (kinds & TARGET_CONTAINER)
        c_rc = find_container(containers, key, &ci, &c_err);
    if (kinds & TARGET_POD)
        p_rc = find_pod(pods, key, &pi, &p_err);
    if (c_rc == 0 && (p_rc < 0 || prefer == TARGET_CONTAINER)) {
        fill_container(containers->containers[ci], pods, ret);
        return 0;
    }
    if (p_rc == 0) {
        fill_pod(pods->items[pi], ret);
        return 0;
    }
    if (c_err.grpc == GRPC_INVALID_ARGUMENT || !(kinds & TARGET_POD))
        *err = c_err;
    else if (p_err.grpc == GRPC_INVALID_ARGUMENT || !(kinds & TARGET_CONTAINER))
        *err = p_err;
    else
        return err_set(
            err, GRPC_NOT_FOUND, 0,
            "no container or pod has the id or name \"%s\": `cricket ps -a` and `cricket pods` list them", key);
    return err_errno(err);
}
