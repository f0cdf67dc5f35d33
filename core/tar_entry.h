/*
 * The rules for one entry of a layer's tar archive, as pure functions: which names are taken, what a whiteout means,
 * which xattrs are kept, and how many entries and bytes are too many. The files are made by helpers/unpack_tree.c.
 *
 * OCI image-spec layer.md; pax names as in pax(1), xattrs as SCHILY.xattr.*.
 */
#pragma once
#include "core/err.h"
#include <stddef.h>
#include <stdint.h>

enum {
    TAR_PATH_MAX = 4095, /* bytes of a path, without the NUL: what the kernel takes */
    TAR_NAME_MAX = 255,  /* bytes of one component */
    TAR_PATH_SIZE = TAR_PATH_MAX + 1,
    TAR_XATTR_NAME_MAX = 255,
    TAR_XATTR_VALUE_MAX = 65536,
    TAR_QUOTED_SIZE = 200,
};

/*
 * Writes the relative path that `name` means: "/./usr//bin/" gives "usr/bin", ".", "./" and "/" give "". A ".." is
 * refused, as are an empty name, one longer than `max` and a component longer than TAR_NAME_MAX. ret_path may be name.
 */
int tar_path_clean(const char *name, size_t max, char ret_path[static TAR_PATH_SIZE],
                   struct err *err) must_check;

enum tar_whiteout {
    TAR_NO_WHITEOUT,
    TAR_WHITEOUT_NAME,   /* DIR/.wh.NAME: NAME of the lower layers is gone */
    TAR_WHITEOUT_OPAQUE, /* DIR/.wh..wh..opq: all that the lower layers have in DIR is gone */
    TAR_WHITEOUT_OTHER,  /* .wh..wh.plnk and other marks of AUFS, and what is below them: to be skipped */
};

/* What a clean path is. For the first two kinds `path` is changed to the one that is meant: "DIR/NAME" or "DIR" ("" for
 * the root). A whiteout without a name, or of "." or "..", is an error. Returns enum tar_whiteout or a negative errno. */
int tar_whiteout_take(char *path, struct err *err) must_check;

enum tar_xattr {
    TAR_XATTR_DROP, /* overlay's own marks, which would reach into other layers, and labels that belong to the host */
    TAR_XATTR_OPTIONAL, /* set; a filesystem that has no place for it is no error */
    TAR_XATTR_REQUIRED, /* security.capability: without it a program does not work */
};
enum tar_xattr tar_xattr_rule(const char *name);

struct tar_limits {
    uint64_t max_files;
    uint64_t max_bytes;
    uint32_t max_path;
};
/* The defaults where a field is 0, and no more than TAR_PATH_MAX. */
struct tar_limits tar_limits_with_defaults(struct tar_limits l);
/* files and bytes: what has been read, the current entry included. */
int tar_limits_check(const struct tar_limits *l, uint64_t files, uint64_t bytes, struct err *err) must_check;

/* For messages: control bytes, backslash and bytes above 126 as \ooo, cut to the buffer with "..." at the end. Returns ret_text. */
const char *tar_quote(const char *name, char ret_text[static TAR_QUOTED_SIZE]);
