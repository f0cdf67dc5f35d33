/*
 * PullImage, and every other pull (the infra container's image): one flow a reference and its credentials, which any number
 * of waiters share.
 *
 * There is no journal: what a killed daemon leaves (layers without an image, tmp- and rm- directories) images_load() removes.
 */
#include "core/digest.h"
#include "core/image_ref.h"
#include "core/log.h"
#include "core/manifest.h"
#include "core/mem.h"
#include "handlers/daemon.h"
#include "handlers/image_table.h"
#include "handlers/layer_set.h"
#include "handlers/methods.h"
#include "handlers/rpc.h"
#include "loop/flow.h"
#include "loop/unpack.h"
#include "proto/cri.pb-c.h"

#include <string.h>

enum { INDEX_DEPTH_MAX = 3 }; /* indexes within indexes */

struct pull {
    struct flow flow; /* the first member */
    struct pull *next;
    struct images *im;
    struct image_ref ref;
    char *text; /* of the reference, for messages */
    char *key;  /* reference and credentials: pulls that are alike are joined */
    struct image_pull *waiters;
    int64_t started_us;

    struct registry_session *session;
    struct registry_request *request;
    char top_digest[DIGEST_MAX + 1]; /* of what the reference names: image or index */
    int depth;
    struct manifest manifest;
    char *config_json;
    size_t config_len;
    struct layer_set set;
    const struct image_entry *image;
};

struct image_pull {
    struct image_pull *next;
    struct pull *pull;
    image_pulled_fn *on_done;
    void *data;
};

static int resolve(struct flow *f);
static int get_config(struct flow *f);
static int fetch_layers(struct flow *f);
static int release_layers(struct flow *f);
static int fix_implied(struct flow *f);
static int commit(struct flow *f);

static const struct flow_step pull_image_steps[] = {
    {"resolve", resolve, NULL},   /* the reference -> index -> manifest of this platform */
    {"config", get_config, NULL}, /* its digest is the image's id; it has the layers' diff IDs */
    {"layers", fetch_layers, release_layers},
    {"fix implied", fix_implied, NULL},
    {"commit", commit, NULL},
    {0},
};

/* ---- the steps ---- */

static void cancel_request(struct flow *f)
{
    struct pull *p = f->data;

    registry_cancel(p->request);
}

static void get_manifest(struct pull *p, const char *reference);

static int take_manifest(struct pull *p, const struct registry_document *d, struct err *err)
{
    const struct manifest_entry *entry;

    if (p->depth == 0)
        memcpy(p->top_digest, d->digest, sizeof(p->top_digest));
    if (manifest_parse(d->data, d->len, d->media_type, &p->manifest, err) < 0)
        return err_wrap(err, "image %s: manifest %s", p->text, d->digest);
    if (p->manifest.kind == MANIFEST_IMAGE)
        return 0;
    if (manifest_choose(&p->manifest, platform_host(), &entry, err) < 0)
        return err_wrap(err, "image %s", p->text);
    if (++p->depth > INDEX_DEPTH_MAX)
        return err_set(err, GRPC_INVALID_ARGUMENT, 0, "image %s: indexes nest more than %d deep", p->text,
                       INDEX_DEPTH_MAX);
    cleanup_free char *digest = mem_strdup(entry->manifest.digest);
    manifest_done(&p->manifest);
    p->manifest = (struct manifest){0};
    get_manifest(p, digest);
    return FLOW_WAIT;
}

static void on_manifest(void *data, struct registry_document *d, const struct err *why)
{
    struct pull *p = data;
    struct err err;

    p->request = NULL;
    if (why) {
        flow_done(&p->flow, why);
        return;
    }
    int r = p->flow.cancelled ? 0 : take_manifest(p, d, &err);
    if (r < 0)
        flow_done(&p->flow, &err);
    else if (r == 0)
        flow_resume(&p->flow, 0);
}

static void get_manifest(struct pull *p, const char *reference)
{
    p->flow.cancel_wait = cancel_request;
    registry_get_manifest(p->session, reference, on_manifest, p, &p->request);
}

