#include "handlers/images.h"
#include "core/digest.h"
#include "core/ids.h"
#include "core/image_ref.h"
#include "core/log.h"
#include "core/mem.h"
#include "handlers/daemon.h"
#include "handlers/image_table.h"

#include <jansson.h>
#include <string.h>
#include <sys/stat.h>

static const char kind[] = "image";
enum { ID_PREFIX_MIN = 4 };

struct images *images_new(struct daemon *d)
{
    struct images *im = mem_new(struct images);

    im->daemon = d;
    im->layers = layers_new(d);
    im->registry = registry_new(d->loop, NULL);
    return im;
}

static void list_free(char **list)
{
    for (char **p = list; p && *p; p++)
        free(*p);
    free(list);
}

static size_t list_len(char *const *list)
{
    size_t n = 0;

    while (list && list[n])
        n++;
    return n;
}

static bool list_has(char *const *list, const char *s)
{
    for (; list && *list; list++)
        if (strcmp(*list, s) == 0)
            return true;
    return false;
}

static void list_add(char ***list, const char *s)
{
    size_t n = list_len(*list);

    if (list_has(*list, s))
        return;
    *list = mem_realloc(*list, (n + 2) * sizeof(**list));
    (*list)[n] = mem_strdup(s);
    (*list)[n + 1] = NULL;
}

static bool list_drop(char **list, const char *s)
{
    for (; list && *list; list++)
        if (strcmp(*list, s) == 0) {
            free(*list);
            do
                list[0] = list[1];
            while (*list++);
            return true;
        }
    return false;
}

/* Releases layers only where they may be removed: not when the daemon ends. */
static void entry_free(struct images *im, struct image_entry *e, bool release)
{
    if (release)
        layers_release(im->layers, e->held, e->held_n);
    list_free(e->i.tags);
    list_free(e->i.digests);
    list_free(e->i.layers);
    image_config_free(e->i.config);
    free(e->held);
    free(e->config_json);
    free(e);
}

void images_free(struct images *im)
{
    if (!im)
        return;
    pulls_drop(im);
    while (im->all) {
        struct image_entry *e = im->all;
        im->all = e->next;
        entry_free(im, e, false);
    }
    registry_free(im->registry);
    registries_free(im->registries);
    layers_free(im->layers);
    free(im);
}

int images_registries(struct images *im, const struct registries **ret_registries, struct err *err)
{
    const char *path = im->daemon->config.registries_file;
    struct registries *now = NULL;
    struct stat st = {0};

    if (!path || stat(path, &st) < 0)
        st.st_mtim = (struct timespec){0};
    if (memcmp(&st.st_mtim, &im->registries_read, sizeof(st.st_mtim)) != 0) {
        if (st.st_mtim.tv_sec && registries_load(path, &now, err) < 0)
            return err_errno(err);
        registries_free(im->registries);
        im->registries = now;
        im->registries_read = st.st_mtim;
    }
    *ret_registries = im->registries;
    return 0;
}

/* ---- finding ---- */

static struct image_entry *by_id(struct images *im, const char *hex, size_t n, bool removed)
{
    struct image_entry *found = NULL;

    for (struct image_entry *e = im->all; e; e = e->next) {
        if (e->removed != removed || strncmp(e->i.id + 7, hex, n) != 0)
            continue;
        if (found)
            return NULL; /* not unique */
        found = e;
    }
    return found;
}

static struct image_entry *by_name(struct images *im, const char *text)
{
    struct image_ref ref;

    if (image_ref_parse(text, &ref, NULL) < 0)
        return NULL;
    cleanup_free char *tagged = image_ref_tagged(&ref), *digested = image_ref_digested(&ref, NULL);
    struct image_entry *e = im->all;
    while (e && (e->removed ||
                 !(digested ? list_has(e->i.digests, digested) : tagged && list_has(e->i.tags, tagged))))
        e = e->next;
    image_ref_done(&ref);
    return e;
}

struct image_entry *image_entry_find(struct images *im, const char *ref)
{
    const char *hex = strncmp(ref, "sha256:", 7) == 0 ? ref + 7 : ref;
    size_t n = strlen(hex);
    bool is_hex = n >= ID_PREFIX_MIN && n <= 64 && strspn(hex, "0123456789abcdef") == n;

    /* a name wins over a short prefix: "cafe" may be an image */
    struct image_entry *e = hex != ref || n == 64 ? NULL : by_name(im, ref);
    return !e && is_hex ? by_id(im, hex, n, false) : e;
}

const struct image *image_find(struct images *im, const char *ref)
{
    struct image_entry *e = image_entry_find(im, ref);

    return e ? &e->i : NULL;
}

const struct image *image_find_used(struct images *im, const char *id)
{
    for (struct image_entry *e = im->all; e; e = e->next)
        if (strcmp(e->i.id, id) == 0)
            return &e->i;
    return NULL;
}

