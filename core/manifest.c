#include "core/manifest.h"
#include "core/buf.h"
#include "core/image_config.h"
#include "core/image_ref.h"
#include "core/json_doc.h"
#include "core/mem.h"
#include "core/quote.h"

#include <string.h>
#include <strings.h>

enum {
    MEDIA_TYPE_MAX = 255, /* RFC 6838 section 4.2 */
    PLATFORM_TEXT_MAX = 64,
    NAME_TEXT_MAX = 1024,
};
static const uint64_t layer_size_max = (uint64_t)1 << 40; /* 1 TiB: the sum over all layers cannot overflow */

enum manifest_type { TYPE_UNKNOWN, TYPE_IMAGE, TYPE_INDEX, TYPE_SCHEMA1 };

static const struct {
    const char *media_type;
    enum manifest_type type;
} manifest_types[] = {
    {"application/vnd.oci.image.manifest.v1+json", TYPE_IMAGE},
    {"application/vnd.docker.distribution.manifest.v2+json", TYPE_IMAGE},
    {"application/vnd.oci.image.index.v1+json", TYPE_INDEX},
    {"application/vnd.docker.distribution.manifest.list.v2+json", TYPE_INDEX},
    {"application/vnd.docker.distribution.manifest.v1+json", TYPE_SCHEMA1},
    {"application/vnd.docker.distribution.manifest.v1+prettyjws", TYPE_SCHEMA1},
};

static const char *const config_types[] = {
    "application/vnd.oci.image.config.v1+json",
    "application/vnd.docker.container.image.v1+json",
};

static const struct {
    const char *media_type;
    enum layer_compression compression;
    bool foreign; /* its bytes are not in the registry */
} layer_types[] = {
    {"application/vnd.oci.image.layer.v1.tar", LAYER_PLAIN, false},
    {"application/vnd.oci.image.layer.v1.tar+gzip", LAYER_GZIP, false},
    {"application/vnd.oci.image.layer.v1.tar+zstd", LAYER_ZSTD, false},
    {"application/vnd.docker.image.rootfs.diff.tar", LAYER_PLAIN, false},
    {"application/vnd.docker.image.rootfs.diff.tar.gzip", LAYER_GZIP, false},
    {"application/vnd.docker.image.rootfs.diff.tar.zstd", LAYER_ZSTD, false},
    {"application/vnd.oci.image.layer.nondistributable.v1.tar", LAYER_PLAIN, true},
    {"application/vnd.oci.image.layer.nondistributable.v1.tar+gzip", LAYER_GZIP, true},
    {"application/vnd.oci.image.layer.nondistributable.v1.tar+zstd", LAYER_ZSTD, true},
    {"application/vnd.docker.image.rootfs.foreign.diff.tar", LAYER_PLAIN, true},
    {"application/vnd.docker.image.rootfs.foreign.diff.tar.gzip", LAYER_GZIP, true},
};

static enum manifest_type type_of(const char *media_type)
{
    size_t n = media_type ? strcspn(media_type, "; \t") : 0; /* a header may add "; charset=utf-8" */

    for (size_t i = 0; n && i < countof(manifest_types); i++)
        if (strlen(manifest_types[i].media_type) == n &&
            strncasecmp(manifest_types[i].media_type, media_type, n) == 0)
            return manifest_types[i].type;
    return TYPE_UNKNOWN;
}

static int refuse_schema1(struct err *err)
{
    return err_set(err, GRPC_UNIMPLEMENTED, 0,
                   "manifest has schema version 1, which carries no verifiable image config; "
                   "push the image again with a current tool, as OCI or Docker schema 2");
}

/* ---- descriptors ---- */

static void descriptor_done(struct descriptor *d)
{
    free(d->media_type);
    free(d->digest);
}

static int parse_descriptor(const json_t *o, const char *what, uint64_t size_max, struct descriptor *d,
                            struct err *err)
{
    const char *media_type = NULL, *digest = NULL;
    bool sized = false;

    if (!o || !json_is_object(o))
        return err_set(err, GRPC_INVALID_ARGUMENT, 0, "%s is missing or not an object", what);
    int r = json_doc_text(o, what, "mediaType", MEDIA_TYPE_MAX, &media_type, err);
    if (r == 0)
        r = json_doc_text(o, what, "digest", DIGEST_MAX, &digest, err);
    if (r == 0)
        r = json_doc_number(o, what, "size", size_max, &sized, &d->size, err);
    if (r < 0)
        return r;
    if (!digest_is_valid(digest))
        return err_set(err, GRPC_INVALID_ARGUMENT, 0,
                       "%s: digest: %s is neither sha256: nor sha512: with its hex digits", what,
                       QUOTED(digest));
    if (!sized)
        return err_set(err, GRPC_INVALID_ARGUMENT, 0, "%s: size is missing", what);
    d->media_type = media_type && *media_type ? mem_strdup(media_type) : NULL;
    d->digest = mem_strdup(digest);
    return 0;
}

/* ---- image manifests ---- */