static int resolve(struct flow *f)
{
    struct pull *p = f->data;

    get_manifest(p, image_ref_reference(&p->ref));
    return FLOW_WAIT;
}

static int take_config(struct pull *p, struct registry_document *d, struct err *err)
{
    struct image_config *c;

    if (image_config_parse(d->data, d->len, &c, err) < 0)
        return err_wrap(err, "image %s: config %s", p->text, d->digest);
    if (c->diff_ids_n != p->manifest.layers_n) {
        image_config_free(c);
        return err_set(err, GRPC_INVALID_ARGUMENT, 0, "image %s: the config has %zu layers, the manifest %zu",
                       p->text, c->diff_ids_n, p->manifest.layers_n);
    }
    for (size_t i = 0; i < c->diff_ids_n; i++) {
        if (strncmp(c->diff_ids[i], "sha256:", 7) != 0 ||
            strncmp(p->manifest.layers[i].blob.digest, "sha256:", 7) != 0) {
            image_config_free(c);
            return err_set(err, GRPC_UNIMPLEMENTED, 0, "image %s: layer %zu has a digest other than sha256",
                           p->text, i);
        }
    }
    for (size_t i = 0; i < c->diff_ids_n; i++)
        layer_set_add(&p->set, c->diff_ids[i], p->manifest.layers[i].blob.digest,
                      p->manifest.layers[i].blob.size);
    image_config_free(c);
    p->config_json = steal_ptr(&d->data);
    p->config_len = d->len;
    return 0;
}

static void on_config(void *data, struct registry_document *d, const struct err *why)
{
    struct pull *p = data;
    struct err err;

    p->request = NULL;
    if (why)
        flow_done(&p->flow, why);
    else if (!p->flow.cancelled && take_config(p, d, &err) < 0)
        flow_done(&p->flow, &err);
    else
        flow_resume(&p->flow, 0);
}

static int get_config(struct flow *f)
{
    struct pull *p = f->data;
    const struct descriptor *c = &p->manifest.config;

    if (strncmp(c->digest, "sha256:", 7) != 0)
        return err_set(&f->err, GRPC_UNIMPLEMENTED, 0, "image %s: config digest %.80s is not sha256", p->text,
                       c->digest);
    f->cancel_wait = cancel_request;
    registry_get_document(p->session, c->digest, c->size, on_config, p, &p->request);
    return FLOW_WAIT;
}

static int open_source(void *data, size_t job, struct layer_source *source, struct err *err)
{
    struct pull *p = data;

    (void)job;
    (void)err;
    source->session = p->session;
    return 0;
}

static void on_layers(void *data, const struct err *why)
{
    struct pull *p = data;
    struct err err;

    if (!why) {
        flow_resume(&p->flow, 0);
        return;
    }
    err = *why;
    if (!strstr(err.msg, p->text))
        err_wrap(&err, "image %s", p->text);
    flow_done(&p->flow, &err);
}

static void cancel_layers(struct flow *f)
{
    struct pull *p = f->data;

    layer_set_cancel(&p->set);
}

static int fetch_layers(struct flow *f)
{
    struct pull *p = f->data;

    p->set.open_source = open_source;
    p->set.on_done = on_layers;
    p->set.data = p;
    f->cancel_wait = cancel_layers;
    layer_set_start(&p->set, f->loop);
    return FLOW_WAIT;
}

static int release_layers(struct flow *f)
{
    struct pull *p = f->data;

    layer_set_done(&p->set);
    return 0;
}

static void on_fixed(void *data, const struct err *err)
{
    struct pull *p = data;

    if (err)
        flow_done(&p->flow, err);
    else
        flow_resume(&p->flow, 0);
}

static int fix_implied(struct flow *f)
{
    struct pull *p = f->data;
    const char **dirs = mem_alloc((p->set.n + 1) * sizeof(*dirs));
    int r = 0;

    for (size_t i = 0; i < p->set.n; i++)
        dirs[i] = p->set.jobs[i].layer->dir;
    if (p->set.fetched > 0)
        r = unpack_fix_implied(f->loop, dirs, on_fixed, p, &f->err);
    free(dirs);
    return r < 0 ? r : p->set.fetched > 0 ? FLOW_WAIT : 0;
}

