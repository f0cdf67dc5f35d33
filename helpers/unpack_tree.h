/*
 * The directory that a layer becomes: makes one entry after the other below a directory descriptor, whatever the archive
 * says, without ever leaving it. Paths are clean (core/tar_entry.h). Symbolic links of the layer that are met on the way
 * to an entry are followed inside the directory, as containerd does; the last component is never followed.
 *
 * A later entry replaces an earlier one; two directories become one with the later one's attributes. Missing parents are
 * made 0755 root and remembered as implied.
 */
#pragma once
#include "core/err.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>
#include <sys/types.h>

struct tree;

struct tree_xattr {
    const char *name;
    const void *value;
    size_t size;
};

struct tree_entry {
    const char *path; /* "" is the directory itself */
    mode_t mode;      /* type and permissions; for a hard link the type is not looked at */
    uid_t uid;
    gid_t gid;
    dev_t rdev;
    struct timespec mtime;
    const char *link; /* of a symbolic link: its text; of a hard link: the clean path of the other name */
    const struct tree_xattr *xattrs;
    size_t xattrs_n;
};

/* root: an open directory; the tree does not own it. plain: owners, xattrs and times are not set, nothing is implied. */
struct tree *tree_new(int root, bool plain);
void tree_free(struct tree *t);

/* A regular file is made by open, any number of writes in ascending order (gaps become holes), and close with its size. */
int tree_file_open(struct tree *t, const struct tree_entry *e, struct err *err) must_check;
int tree_file_write(struct tree *t, const struct tree_entry *e, const void *p, size_t n, uint64_t offset,
                    struct err *err) must_check;
int tree_file_close(struct tree *t, const struct tree_entry *e, uint64_t size, struct err *err) must_check;

/* Directory, symbolic link, device, fifo: all that mknod(2) and its like can make. */
int tree_make(struct tree *t, const struct tree_entry *e, struct err *err) must_check;
int tree_hardlink(struct tree *t, const struct tree_entry *e, struct err *err) must_check;

/* Never deletes what this layer itself has: a directory of the layer is made opaque instead, a file just stays. */
int tree_whiteout(struct tree *t, const char *path, struct err *err) must_check;
int tree_opaque(struct tree *t, const char *dir, struct err *err) must_check;

/* Sets the times of directories that are still open. The implied directories as NUL-terminated paths ("." is the
 * root), which belong to the tree. */
int tree_finish(struct tree *t, const char **ret_implied, size_t *ret_bytes, uint64_t *ret_count,
                struct err *err) must_check;