const struct image *image_at(struct images *im, size_t i)
{
    for (struct image_entry *e = im->all; e; e = e->next)
        if (!e->removed && i-- == 0)
            return &e->i;
    return NULL;
}

/* ---- making ---- */

/*
 * overlayfs refuses one directory twice. Of a repeated layer only the topmost counts: whatever lies between is covered by
 * it either way.
 */
static void set_dirs(struct image_entry *e)
{
    for (size_t i = 0; i < e->held_n; i++) {
        size_t above = i + 1;
        while (above < e->held_n && e->held[above] != e->held[i])
            above++;
        if (above == e->held_n)
            list_add(&e->i.layers, e->held[i]->dir);
    }
    if (!e->i.layers)
        e->i.layers = mem_alloc(sizeof(char *));
}

static void set_pinned(struct images *im)
{
    struct image_ref ref;
    const char *text = im->daemon->config.sandbox_image;
    cleanup_free char *name = NULL;

    if (text && *text && image_ref_parse(text, &ref, NULL) == 0) {
        name = ref.digest ? image_ref_digested(&ref, NULL) : image_ref_tagged(&ref);
        image_ref_done(&ref);
    }
    for (struct image_entry *e = im->all; e; e = e->next)
        e->i.pinned = name && (list_has(e->i.tags, name) || list_has(e->i.digests, name));
}

static int entry_new(struct images *im, const char *config_json, size_t config_len,
                     struct image_entry **ret_entry, struct err *err)
{
    struct image_config *config;
    char id[DIGEST_MAX + 1];
    struct image_entry *e, **last = &im->all;

    if (image_config_parse(config_json, config_len, &config, err) < 0)
        return err_errno(err);
    digest_of(config_json, config_len, id);
    e = mem_new(struct image_entry);
    snprintf(e->i.id, sizeof(e->i.id), "%.71s", id);
    e->i.config = config;
    e->i.tags = mem_alloc(sizeof(char *));
    e->i.digests = mem_alloc(sizeof(char *));
    e->config_json = mem_dup(config_json, config_len);
    e->config_len = config_len;
    e->held = mem_alloc((config->diff_ids_n + 1) * sizeof(*e->held));
    while (*last)
        last = &(*last)->next;
    *last = e;
    *ret_entry = e;
    return 0;
}

static void entry_unlink(struct images *im, struct image_entry *e)
{
    for (struct image_entry **p = &im->all; *p; p = &(*p)->next)
        if (*p == e) {
            *p = e->next;
            return;
        }
}

static json_t *json_list(char *const *list)
{
    json_t *a = json_array();

    for (; list && *list; list++)
        json_array_append_new(a, json_string(*list));
    return a;
}

static int put_row(struct images *im, const struct image_entry *e, struct err *err)
{
    json_t *layers = json_array();

    for (size_t i = 0; i < e->held_n; i++)
        json_array_append_new(layers, json_string(e->held[i]->diff_id));
    json_t *row =
        json_pack("{s:o,s:o,s:o,s:I,s:b}", "tags", json_list(e->i.tags), "digests", json_list(e->i.digests),
                  "layers", layers, "size", (json_int_t)e->i.size, "removed", (int)e->removed);
    cleanup_free char *text = json_dumps(row, JSON_COMPACT);
    json_decref(row);
    return store_put(im->daemon->store, kind, e->i.id, text, e->config_json, e->config_len, err);
}

static struct image_entry *entry_of(struct images *im, const struct image_new *n)
{
    char id[DIGEST_MAX + 1];
    struct image_entry *e = im->all;

    digest_of(n->config_json, n->config_len, id);
    while (e && strcmp(e->i.id, id) != 0)
        e = e->next;
    return e;
}

/* A tag is one image's. The image that loses it stays, with its digests. */
static int move_tag(struct images *im, struct image_entry *to, const char *tag, struct err *err)
{
    for (struct image_entry *e = im->all; e; e = e->next)
        if (e != to && list_drop(e->i.tags, tag) && put_row(im, e, err) < 0)
            return err_errno(err);
    list_add(&to->i.tags, tag);
    return 0;
}

int images_commit(struct images *im, const struct image_new *n, const struct image_entry **ret_image,
                  struct err *err)
{
    struct image_entry *e = entry_of(im, n);
    bool is_new = !e;
    int r = 0;

    if (!e && entry_new(im, n->config_json, n->config_len, &e, err) < 0)
        return err_errno(err);
    if (is_new) {
        for (size_t i = 0; i < n->layers_n; i++)
            e->held[e->held_n++] = layer_hold(im->layers, n->layers[i]->diff_id);
        set_dirs(e);
        e->i.size = n->size;
    }
    e->removed = false;
    r = store_begin(im->daemon->store, err);
    for (char *const *t = n->tags; r == 0 && t && *t; t++)
        r = move_tag(im, e, *t, err);
    if (r == 0 && n->digest)
        list_add(&e->i.digests, n->digest);
    if (r == 0)
        r = put_row(im, e, err);
    int committed = store_commit(im->daemon->store, r == 0 ? err : NULL);
    if (r == 0)
        r = committed;
    if (r < 0 && is_new) {
        entry_unlink(im, e);
        entry_free(im, e, true);
        return r;
    }
    set_pinned(im);
    *ret_image = e;
    return r;
}