static int commit(struct flow *f)
{
    struct pull *p = f->data;
    struct layer **layers = mem_alloc((p->set.n + 1) * sizeof(struct layer *));
    cleanup_free char *tag = p->ref.digest ? NULL : image_ref_tagged(&p->ref);
    cleanup_free char *digest = image_ref_digested(&p->ref, p->ref.digest ? NULL : p->top_digest);
    char *tags[] = {tag, NULL};

    for (size_t i = 0; i < p->set.n; i++)
        layers[i] = p->set.jobs[i].layer;
    struct image_new n = {.config_json = p->config_json,
                          .config_len = p->config_len,
                          .layers = layers,
                          .layers_n = p->set.n,
                          .size = manifest_size(&p->manifest),
                          .tags = tags,
                          .digest = digest};
    int r = images_commit(p->im, &n, &p->image, &f->err);
    free(layers);
    return r;
}

/* ---- the flow's owner ---- */

static void pull_free(struct pull *p)
{
    for (struct pull **q = &p->im->pulls; *q; q = &(*q)->next)
        if (*q == p) {
            *q = p->next;
            break;
        }
    layer_set_done(&p->set); /* the image holds its own by now */
    registry_close(p->session);
    manifest_done(&p->manifest);
    image_ref_done(&p->ref);
    free(p->config_json);
    free(p->text);
    free(p->key);
    free(p);
}

static void on_pulled(struct flow *f)
{
    struct pull *p = f->data;
    const struct err *err = f->rc < 0 ? &f->err : NULL;
    char id[72] = "";

    if (!err) {
        memcpy(id, p->image->i.id, sizeof(id));
        log_info("pulled %s: %s, %zu layers fetched, %zu shared, %llu bytes, %.1f s", p->text, id,
                 p->set.fetched, p->set.shared, (unsigned long long)p->set.bytes,
                 (double)(time_monotonic_us() - p->started_us) / 1e6);
    }
    while (p->waiters) { /* a waiter's answer may make another leave */
        struct image_pull *w = p->waiters;
        p->waiters = w->next;
        w->on_done(w->data, err ? NULL : id, err);
        free(w);
    }
    pull_free(p);
}

void pulls_drop(struct images *im)
{
    while (im->pulls) {
        struct pull *p = im->pulls;
        im->pulls = p->next;
        while (p->waiters) {
            struct image_pull *w = p->waiters;
            p->waiters = w->next;
            free(w);
        }
    }
}

/* Whoever may see an image with other credentials gets a pull of his own. */
static char *pull_key(const char *text, const struct image_auth *a)
{
    static const struct image_auth none;
    char sum[DIGEST_MAX + 1];

    a = a ? a : &none;
#define OR_EMPTY(s) ((s) ? (s) : "")
    cleanup_free char *all = mem_printf("%s\n%s\n%s\n%s\n%s\n%s\n%s", text, OR_EMPTY(a->username),
                                        OR_EMPTY(a->password), OR_EMPTY(a->auth), OR_EMPTY(a->identity_token),
                                        OR_EMPTY(a->registry_token), OR_EMPTY(a->server_address));
#undef OR_EMPTY
    digest_of(all, strlen(all), sum);
    return mem_strdup(sum);
}

static int pull_new(struct images *im, struct image_ref *ref, const struct image_auth *auth, const char *key,
                    struct pull **ret_pull, struct err *err)
{
    const struct registries *registries;
    struct registry_session *session;
    struct registry_credentials c = {0};

    if (auth)
        c = (struct registry_credentials){auth->username,       auth->password,       auth->auth,
                                          auth->identity_token, auth->registry_token, auth->server_address};
    if (images_registries(im, &registries, err) < 0 ||
        registry_open(im->registry, registries, ref, &c, im->daemon->config.pull_idle_timeout_s, &session,
                      err) < 0)
        return err_errno(err);