static int parse_config(const json_t *doc, struct manifest *m, struct err *err)
{
    int r =
        parse_descriptor(json_object_get(doc, "config"), "manifest: config", IMAGE_CONFIG_MAX, &m->config, err);

    if (r < 0 || !m->config.media_type)
        return r;
    for (size_t i = 0; i < countof(config_types); i++)
        if (strcmp(config_types[i], m->config.media_type) == 0)
            return 0;
    return err_set(
        err, GRPC_UNIMPLEMENTED, 0,
        "manifest: config: mediaType %s is not a container image's; this is another kind of artifact, which "
        "cannot be run",
        QUOTED(m->config.media_type));
}

static int parse_layer(const json_t *o, const char *what, struct manifest_layer *l, struct err *err)
{
    int r = parse_descriptor(o, what, layer_size_max, &l->blob, err);

    if (r < 0)
        return r;
    for (size_t i = 0; l->blob.media_type && i < countof(layer_types); i++) {
        if (strcmp(layer_types[i].media_type, l->blob.media_type) != 0)
            continue;
        if (layer_types[i].foreign)
            return err_set(
                err, GRPC_UNIMPLEMENTED, 0,
                "%s: mediaType %s: a foreign layer is not kept by the registry; build the image without it",
                what, QUOTED(l->blob.media_type));
        l->compression = layer_types[i].compression;
        return 0;
    }
    return err_set(
        err, GRPC_UNIMPLEMENTED, 0,
        "%s: mediaType %s is not supported; layers may be tar, tar+gzip or tar+zstd of OCI or Docker", what,
        QUOTED(l->blob.media_type));
}

static int parse_image(const json_t *doc, struct manifest *m, struct err *err)
{
    const json_t *layers = NULL, *layer;
    char what[64];
    size_t i;

    m->kind = MANIFEST_IMAGE;
    int r = parse_config(doc, m, err);
    if (r == 0)
        r = json_doc_array(doc, "manifest", "layers", MANIFEST_LAYERS_MAX, &layers, err);
    if (r < 0)
        return r;
    if (json_array_size(layers) == 0)
        return err_set(err, GRPC_INVALID_ARGUMENT, 0,
                       "manifest: layers: there are none, so there is nothing to run");
    m->layers = mem_alloc(json_array_size(layers) * sizeof(*m->layers));
    json_array_foreach (layers, i, layer) {
        snprintf(what, sizeof(what), "manifest: layers: item %zu", i);
        r = parse_layer(layer, what, &m->layers[m->layers_n++], err);
        if (r < 0)
            return r;
    }
    return 0;
}

/* ---- indexes ---- */

static void platform_done(struct platform *p)
{
    free(p->os);
    free(p->architecture);
    free(p->variant);
}

static int platform_text(const json_t *o, const char *what, const char *key, char **ret_text, struct err *err)
{
    const char *text;
    int r = json_doc_text(o, what, key, PLATFORM_TEXT_MAX, &text, err);

    if (r == 0)
        *ret_text = text && *text ? mem_strdup(text) : NULL;
    return r;
}

static int parse_platform(const json_t *entry, const char *what, struct platform *p, struct err *err)
{
    const json_t *o;

    int r = json_doc_object(entry, what, "platform", &o, err);
    if (r < 0 || !o)
        return r;
    r = platform_text(o, what, "os", &p->os, err);
    if (r == 0)
        r = platform_text(o, what, "architecture", &p->architecture, err);
    if (r == 0)
        r = platform_text(o, what, "variant", &p->variant, err);
    return r;
}

static int parse_annotations(const json_t *entry, const char *what, struct manifest_entry *e, struct err *err)
{
    const char *full = NULL, *ref = NULL, *type = NULL;
    const json_t *o;

    int r = json_doc_object(entry, what, "annotations", &o, err);
    if (r < 0 || !o)
        return r;
    r = json_doc_text(o, what, "io.containerd.image.name", NAME_TEXT_MAX, &full, err);
    if (r == 0)
        r = json_doc_text(o, what, "org.opencontainers.image.ref.name", NAME_TEXT_MAX, &ref, err);
    if (r == 0)
        r = json_doc_text(o, what, "vnd.docker.reference.type", NAME_TEXT_MAX, &type, err);
    if (r < 0)
        return r;
    const char *name = full && *full ? full : ref;
    e->name = name && *name ? mem_strdup(name) : NULL;
    e->attestation = type && strcmp(type, "attestation-manifest") == 0;
    return 0;
}

static bool text_is(const char *a, const char *b)
{
    return a && strcmp(a, b) == 0;
}

static int parse_entry(const json_t *o, const char *what, struct manifest_entry *e, struct err *err)
{
    int r = parse_descriptor(o, what, MANIFEST_MAX, &e->manifest, err);

    if (r == 0)
        r = parse_platform(o, what, &e->platform, err);
    if (r == 0)
        r = parse_annotations(o, what, e, err);
    if (text_is(e->platform.os, "unknown") && text_is(e->platform.architecture, "unknown"))
        e->attestation = true;
    return r;
}

