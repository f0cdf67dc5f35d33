/*
 * The inside of handlers/images.h, for the files that make, pull, list and remove images.
 *
 * A row of the store: kind "image", id = image id, json {"tags", "digests", "layers": diff IDs, "size", "removed"}, blob = the
 * bytes of the image's config.
 */
#pragma once
#include "handlers/images.h"
#include "handlers/layers.h"
#include "loop/registry.h"
#include <sys/types.h>

struct pull;

struct image_entry {
    struct image i; /* the first member: a struct image of the table is one of these */
    struct image_entry *next;
    struct layer **held; /* all layers, base first, repeats too */
    size_t held_n;
    char *config_json;
    size_t config_len;
    bool removed; /* by RemoveImage, while it had users */
};

struct images {
    struct daemon *daemon;
    struct layers *layers;
    struct registry *registry;
    struct registries *registries;   /* NULL: no file */
    struct timespec registries_read; /* its time of modification then */
    struct image_entry *all;         /* oldest first */
    struct pull *pulls;
};

struct image_new {
    const char *config_json; /* copied */
    size_t config_len;
    struct layer *const *layers; /* ready; each is held once more */
    size_t layers_n;
    uint64_t size;
    char *const *tags;  /* NULL-terminated; taken from images that have them now. NULL: none */
    const char *digest; /* "NAME@sha256:...", or NULL */
};

/* Adds the image, or the names to the image that is there, and writes the rows. */
int images_commit(struct images *im, const struct image_new *n, const struct image_entry **ret_image,
                  struct err *err) must_check;

/* The whole image with all its names; layers go when nobody uses them. */
int images_remove(struct images *im, struct image_entry *e, struct err *err) must_check;

struct image_entry *image_entry_find(struct images *im, const char *ref);

/* The registries file, read anew when it has changed. A file with an error: that error. NULL: there is none. */
int images_registries(struct images *im, const struct registries **ret_registries, struct err *err) must_check;

void pulls_drop(struct images *im); /* images_free(): frees what runs, without a call */
