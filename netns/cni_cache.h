/*
 * What an attachment was made with, on disk, so that DEL undoes just that: after a crash, a restart, or with another
 * configuration in the directory. One small file an attachment, DIR/CONTAINER-IFNAME.json; written by rename, without
 * fsync: it lies below --state, whose network namespaces do not survive the power cut either.
 */
#pragma once
#include "core/cni_conf.h"
#include "core/err.h"
#include <stdbool.h>

struct cni_cached {
    struct cni_conf *conf;
    json_t *runtime; /* of cni_runtime_json() */
    json_t *result;  /* NULL: ADD had not got that far */
    char *args;      /* CNI_ARGS */
    char *netns;
};

int cni_cache_save(const char *dir, const char *container_id, const char *ifname, const struct cni_cached *c,
                   struct err *err) must_check;
/* *ret zeroed (conf NULL) and 0 when there is none. A file that cannot be read is an error that names it. */
int cni_cache_load(const char *dir, const char *container_id, const char *ifname, struct cni_cached *ret,
                   struct err *err) must_check;
int cni_cache_remove(const char *dir, const char *container_id, const char *ifname,
                     struct err *err) must_check; /* absent is fine */
/*
 * A plugin's stdin is a file beside the cache, DIR/CONTAINER-IFNAME.stdin, which is locked (flock(2)) for as long as the
 * plugin has it open: so a daemon that was started after a crash sees that the old one's plugin is still at work, and does
 * not undo beside it. Opened, filled, locked and rewound.
 */
int cni_cache_stdin(const char *dir, const char *container_id, const char *ifname, const char *text,
                    int *ret_fd, struct err *err) must_check;
bool cni_cache_plugin_runs(const char *dir, const char *container_id, const char *ifname);
/* Removes files that a daemon was killed in the writing of. Before the first operation. */
void cni_cache_tidy(const char *dir);
void cni_cached_done(struct cni_cached *c);
