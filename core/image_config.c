#include "core/image_config.h"
#include "core/image_ref.h"
#include "core/json_doc.h"
#include "core/manifest.h"
#include "core/mem.h"
#include "core/quote.h"
#include "core/signals.h"

#include <string.h>

static const char what[] = "image config";

/* Fields that are plain strings, by document object. */
struct text_field {
    const char *key;
    size_t offset;
};

static const struct text_field outer_texts[] = {
    {"architecture", offsetof(struct image_config, architecture)},
    {"os", offsetof(struct image_config, os)},
    {"variant", offsetof(struct image_config, variant)},
    {"created", offsetof(struct image_config, created)},
};

static const struct text_field inner_texts[] = {
    {"User", offsetof(struct image_config, user)},
    {"WorkingDir", offsetof(struct image_config, working_dir)},
    {"StopSignal", offsetof(struct image_config, stop_signal)},
};

static const struct text_field inner_lists[] = {
    {"Env", offsetof(struct image_config, env)},
    {"Entrypoint", offsetof(struct image_config, entrypoint)},
    {"Cmd", offsetof(struct image_config, cmd)},
};

static void *field_at(struct image_config *c, size_t offset)
{
    return (char *)c + offset;
}

static int read_texts(const json_t *o, const struct text_field *f, size_t n, struct image_config *c,
                      struct err *err)
{
    for (size_t i = 0; i < n; i++) {
        const char *text;
        int r = json_doc_text(o, what, f[i].key, IMAGE_CONFIG_STRING_MAX, &text, err);
        if (r < 0)
            return r;
        *(char **)field_at(c, f[i].offset) = text && *text ? mem_strdup(text) : NULL;
    }
    return 0;
}

static int read_lists(const json_t *o, struct image_config *c, struct err *err)
{
    for (size_t i = 0; i < countof(inner_lists); i++) {
        size_t n;
        int r = json_doc_texts(o, what, inner_lists[i].key, IMAGE_CONFIG_LIST_MAX, IMAGE_CONFIG_STRING_MAX,
                               field_at(c, inner_lists[i].offset), &n, err);
        if (r < 0)
            return r;
    }
    return 0;
}

/* An item without a name or without '=' sets nothing: containerd drops it, and runc refuses to run with it. */
static void drop_bad_env(char **env)
{
    size_t kept = 0;

    for (size_t i = 0; env[i]; i++) {
        if (env[i][0] != '=' && strchr(env[i], '='))
            env[kept++] = env[i];
        else
            free(env[i]);
    }
    env[kept] = NULL;
}

static int read_labels(const json_t *o, struct image_config *c, struct err *err)
{
    const json_t *labels, *value;
    const char *key;

    int r = json_doc_object(o, what, "Labels", &labels, err);
    if (r < 0 || !labels)
        return r;
    if (json_object_size(labels) > IMAGE_CONFIG_LIST_MAX)
        return err_set(err, GRPC_INVALID_ARGUMENT, 0, "%s: Labels has %zu items; at most %d are supported",
                       what, json_object_size(labels), IMAGE_CONFIG_LIST_MAX);
    c->labels.items = mem_alloc(json_object_size(labels) * sizeof(*c->labels.items));
    c->labels.cap = json_object_size(labels);
    json_object_foreach ((json_t *)labels, key, value) {
        if (!json_is_string(value))
            return err_set(err, GRPC_INVALID_ARGUMENT, 0, "%s: Labels: the value of %s is not a string", what,
                           QUOTED(key));
        if (strlen(key) > IMAGE_CONFIG_STRING_MAX || json_string_length(value) > IMAGE_CONFIG_STRING_MAX)
            return err_set(err, GRPC_INVALID_ARGUMENT, 0, "%s: Labels: %s is longer than %d bytes", what,
                           QUOTED(key), IMAGE_CONFIG_STRING_MAX);
        /* keys do not repeat in a JSON object, so the search of kv_set(), quadratic for the whole, is left out */
        c->labels.items[c->labels.n++] = (struct kv){mem_strdup(key), mem_strdup(json_string_value(value))};
    }
    return 0;
}

