/*
 * Turns a compressed layer into a directory: the daemon's side of the helper cricket-unpack, which does all the work in
 * a sandbox of its own (helpers/unpack.h). The bytes are fed by unpack_write() as they come from the network, or the
 * helper reads them from a file. Nothing is synced: that is for many layers at once (loop/disk_sync.h).
 *
 *   unpack_start   unpack_write ... unpack_eof      the helper ends     digests right
 *  ------------> fed ------------------------> draining ------------> checked ----------> on_done, no error
 *                 |  unpack_cancel, a bad archive, no space |  digest or size wrong |
 *                 v                                         v                       v
 *                 removing (a child removes the directory) ---------------------------> on_done with the error
 *
 * Layer format: OCI image-spec, layer.md. Whiteouts become overlayfs's: a character device 0:0, and the xattr
 * trusted.overlay.opaque=y on a directory.
 */
#pragma once
#include "core/err.h"
#include "core/unpack_result.h"
#include "loop/loop.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct unpack;

struct unpack_limits {  /* 0: the default */
    uint64_t max_files; /* entries of the archive: 1 000 000 */
    uint64_t max_bytes; /* uncompressed bytes of the archive: 64 GiB */
    uint32_t max_path;  /* bytes of a path: 4095 */
};

struct unpack_spec {
    const char *binary; /* path of cricket-unpack */
    const char *
        dir; /* absolute path of the directory to fill; made by unpack_start(), must not exist, its parent must */
    const char *digest;  /* "sha256:..." that the compressed bytes must have; NULL: not checked */
    const char *diff_id; /* "sha256:..." that the uncompressed archive must have; NULL: not checked */
    uint64_t size;       /* compressed bytes that must come; 0: unknown */
    int input_fd; /* >= 0: the helper reads this file, the caller may close it after unpack_start(); -1: unpack_write() */
    struct unpack_limits limits;
    /* For image import: directories, regular files, hard links and symbolic links as they are, owned by us, without
     * whiteouts, xattrs and devices. Who reads them must open with RESOLVE_BENEATH: links lead anywhere. */
    bool plain_archive;
};

/* err NULL: the directory is whole, and the caller's. Else there is no directory. Errors: DATA_LOSS for a
 * digest, size or archive that is wrong, RESOURCE_EXHAUSTED for a full disk or a limit, CANCELLED. */
typedef void unpack_done_fn(void *data, const struct unpack_result *result, const struct err *err);

/* on_done is called once, later. On error nothing was started. The strings of spec are copied. */
int unpack_start(struct loop *l, const struct unpack_spec *spec, unpack_done_fn *on_done, void *data,
                 struct unpack **ret_unpack, struct err *err) must_check;

/* Gives it up to n bytes and returns how many it took, 0 when it is full: then wait for unpack_on_room(). Once it has
 * failed it takes and drops everything; on_done tells why. */
size_t unpack_write(struct unpack *u, const void *p, size_t n);

/* Calls fn once, later, when it can take more. Not called any more after on_done; fn NULL takes the request back. */
void unpack_on_room(struct unpack *u, void (*fn)(void *data), void *data);

/* No more bytes come. */
void unpack_eof(struct unpack *u);

/* Kills it. on_done still comes, with CANCELLED, after the directory is removed. */
void unpack_cancel(struct unpack *u);

/*
 * Gives the implied directories of each layer the owner, mode, times and xattrs that the directory has in the nearest
 * lower layer, as if the layers had been unpacked one over the other; in a child. layers: NULL-terminated, lowest first.
 * A layer's DIR.implied is removed when its directories are done, so that the first image decides and a layer in use
 * does not change.
 */
int unpack_fix_implied(struct loop *l, const char *const *layers,
                       void (*on_done)(void *data, const struct err *err), void *data,
                       struct err *err) must_check;