static int parse_index(const json_t *doc, struct manifest *m, struct err *err)
{
    const json_t *entries = NULL, *entry;
    char what[64];
    size_t i;

    m->kind = MANIFEST_INDEX;
    int r = json_doc_array(doc, "image index", "manifests", MANIFEST_ENTRIES_MAX, &entries, err);
    if (r < 0)
        return r;
    if (json_array_size(entries) == 0)
        return err_set(err, GRPC_INVALID_ARGUMENT, 0,
                       "image index: manifests: there are none, so there is no image");
    m->entries = mem_alloc(json_array_size(entries) * sizeof(*m->entries));
    json_array_foreach (entries, i, entry) {
        snprintf(what, sizeof(what), "image index: manifests: item %zu", i);
        r = parse_entry(entry, what, &m->entries[m->entries_n++], err);
        if (r < 0)
            return r;
    }
    return 0;
}

/* ---- either ---- */

static int check_schema(const json_t *doc, struct err *err)
{
    bool there;
    uint64_t version;

    int r = json_doc_number(doc, "manifest", "schemaVersion", INT32_MAX, &there, &version, err);
    if (r < 0)
        return r;
    if (version == 1 || json_object_get(doc, "fsLayers"))
        return refuse_schema1(err);
    if (version != 2)
        return err_set(err, GRPC_INVALID_ARGUMENT, 0, "manifest: schemaVersion is %s; it must be 2",
                       there ? "another number" : "missing");
    return 0;
}

/*
 * The shape must agree with the stated type: a document that reads as an index to one program and as a manifest to another
 * would have one digest and two meanings.
 */
static int decide_type(const json_t *doc, const char *content_type, const char *own_type,
                       enum manifest_type *ret_type, struct err *err)
{
    enum manifest_type outer = type_of(content_type), own = type_of(own_type);
    bool index = json_object_get(doc, "manifests");
    bool image = json_object_get(doc, "config") || json_object_get(doc, "layers");

    if (outer == TYPE_SCHEMA1 || own == TYPE_SCHEMA1)
        return refuse_schema1(err);
    if (own_type && *own_type && own == TYPE_UNKNOWN)
        return err_set(err, GRPC_UNIMPLEMENTED, 0,
                       "manifest: mediaType %s is not that of a container image or index", QUOTED(own_type));
    if (outer != TYPE_UNKNOWN && own != TYPE_UNKNOWN && outer != own)
        return err_set(err, GRPC_INVALID_ARGUMENT, 0,
                       "manifest: mediaType %s contradicts the type it was served with, %s", QUOTED(own_type),
                       QUOTED(content_type));
    enum manifest_type type = outer != TYPE_UNKNOWN ? outer : own;
    if (type == TYPE_UNKNOWN)
        type = index ? TYPE_INDEX : TYPE_IMAGE;
    if (type == TYPE_INDEX ? image : index)
        return err_set(err, GRPC_INVALID_ARGUMENT, 0, "manifest has fields of %s, though it is %s",
                       type == TYPE_INDEX ? "an image manifest" : "an index",
                       type == TYPE_INDEX ? "an index" : "an image manifest");
    *ret_type = type;
    return 0;
}

static int parse_document(const json_t *doc, const char *content_type, struct manifest *m, struct err *err)
{
    enum manifest_type type = TYPE_UNKNOWN;
    const char *own_type = NULL;

    if (!json_is_object(doc))
        return err_set(err, GRPC_INVALID_ARGUMENT, 0, "manifest is not a JSON object");
    int r = json_doc_text(doc, "manifest", "mediaType", MEDIA_TYPE_MAX, &own_type, err);
    if (r == 0)
        r = check_schema(doc, err);
    if (r == 0)
        r = decide_type(doc, content_type, own_type, &type, err);
    if (r < 0)
        return r;
    m->media_type = own_type && *own_type ? mem_strdup(own_type) : NULL;
    return type == TYPE_INDEX ? parse_index(doc, m, err) : parse_image(doc, m, err);
}

int manifest_parse(const char *json, size_t len, const char *content_type, struct manifest *ret_manifest,
                   struct err *err)
{
    struct manifest m = {0};
    json_t *doc;

    int r = json_doc_load("manifest", json, len, MANIFEST_MAX, &doc, err);
    if (r < 0)
        return r;
    r = parse_document(doc, content_type, &m, err);
    json_decref(doc);
    if (r < 0)
        manifest_done(&m);
    else
        *ret_manifest = m;
    return r;
}

void manifest_done(struct manifest *m)
{
    free(m->media_type);
    descriptor_done(&m->config);
    for (size_t i = 0; i < m->layers_n; i++)
        descriptor_done(&m->layers[i].blob);
    free(m->layers);
    for (size_t i = 0; i < m->entries_n; i++) {
        descriptor_done(&m->entries[i].manifest);
        platform_done(&m->entries[i].platform);
        free(m->entries[i].name);
    }
    free(m->entries);
    *m = (struct manifest){0};
}

uint64_t manifest_size(const struct manifest *m)
{
    uint64_t sum = m->config.size;

    for (size_t i = 0; i < m->layers_n; i++)
        sum += m->layers[i].blob.size;
    return sum;
}
