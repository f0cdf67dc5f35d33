/*
 * The tables of contents of image archives, for import: an OCI layout (oci-layout, index.json) and docker-save's
 * manifest.json. Sources: opencontainers/image-spec image-layout.md; moby's image/spec v1.2.
 *
 * An OCI layout's index.json is an index: manifest_parse() reads it, and its entries carry the names.
 */
#pragma once
#include "core/err.h"
#include <stddef.h>

enum {
    ARCHIVE_INDEX_MAX = 4 << 20, /* bytes of a document */
    ARCHIVE_IMAGES_MAX = 1000,
    ARCHIVE_TAGS_MAX = 1000, /* of one image */
    ARCHIVE_LAYERS_MAX = 500,
    ARCHIVE_PATH_MAX = 1024,
};

/* The "oci-layout" file: imageLayoutVersion must be 1.x. */
int oci_layout_check(const char *json, size_t len, struct err *err) must_check;

/* "blobs/sha256/HEX" of a valid digest; the caller frees. */
char *oci_layout_blob_path(const char *digest);

struct docker_archive_image {
    char *config;     /* member of the archive: relative, without "..", as are the layers */
    char **repo_tags; /* normalised references with tag; NULL-terminated, may be empty */
    char **layers;    /* base layer first; NULL-terminated */
    size_t layers_n;
};

struct docker_archive {
    struct docker_archive_image *images;
    size_t n;
};

int docker_archive_parse(const char *json, size_t len, struct docker_archive *ret_archive,
                         struct err *err) must_check;
void docker_archive_done(struct docker_archive *a);
