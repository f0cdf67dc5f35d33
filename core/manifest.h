/*
 * What a registry answers for a reference: a manifest (one image) or an index (images by platform), of OCI or of
 * Docker's schema 2. Schema 1 is refused.
 * Sources: opencontainers/image-spec manifest.md, image-index.md, descriptor.md; distribution's manifest-v2-2.md.
 */
#pragma once
#include "core/err.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    MANIFEST_MAX = 4 << 20, /* bytes of a document */
    MANIFEST_LAYERS_MAX = 500,
    MANIFEST_ENTRIES_MAX = 1000,
};

/* For the request's Accept header. */
#define MANIFEST_ACCEPT                                                                                        \
    "application/vnd.oci.image.index.v1+json, application/vnd.oci.image.manifest.v1+json, "                    \
    "application/vnd.docker.distribution.manifest.list.v2+json, "                                              \
    "application/vnd.docker.distribution.manifest.v2+json"

struct descriptor {
    char *media_type; /* NULL where the document has none */
    char *digest;     /* valid, see digest_is_valid() */
    uint64_t size;    /* bytes */
};

struct platform {
    char *os; /* NULL throughout: the document says nothing */
    char *architecture;
    char *variant;
};

enum layer_compression { LAYER_PLAIN, LAYER_GZIP, LAYER_ZSTD };

struct manifest_layer {
    struct descriptor blob;
    enum layer_compression compression; /* by media type */
};

struct manifest_entry {
    struct descriptor manifest; /* of a manifest, or of an index once more */
    struct platform platform;
    bool attestation; /* a signature or provenance record: never an image to run */
    char *name;       /* an OCI layout's name for it, or NULL: io.containerd.image.name, else
                         org.opencontainers.image.ref.name, which may be a bare tag */
};

enum manifest_kind { MANIFEST_IMAGE, MANIFEST_INDEX };

struct manifest {
    enum manifest_kind kind;
    char *media_type;
    /* MANIFEST_IMAGE */
    struct descriptor config;
    struct manifest_layer *layers; /* base layer first */
    size_t layers_n;
    /* MANIFEST_INDEX */
    struct manifest_entry *entries;
    size_t entries_n;
};

/*
 * content_type: the answer's header, or the descriptor's media type; NULL or text that is no manifest's type: the
 * document's own mediaType, else its shape, decides. A media type in the document that contradicts content_type is an
 * error. INVALID_ARGUMENT for what is malformed, UNIMPLEMENTED for schema 1, foreign layers, artifacts that are no image.
 */
int manifest_parse(const char *json, size_t len, const char *content_type, struct manifest *ret_manifest,
                   struct err *err) must_check;
void manifest_done(struct manifest *m);
#define cleanup_manifest cleanup_with(manifest_done)

/* The bytes of config and layers together, as the manifest states them. */
uint64_t manifest_size(const struct manifest *m);

/* "linux", and the architecture and the best variant of the machine this was built for. Constant. */
const struct platform *platform_host(void);

/*
 * The entry of an index that suits best: same OS and architecture with the best variant (arm: v7, v6, v5; arm64: v8), then
 * the first entry that names no platform. NOT_FOUND lists the platforms that are there. *ret_entry lives as long as m.
 */
int manifest_choose(const struct manifest *m, const struct platform *want,
                    const struct manifest_entry **ret_entry, struct err *err) must_check;
