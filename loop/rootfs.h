/*
 * A container's root filesystem: an overlay of the image's layers and a writable layer, made and unmade in forked children.
 *
 * DATA/upper and DATA/work hold what the container writes; the overlay is mounted at TARGET. The same child that mounts looks
 * the user up in the image's passwd and group and makes the working directory, all inside the root (openat2(2),
 * RESOLVE_IN_ROOT: a symbolic link in the image never leads out of it).
 */
#pragma once
#include "core/err.h"
#include "core/image_user.h"
#include "loop/child.h"
#include "loop/loop.h"

enum { ROOTFS_LAYERS_MAX = 500 };

struct rootfs_spec {  /* copied by the fork: need not live longer than the call */
    const char *name; /* container's id or name, for errors */
    const char *const
        *layers; /* absolute directories, base first, NULL-terminated; an image without layers has none */
    const char *data_dir; /* ROOT/containers/ID: made if missing; an earlier upper and work in it are emptied */
    const char *target;   /* STATE/containers/ID/rootfs: made with its parents */
    const struct image_user_spec *user;
    const char *working_dir; /* absolute, in the container; made when missing. NULL: none */
};

/* user is NULL on error; otherwise the callback may steal its members. After an error rootfs_remove() cleans up. */
typedef void rootfs_prepared_fn(void *data, struct image_user *user, const struct err *err);
typedef void rootfs_done_fn(void *data, const struct err *err); /* err NULL on success */

/* ret_child (may be NULL) is for child_cancel(); on_done still comes, with CANCELLED. */
int rootfs_prepare(struct loop *l, const struct rootfs_spec *spec, rootfs_prepared_fn *on_done, void *data,
                   struct child **ret_child, struct err *err) must_check;

/* Unmounts target and removes it, then data_dir with all in it, then bundle (NULL: none), the same. What is not there is
 * fine: call it as often as you like. */
int rootfs_remove(struct loop *l, const char *data_dir, const char *target, const char *bundle,
                  rootfs_done_fn *on_done, void *data, struct err *err) must_check;