/* {"/data": {}}: a set, written as an object. */
static int read_volumes(const json_t *o, struct image_config *c, struct err *err)
{
    const json_t *volumes, *unused;
    const char *path;
    size_t n = 0;

    int r = json_doc_object(o, what, "Volumes", &volumes, err);
    if (r < 0 || !volumes)
        return r;
    if (json_object_size(volumes) > IMAGE_CONFIG_LIST_MAX)
        return err_set(err, GRPC_INVALID_ARGUMENT, 0, "%s: Volumes has %zu items; at most %d are supported",
                       what, json_object_size(volumes), IMAGE_CONFIG_LIST_MAX);
    free(c->volumes);
    c->volumes = mem_alloc((json_object_size(volumes) + 1) * sizeof(*c->volumes));
    json_object_foreach ((json_t *)volumes, path, unused) {
        if (path[0] != '/' || strlen(path) > IMAGE_CONFIG_STRING_MAX)
            return err_set(err, GRPC_INVALID_ARGUMENT, 0, "%s: Volumes: %s is not an absolute path", what,
                           QUOTED(path));
        c->volumes[n++] = mem_strdup(path);
    }
    return 0;
}

static int read_diff_ids(const json_t *doc, struct image_config *c, struct err *err)
{
    const json_t *rootfs;

    int r = json_doc_object(doc, what, "rootfs", &rootfs, err);
    if (r < 0)
        return r;
    if (!rootfs)
        return err_set(err, GRPC_INVALID_ARGUMENT, 0,
                       "%s: rootfs is missing; this is not a container image's config", what);
    r = json_doc_texts(rootfs, what, "diff_ids", MANIFEST_LAYERS_MAX, DIGEST_MAX, &c->diff_ids, &c->diff_ids_n,
                       err);
    if (r < 0)
        return r;
    for (size_t i = 0; i < c->diff_ids_n; i++)
        if (!digest_is_valid(c->diff_ids[i]))
            return err_set(
                err, GRPC_INVALID_ARGUMENT, 0,
                "%s: rootfs: diff_ids: item %zu: %s is neither sha256: nor sha512: with its hex digits", what,
                i, QUOTED(c->diff_ids[i]));
    return 0;
}

static int check_values(const struct image_config *c, struct err *err)
{
    int number;

    if (c->working_dir && c->working_dir[0] != '/')
        return err_set(err, GRPC_INVALID_ARGUMENT, 0, "%s: WorkingDir: %s is not an absolute path", what,
                       QUOTED(c->working_dir));
    if (c->stop_signal && signal_parse(c->stop_signal, &number, err) < 0)
        return err_wrap(err, "%s: StopSignal", what);
    return 0;
}

static char **empty_list(void)
{
    return mem_alloc(sizeof(char *));
}

static int read_inner(const json_t *doc, struct image_config *c, struct err *err)
{
    const json_t *o;

    int r = json_doc_object(doc, what, "config", &o, err);
    c->volumes = empty_list();
    if (r < 0)
        return r;
    if (!o) { /* an image may say nothing of how to run it */
        c->env = empty_list();
        c->entrypoint = empty_list();
        c->cmd = empty_list();
        return 0;
    }
    r = read_texts(o, inner_texts, countof(inner_texts), c, err);
    if (r == 0)
        r = read_lists(o, c, err);
    if (r == 0)
        r = read_labels(o, c, err);
    if (r == 0)
        r = read_volumes(o, c, err);
    if (r == 0)
        drop_bad_env(c->env);
    return r;
}

static int read_document(const json_t *doc, struct image_config *c, struct err *err)
{
    if (!json_is_object(doc))
        return err_set(err, GRPC_INVALID_ARGUMENT, 0, "%s is not a JSON object", what);
    int r = read_texts(doc, outer_texts, countof(outer_texts), c, err);
    if (r == 0)
        r = read_inner(doc, c, err);
    if (r == 0)
        r = read_diff_ids(doc, c, err);
    if (r == 0)
        r = check_values(c, err);
    return r;
}

int image_config_parse(const char *json, size_t len, struct image_config **ret_config, struct err *err)
{
    json_t *doc;

    int r = json_doc_load(what, json, len, IMAGE_CONFIG_MAX, &doc, err);
    if (r < 0)
        return r;
    struct image_config *c = mem_new(struct image_config);
    r = read_document(doc, c, err);
    json_decref(doc);
    if (r < 0)
        image_config_free(c);
    else
        *ret_config = c;
    return r;
}

void image_config_free(struct image_config *c)
{
    if (!c)
        return;
    for (size_t i = 0; i < countof(outer_texts); i++)
        free(*(char **)field_at(c, outer_texts[i].offset));
    for (size_t i = 0; i < countof(inner_texts); i++)
        free(*(char **)field_at(c, inner_texts[i].offset));
    for (size_t i = 0; i < countof(inner_lists); i++)
        text_list_free(*(char ***)field_at(c, inner_lists[i].offset));
    text_list_free(c->volumes);
    text_list_free(c->diff_ids);
    kv_done(&c->labels);
    free(c);
}
