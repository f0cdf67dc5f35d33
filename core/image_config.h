/*
 * The OCI image configuration: what an image says of itself. The document's digest is the image's id.
 * Source: opencontainers/image-spec config.md. History is not kept.
 */
#pragma once
#include "core/err.h"
#include "core/kv.h"
#include <stddef.h>

enum {
    IMAGE_CONFIG_MAX = 4 << 20,          /* bytes of the document */
    IMAGE_CONFIG_LIST_MAX = 10000,       /* items of env, entrypoint, cmd, volumes, labels */
    IMAGE_CONFIG_STRING_MAX = 128 << 10, /* bytes of one string, as MAX_ARG_STRLEN of execve(2) */
};

/* A string is NULL where the document has none or an empty one; a list is never NULL and ends with NULL. */
struct image_config {
    char *architecture;
    char *os;
    char *variant;
    char *created; /* RFC 3339 text */
    char *user;    /* "uid", "uid:gid", "name", "name:group" */
    char *working_dir;
    char *stop_signal; /* valid for signal_parse() */
    char **env;        /* "K=V" */
    char **entrypoint;
    char **cmd;
    char **volumes;  /* absolute paths in the container */
    char **diff_ids; /* base layer first; the caller compares their count with the manifest's layers */
    size_t diff_ids_n;
    struct kv_list labels;
};

/* INVALID_ARGUMENT names the field. Needs not be NUL-terminated. */
int image_config_parse(const char *json, size_t len, struct image_config **ret_config,
                       struct err *err) must_check;
void image_config_free(struct image_config *c);
