/*
 * The layers on disk: ROOT/layers/<hex of the diff ID>, each a directory that images share, with a row "layer" in the store
 * (its bytes and files, so that nobody walks it). A layer that nobody holds is removed.
 *
 *            layer_hold              layer_fetch            unpacked, verified, on disk, renamed
 *   (none) -----------> absent ------------------> fetching -----------------------------> ready
 *      ^                  |  ^     an error, cancel   |                                      |
 *      |  layer_release   |  '------------------------'                                      |
 *      '------------------'<-----------------------------------------------------------------'
 *
 * A layer has its name only after a sync that began after its last byte was written: after a power cut it is whole or absent.
 * Layers wait for that together (loop/disk_sync.h).
 *
 * Two fetches of one layer share the transfer: the second waits for the first, and does it itself when the first failed.
 */
#pragma once
#include "core/err.h"
#include "loop/registry.h"
#include <stdbool.h>
#include <stdint.h>

struct daemon;
struct layers;
struct layer_fetch;

enum layer_state { LAYER_ABSENT, LAYER_FETCHING, LAYER_READY };

struct layer {
    char diff_id[72]; /* "sha256:..." */
    char *dir;        /* absolute */
    enum layer_state state;
    unsigned refs;
    uint64_t bytes, files; /* of its content; 0 until ready */
    struct layer *next;
};

struct layers *layers_new(struct daemon *d);
void layers_free(struct layers *ls);

/* Reads the rows; layers of which the directory is gone are forgotten. */
int layers_load(struct layers *ls, struct err *err) must_check;
/* Removes every ready layer that nobody holds, and every other thing below ROOT/layers and ROOT/tmp. */
void layers_sweep(struct layers *ls);

struct layer *layer_hold(struct layers *ls, const char *diff_id); /* a sha256 digest */
void layer_release(struct layers *ls, struct layer *l);
void layers_release(struct layers *ls, struct layer *const *list, size_t n); /* the same for several */
struct layer *layer_find(struct layers *ls,
                         const char *diff_id); /* NULL when nobody holds it and it is not on disk */

struct layer_source {
    struct registry_session *session; /* NULL: from a file */
    const char *digest;               /* of the compressed blob; NULL (a file): not known */
    uint64_t size;                    /* its bytes; 0: not known */
    int fd;                           /* the file; taken over by layer_fetch(), also on error */
};
struct layer_fetch_events {
    /* At most once, and before on_done: it is unpacked, and what is left is to wait for the disk. */
    void (*on_unpacked)(void *data);
    /* Once, later. bytes: compressed, moved for this fetch. */
    void (*on_done)(void *data, bool shared, uint64_t bytes, const struct err *err);
};

/* The caller holds the layer, which is not ready. */
int layer_fetch(struct layers *ls, struct layer *l, const struct layer_source *source,
                const struct layer_fetch_events *ev, void *data, struct layer_fetch **ret_fetch,
                struct err *err) must_check;
void layer_fetch_cancel(struct layer_fetch *f); /* on_done still comes */

/* Sum of the layers on disk. */
void layers_usage(const struct layers *ls, uint64_t *ret_bytes, uint64_t *ret_inodes);
/* Removes a tree below ROOT in the background, gone from its place at once. */
void layers_discard(struct layers *ls, const char *path);
bool layers_settled(const struct layers *ls); /* nothing is being removed: for tests and shutdown */
