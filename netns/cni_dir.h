/*
 * The directory of network configurations: its first usable file, by name, is the node's network.
 *
 * It is looked at on each call, by name, size and times of its files, and read only when one of these changed: no watch
 * that can be lost, and a directory that appears later is found.
 */
#pragma once
#include "core/cni_conf.h"
#include "core/err.h"
#include <stdint.h>

struct cni_dir {
    char *path;
    struct cni_conf *fallback; /* for a directory without files; NULL: none */
    struct cni_conf *conf;     /* NULL while there is none */
    struct err why;            /* then: the reason */
    uint64_t seen;             /* fingerprint of what was read */
    bool read_once;
};

void cni_dir_init(struct cni_dir *d, const char *path,
                  struct cni_conf *fallback /* takes over the reference */);
void cni_dir_done(struct cni_dir *d);
/* Belongs to the directory: take a reference to keep it over a wait. NULL with a reason that says what to put where. */
const struct cni_conf *cni_dir_conf(struct cni_dir *d, struct err *err);
