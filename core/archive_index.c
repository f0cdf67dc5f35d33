#include "core/archive_index.h"
#include "core/image_ref.h"
#include "core/json_doc.h"
#include "core/mem.h"
#include "core/quote.h"

#include <string.h>

static const char save_name[] = "manifest.json";

int oci_layout_check(const char *json, size_t len, struct err *err)
{
    json_t *cleanup_json doc = NULL;
    const char *version = NULL;

    int r = json_doc_load("oci-layout", json, len, ARCHIVE_INDEX_MAX, &doc, err);
    if (r < 0)
        return r;
    if (json_is_object(doc))
        r = json_doc_text(doc, "oci-layout", "imageLayoutVersion", 32, &version, err);
    if (r < 0)
        return r;
    if (!version || strncmp(version, "1.", 2) != 0)
        return err_set(err, GRPC_UNIMPLEMENTED, 0, "oci-layout: imageLayoutVersion is %s; only 1.x can be read",
                       QUOTED(version));
    return 0;
}

char *oci_layout_blob_path(const char *digest)
{
    return mem_printf("blobs/%.6s/%s", digest, digest + 7);
}

/* A member is only ever looked up in the archive, but a path that leaves it is a sign that something is meant to break. */
static bool is_member_path(const char *p)
{
    if (!p || !*p || *p == '/' || strlen(p) > ARCHIVE_PATH_MAX)
        return false;
    while (*p) {
        size_t n = strcspn(p, "/");
        if (n == 0 || (n == 2 && p[0] == '.' && p[1] == '.'))
            return false;
        p += n;
        if (*p == '/' && *++p == '\0')
            return false;
    }
    return true;
}

static int check_path(const char *image, const char *key, const char *path, struct err *err)
{
    if (!is_member_path(path))
        return err_set(err, GRPC_INVALID_ARGUMENT, 0, "%s: %s: %s is not a relative path within the archive",
                       image, key, QUOTED(path));
    return 0;
}

static int normalise_tag(const char *image, char **tag, struct err *err)
{
    struct image_ref cleanup_image_ref ref = {0};

    if (image_ref_parse(*tag, &ref, err) < 0)
        return err_wrap(err, "%s: RepoTags", image);
    if (!ref.tag)
        return err_set(err, GRPC_INVALID_ARGUMENT, 0, "%s: RepoTags: %s has no tag", image, QUOTED(*tag));
    free(*tag);
    *tag = image_ref_tagged(&ref);
    return 0;
}

static int parse_image(const json_t *o, const char *image, struct docker_archive_image *i, struct err *err)
{
    const char *config = NULL;
    size_t tags_n = 0;

    if (!json_is_object(o))
        return err_set(err, GRPC_INVALID_ARGUMENT, 0, "%s is not an object", image);
    int r = json_doc_text(o, image, "Config", ARCHIVE_PATH_MAX, &config, err);
    if (r == 0)
        r = check_path(image, "Config", config, err);
    if (r < 0)
        return r;
    i->config = mem_strdup(config);
    r = json_doc_texts(o, image, "RepoTags", ARCHIVE_TAGS_MAX, ARCHIVE_PATH_MAX, &i->repo_tags, &tags_n, err);
    for (size_t k = 0; r == 0 && k < tags_n; k++)
        r = normalise_tag(image, &i->repo_tags[k], err);
    if (r == 0)
        r = json_doc_texts(o, image, "Layers", ARCHIVE_LAYERS_MAX, ARCHIVE_PATH_MAX, &i->layers, &i->layers_n,
                           err);
    for (size_t k = 0; r == 0 && k < i->layers_n; k++)
        r = check_path(image, "Layers", i->layers[k], err);
    if (r == 0 && i->layers_n == 0)
        r = err_set(err, GRPC_INVALID_ARGUMENT, 0, "%s: Layers: there are none, so there is nothing to run",
                    image);
    return r;
}

static int parse_document(const json_t *doc, struct docker_archive *a, struct err *err)
{
    const json_t *images, *image;
    char name[64];
    size_t i;

    int r = json_doc_array(doc, save_name, NULL, ARCHIVE_IMAGES_MAX, &images, err);
    if (r < 0)
        return r;
    if (json_array_size(images) == 0)
        return err_set(err, GRPC_INVALID_ARGUMENT, 0, "%s lists no image; there is nothing to import",
                       save_name);
    a->images = mem_alloc(json_array_size(images) * sizeof(*a->images));
    json_array_foreach (images, i, image) {
        snprintf(name, sizeof(name), "%s: image %zu", save_name, i);
        r = parse_image(image, name, &a->images[a->n++], err);
        if (r < 0)
            return r;
    }
    return 0;
}

int docker_archive_parse(const char *json, size_t len, struct docker_archive *ret_archive, struct err *err)
{
    struct docker_archive a = {0};
    json_t *doc;

    int r = json_doc_load(save_name, json, len, ARCHIVE_INDEX_MAX, &doc, err);
    if (r < 0)
        return r;
    r = parse_document(doc, &a, err);
    json_decref(doc);
    if (r < 0)
        docker_archive_done(&a);
    else
        *ret_archive = a;
    return r;
}

void docker_archive_done(struct docker_archive *a)
{
    for (size_t i = 0; i < a->n; i++) {
        free(a->images[i].config);
        text_list_free(a->images[i].repo_tags);
        text_list_free(a->images[i].layers);
    }
    free(a->images);
    *a = (struct docker_archive){0};
}
