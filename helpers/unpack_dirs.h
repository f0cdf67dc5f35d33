/*
 * The directories of the tree that is being unpacked: opened, made where they are missing, and left with the right time.
 *
 * Paths are clean (core/tar_entry.h) and stay inside the root: a symbolic link in the middle of a path is followed as in
 * a chroot, as containerd does.
 *
 * Making an entry changes its directory's mtime. A slot knows the right time, since it asked when the directory was
 * opened, and sets it again when it is closed. So no list of directories is kept until the end, which a hostile archive
 * could make as long as it likes.
 */
#pragma once
#include "core/err.h"
#include "core/tar_entry.h"
#include <stdbool.h>
#include <stdint.h>
#include <sys/stat.h>
#include <time.h>

enum { DIRS_SLOTS = 8, DIRS_IMPLIED_MAX = 65536 };

struct dir_slot { /* an open directory */
    int fd;       /* O_PATH; -1: free */
    bool setgid;  /* what is made in it inherits its group */
    bool touched; /* set by who changed it: its time must be set again */
    struct timespec mtime;
    dev_t dev;
    ino_t ino;
    uint64_t used;
    char path[TAR_PATH_SIZE];
};

struct implied;

struct dirs {
    int root;
    bool plain;
    struct dir_slot slots[DIRS_SLOTS];
    struct dir_slot *last; /* the slot of the last entry, NULL after it was closed */
    uint64_t clock;
    struct implied *implied;
};

void dirs_init(struct dirs *d, int root, bool plain);
void dirs_done(struct dirs *d);

/* Opens the directory that `path` is in, made with its parents if need be; *ret_name is the last component. The slot is
 * good until the next call with another path. */
int dirs_of(struct dirs *d, const char *path, struct dir_slot **ret_slot, const char **ret_name,
            struct err *err) must_check;
/* The same for the directory itself. */
int dirs_open(struct dirs *d, const char *path, struct dir_slot **ret_slot, struct err *err) must_check;
/* A descriptor for something that must be there, or -1 with errno. */
int dirs_open_existing(const struct dirs *d, const char *path, uint64_t flags);
/* Closes all slots: before something goes away or gets another time. */
void dirs_close(struct dirs *d);

/* Directories that were made though the archive has no entry for them. */
int dirs_implied_add(struct dirs *d, const char *path, struct err *err) must_check;
void dirs_implied_drop(struct dirs *d, const char *path);
/* As NUL-terminated paths one behind the other; the caller frees. */
char *dirs_implied_text(const struct dirs *d, size_t *ret_bytes, uint64_t *ret_count);

/* Shared with unpack_tree.c */
bool is_whiteout(const struct stat *st);
int make_opaque(int dir, const char *name, const char *path,
                struct err *err) must_check; /* "." for dir itself */
/* "VERB PATH: strerror(errno)": DATA_LOSS where the archive is at fault, RESOURCE_EXHAUSTED for a full disk. */
int tree_fail(struct err *err, const char *verb, const char *path);
