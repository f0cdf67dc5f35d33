/*
 * The images that this node has: the table in memory, its rows in the store, and the layers below ROOT/layers that they
 * share by diff ID. Pulling and importing are flows in pull_image.c and import_image.c.
 */
#pragma once
#include "core/err.h"
#include "core/image_config.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct daemon;
struct images;

struct image {
    char id[72];    /* "sha256:" and the digest of the image's config */
    char **tags;    /* "docker.io/library/busybox:1.36", normalised; NULL-terminated */
    char **digests; /* "docker.io/library/busybox@sha256:..."; NULL-terminated */
    char **layers;  /* directories, absolute, base layer first, without repeats; NULL-terminated */
    uint64_t size;  /* compressed bytes of config and layers (as containerd reports) */
    struct image_config *config;
    bool pinned;
    unsigned users; /* containers and running flows: RemoveImage keeps the layers while > 0 */
};

struct images *images_new(struct daemon *d);
void images_free(struct images *im); /* drops pulls without a call */
/* Reads the store; removes layer directories and temporary files that no row names, in a child. */
int images_load(struct images *im, struct err *err) must_check;
/* At start, after the containers have taken their images: lets go of removed images that have no user any more. */
void images_settle(struct images *im);

/* By full id, "sha256:" id, unique id prefix of at least 4 digits, tag or digest reference (normalised first). NULL if absent. */
const struct image *image_find(struct images *im, const char *ref);
const struct image *image_at(struct images *im, size_t i); /* NULL past the end */
/* By full id, also one that was removed while it had users: for containers that are loaded at start. NULL if absent. */
const struct image *image_find_used(struct images *im, const char *id);
/*
 * A user keeps the image's layers on disk even if the image is removed meanwhile: RemoveImage then takes it out of the lists
 * and forgets its names at once, and the layers go with the last user; a pull of the same image brings it back.
 */
void image_use(struct images *im, const struct image *i);
void image_unuse(struct images *im, const char *image_id);

struct image_auth { /* all may be NULL */
    const char *username, *password, *auth, *identity_token, *registry_token, *server_address;
};
typedef void image_pulled_fn(void *data, const char *image_id, const struct err *err); /* err NULL on success */
struct image_pull; /* one waiter of a pull */

/* Pulls, or joins the pull of the same reference that runs. on_done comes once, later. */
int image_pull(struct images *im, const char *ref, const struct image_auth *auth, image_pulled_fn *on_done,
               void *data, struct image_pull **ret_pull, struct err *err) must_check;
/* The waiter goes: on_done does not come; without waiters the pull is cancelled and what it had begun is undone. */
void image_pull_leave(struct image_pull *p);
