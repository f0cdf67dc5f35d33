/*
 * A client of OCI registries: manifests and blobs of one reference, from its mirrors and from the registry itself.
 * Sources: opencontainers/distribution-spec; distribution's auth/token.md and auth/oauth.md.
 *
 * Endpoints are tried in the order of registries.yaml. What may pass (no connection, cut off, 429, 5xx) is tried again up to
 * REGISTRY_RETRIES times, later and later or when Retry-After says; then, as with any other failure, the next endpoint is
 * tried. The last endpoint's failure is reported, but wrong bytes of an earlier one before it: NOT_FOUND, UNAUTHENTICATED, PERMISSION_DENIED, UNAVAILABLE or DATA_LOSS.
 * A blob that breaks off goes on by Range where it stopped, at the same endpoint or at the next.
 */
#pragma once
#include "core/err.h"
#include "core/image_ref.h"
#include "core/registries.h"
#include "core/registry_login.h"
#include "loop/http.h"
#include <stddef.h>
#include <stdint.h>

enum { REGISTRY_RETRIES = 3, REGISTRY_RETRY_AFTER_MAX = 30 /* seconds */ };

struct registry;         /* one of the daemon: the HTTP client and the tokens */
struct registry_session; /* one reference with its credentials */
struct registry_request;

struct registry *registry_new(struct loop *l, const char *dns_servers);
void registry_free(struct registry *r); /* no session may be open. NULL is fine */
bool registry_idle(const struct registry *r);

/* conf may be NULL or go away afterwards; credentials may be NULL. */
int registry_open(struct registry *r, const struct registries *conf, const struct image_ref *ref,
                  const struct registry_credentials *credentials, int idle_seconds,
                  struct registry_session **ret_session, struct err *err) must_check;
void registry_close(struct registry_session *s); /* no request may be open. NULL is fine */

struct registry_document {
    char *data; /* NUL-terminated; the callback may steal it */
    size_t len;
    char *media_type;            /* the answer's Content-Type, or NULL */
    char digest[DIGEST_MAX + 1]; /* computed */
};
typedef void registry_document_fn(void *data, struct registry_document *d,
                                  const struct err *err); /* one is NULL */

/* reference: a tag or a digest. The document is at most MANIFEST_MAX bytes and has the digest that was asked for or that
 * the registry states. */
void registry_get_manifest(struct registry_session *s, const char *reference, registry_document_fn *on_done,
                           void *data, struct registry_request **ret_request);
/* A small blob, in memory, with exactly this digest and size. */
void registry_get_document(struct registry_session *s, const char *digest, uint64_t size,
                           registry_document_fn *on_done, void *data, struct registry_request **ret_request);

struct registry_sink {
    /* Takes up to n bytes and returns how many; fewer stop the transfer until registry_resume(). */
    size_t (*on_bytes)(void *data, const void *p, size_t n);
    void (*on_done)(void *data,
                    const struct err *err); /* err NULL: `size` bytes were given; their digest is not checked */
};
void registry_get_blob(struct registry_session *s, const char *digest, uint64_t size,
                       const struct registry_sink *sink, void *data, struct registry_request **ret_request);
void registry_resume(struct registry_request *q);

/* The completion comes, with CANCELLED. */
void registry_cancel(struct registry_request *q);