    struct pull *p = mem_new(struct pull);
    p->im = im;
    p->session = session;
    p->ref = *ref;
    *ref = (struct image_ref){0};
    p->text = image_ref_text(&p->ref);
    p->key = mem_strdup(key);
    p->started_us = time_monotonic_us();
    p->set.layers = im->layers;
    p->set.parallel = im->daemon->config.max_parallel_layers > 0 ? im->daemon->config.max_parallel_layers : 1;
    p->flow = (struct flow){
        .steps = pull_image_steps, .name = p->text, .loop = im->daemon->loop, .data = p, .on_done = on_pulled};
    p->next = im->pulls;
    im->pulls = p;
    *ret_pull = p;
    return 0;
}

int image_pull(struct images *im, const char *ref, const struct image_auth *auth, image_pulled_fn *on_done,
               void *data, struct image_pull **ret_pull, struct err *err)
{
    struct image_ref parsed;
    bool is_new = false;

    if (image_ref_parse(ref, &parsed, err) < 0)
        return err_errno(err);
    cleanup_free char *text = image_ref_text(&parsed);
    cleanup_free char *key = pull_key(text, auth);
    struct pull *p = im->pulls;
    while (p && (p->flow.cancelled || p->flow.unwinding || strcmp(p->key, key) != 0))
        p = p->next;
    if (!p) {
        is_new = true;
        if (pull_new(im, &parsed, auth, key, &p, err) < 0) {
            image_ref_done(&parsed);
            return err_errno(err);
        }
    }
    image_ref_done(&parsed);
    struct image_pull *w = mem_new(struct image_pull);
    *w = (struct image_pull){.next = p->waiters, .pull = p, .on_done = on_done, .data = data};
    p->waiters = w;
    *ret_pull = w;
    if (is_new)
        flow_start(&p->flow); /* its first step waits */
    return 0;
}

void image_pull_leave(struct image_pull *w)
{
    struct pull *p = w->pull;
    struct err why;

    for (struct image_pull **q = &p->waiters; *q; q = &(*q)->next)
        if (*q == w) {
            *q = w->next;
            break;
        }
    free(w);
    if (p->waiters)
        return;
    err_set(&why, GRPC_CANCELLED, 0, "image %s: nobody waits for it any more", p->text);
    flow_cancel(&p->flow, &why);
}

/* ---- the RPC ---- */

struct pull_call {
    struct rpc *rpc;
    struct image_pull *waiter;
};

static void on_call_pulled(void *data, const char *image_id, const struct err *err)
{
    struct pull_call *c = data;
    Runtime__V1__PullImageResponse reply = RUNTIME__V1__PULL_IMAGE_RESPONSE__INIT;

    rpc_on_gone(c->rpc, NULL, NULL);
    if (err) {
        rpc_fail(c->rpc, err);
        return;
    }
    reply.image_ref = rpc_strdup(c->rpc, image_id);
    rpc_reply(c->rpc, (ProtobufCMessage *)&reply);
}

static void on_call_gone(void *data)
{
    struct pull_call *c = data;

    image_pull_leave(c->waiter);
}

void handle_pull_image(struct rpc *rpc)
{
    const Runtime__V1__PullImageRequest *q = (const Runtime__V1__PullImageRequest *)rpc->request;
    const Runtime__V1__AuthConfig *a = q->auth;
    struct pull_call *c = rpc_new(rpc, struct pull_call);
    struct image_auth auth = {0};
    struct err err;

    if (a)
        auth = (struct image_auth){a->username,       a->password,       a->auth,
                                   a->identity_token, a->registry_token, a->server_address};
    c->rpc = rpc;
    if (image_pull(rpc->daemon->images, q->image && q->image->image ? q->image->image : "", &auth,
                   on_call_pulled, c, &c->waiter, &err) < 0) {
        rpc_fail(rpc, &err);
        return;
    }
    rpc_on_gone(rpc, on_call_gone, c);
}
