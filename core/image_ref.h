/*
 * Image references, normalised as docker and containerd do: "busybox" is docker.io/library/busybox:latest.
 *
 *     [domain[:port]/]path[:tag][@digest]
 *
 * The first component is a domain when it has a '.' or a ':' or is "localhost"; otherwise the domain is docker.io, and a
 * path of one component there gets "library/" before it. Grammar: github.com/distribution/reference.
 */
#pragma once
#include "core/err.h"
#include <stdbool.h>
#include <stddef.h>

enum {
    IMAGE_REF_NAME_MAX = 255, /* domain and path together, as the distribution specification has it */
    IMAGE_REF_TAG_MAX = 128,
    DIGEST_MAX = 7 + 128, /* "sha512:" and its digits */
};

struct image_ref {
    char *domain; /* "docker.io", "localhost:5000", "[::1]:5000" */
    char *path;   /* "library/busybox" */
    char *tag;    /* "latest" where the text had neither tag nor digest; NULL where it had only a digest */
    char *digest; /* "sha256:..." or NULL */
};

/* INVALID_ARGUMENT says what is wrong with s. A bare id (64 hex digits) is not a reference. */
int image_ref_parse(const char *s, struct image_ref *ret_ref, struct err *err) must_check;
void image_ref_done(struct image_ref *ref);
#define cleanup_image_ref cleanup_with(image_ref_done)

/* The caller frees. */
char *image_ref_name(const struct image_ref *ref);   /* "docker.io/library/busybox" */
char *image_ref_tagged(const struct image_ref *ref); /* "docker.io/library/busybox:1.36"; NULL without a tag */
char *image_ref_digested(const struct image_ref *ref,
                         const char *digest);      /* "NAME@sha256:..."; digest NULL: ref's own, NULL without */
char *image_ref_text(const struct image_ref *ref); /* everything that is there: "NAME:TAG@DIGEST" */

/* What stands behind /manifests/ in a registry's URL: the digest, else the tag. Lives as long as ref. */
const char *image_ref_reference(const struct image_ref *ref);

/* The host that serves a domain's images: itself, but for docker.io, whose registry has another name. */
const char *image_ref_host(const char *domain);

/* The grammar's parts by themselves: a host name or address with an optional port; a repository's path. */
bool image_domain_is_valid(const char *s, size_t n);
bool image_path_is_valid(const char *s, size_t n);

/* Exactly "sha256:" and 64, or "sha512:" and 128, lower-case hex digits. */
bool digest_is_valid(const char *s);