/* ---- start ---- */

static void load_list(json_t *from, char ***to)
{
    size_t i;
    json_t *item;

    json_array_foreach (from, i, item) {
        if (json_string_value(item))
            list_add(to, json_string_value(item));
    }
}

/* NULL, or what is wrong with the row. */
static const char *fill_entry(struct images *im, struct image_entry *e, const char *id, json_t *row)
{
    json_t *layers = json_object_get(row, "layers"), *item;
    size_t i;

    if (strcmp(e->i.id, id) != 0)
        return "its config has another digest";
    if (json_array_size(layers) != e->i.config->diff_ids_n)
        return "its layers are not those of its config";
    json_array_foreach (layers, i, item) {
        const char *diff_id = json_string_value(item);
        struct layer *l = diff_id ? layer_find(im->layers, diff_id) : NULL;
        if (!l || l->state != LAYER_READY)
            return "a layer is not on disk";
        e->held[e->held_n++] = layer_hold(im->layers, diff_id);
    }
    load_list(json_object_get(row, "tags"), &e->i.tags);
    load_list(json_object_get(row, "digests"), &e->i.digests);
    e->i.size = (uint64_t)json_integer_value(json_object_get(row, "size"));
    e->removed = json_is_true(json_object_get(row, "removed"));
    set_dirs(e);
    return NULL;
}

struct loading {
    struct images *im;
    char **broken; /* ids: a row cannot be deleted while the rows are walked */
};

static int load_row(void *data, const char *id, const char *json, const void *blob, size_t blob_len,
                    struct err *err)
{
    struct loading *l = data;
    struct image_entry *e;
    json_t *row = json_loads(json, 0, NULL);
    const char *fault = NULL;

    if (entry_new(l->im, blob ? blob : "", blob_len, &e, err) < 0) {
        fault = err->msg;
    } else if ((fault = fill_entry(l->im, e, id, row))) {
        entry_unlink(l->im, e);
        for (size_t i = 0; i < e->held_n; i++) /* a layer that others name, too, stays: the sweep comes later */
            e->held[i]->refs--;
        entry_free(l->im, e, false);
    }
    if (fault) {
        log_warn("image %s is dropped: %s; pull it again", id, fault);
        list_add(&l->broken, id);
    }
    json_decref(row);
    return 0;
}

int images_load(struct images *im, struct err *err)
{
    struct loading l = {.im = im};
    int r = layers_load(im->layers, err);

    if (r == 0)
        r = store_each(im->daemon->store, kind, load_row, &l, err);
    for (char **id = l.broken; r == 0 && id && *id; id++)
        r = store_delete(im->daemon->store, kind, *id, err);
    list_free(l.broken);
    if (r < 0)
        return err_wrap(err, "images");
    layers_sweep(im->layers);
    set_pinned(im);
    return 0;
}

/* ---- using and removing ---- */

static void forget(struct images *im, struct image_entry *e)
{
    struct err err;

    if (store_delete(im->daemon->store, kind, e->i.id, &err) < 0)
        log_warn("image %s: %s", e->i.id, err.msg);
    entry_unlink(im, e);
    entry_free(im, e, true);
}

void images_settle(struct images *im)
{
    for (struct image_entry *e = im->all, *next; e; e = next) {
        next = e->next;
        if (e->removed && e->i.users == 0)
            forget(im, e);
    }
}

void image_use(struct images *im, const struct image *i)
{
    for (struct image_entry *e = im->all; e; e = e->next)
        if (&e->i == i)
            e->i.users++;
}

void image_unuse(struct images *im, const char *image_id)
{
    for (struct image_entry *e = im->all; e; e = e->next)
        if (strcmp(e->i.id, image_id) == 0) {
            if (e->i.users > 0 && --e->i.users == 0 && e->removed)
                forget(im, e);
            return;
        }
}

int images_remove(struct images *im, struct image_entry *e, struct err *err)
{
    if (e->i.users == 0) {
        if (store_delete(im->daemon->store, kind, e->i.id, err) < 0)
            return err_errno(err);
        entry_unlink(im, e);
        entry_free(im, e, true);
        return 0;
    }
    list_free(e->i.tags);
    list_free(e->i.digests);
    e->i.tags = mem_alloc(sizeof(char *));
    e->i.digests = mem_alloc(sizeof(char *));
    e->removed = true;
    return put_row(im, e, err);
}
