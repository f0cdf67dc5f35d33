/*
 * Where the images of a registry are fetched from: k3s's registries.yaml.
 *
 *     mirrors:
 *       docker.io:                            # or "*": every host that has no entry of its own
 *         endpoint: ["https://mirror.lan:5000", "http://10.0.0.1/v2/proxy"]
 *         rewrite: {"^library/(.*)": "hub/$1"} # of the repository's path, at these endpoints only
 *     configs:                                # of hosts as they stand in URLs; "*" here as well
 *       "mirror.lan:5000":
 *         auth: {username: u, password: p}    # or auth: BASE64, or identity_token
 *         tls: {cert_file: /c.pem, key_file: /k.pem, ca_file: /ca.pem, insecure_skip_verify: false}
 *
 * Source: docs.k3s.io "Private Registry Configuration". Patterns are POSIX extended expressions.
 */
#pragma once
#include "core/err.h"
#include "core/image_ref.h"
#include <stdbool.h>
#include <stddef.h>

enum {
    REGISTRIES_FILE_MAX = 1 << 20, /* bytes */
    REGISTRIES_ENDPOINTS_MAX = 32, /* of one mirror */
    REGISTRIES_REWRITES_MAX = 32,
    REGISTRIES_PATTERN_MAX = 256, /* bytes of a pattern or replacement */
};

struct registry_auth { /* all may be NULL */
    char *username, *password;
    char *auth; /* base64 of user:password, see auth_basic_decode() */
    char *identity_token;
};

struct registry_tls {
    char *cert_file, *key_file, *ca_file; /* absolute or NULL */
    bool insecure_skip_verify;
};

/* Owns all its strings, so that it outlives a reload of the file. */
struct registry_endpoint {
    char *
        url; /* "https://HOST[:PORT]/v2" or with the path that the file gave; no '/' at the end. + "/PATH/manifests/REF" */
    char *host; /* "mirror.lan:5000", for messages and for keeping tokens apart */
    char *path; /* the repository there: the reference's, rewritten */
    char *
        ns; /* a mirror's requests carry "?ns=DOMAIN" of the reference, as containerd's do; NULL at the registry itself */
    bool mirror;
    bool http_fallback; /* url is https; where no TLS is spoken there, the same with http (localhost only) */
    struct registry_auth auth;
    struct registry_tls tls;
};

struct registry_endpoints {
    struct registry_endpoint *items; /* in the order to try; the registry itself is the last */
    size_t n;
};

struct registries;

/* An absent file is an empty set. Errors name file, line and key. */
int registries_load(const char *path, struct registries **ret_registries, struct err *err) must_check;
/* The same from memory; name stands for the file in messages. */
int registries_parse(const char *text, size_t len, const char *name, struct registries **ret_registries,
                     struct err *err) must_check;
void registries_free(struct registries *r);

/* r may be NULL: no file. FAILED_PRECONDITION when a rewrite makes a path that is none. */
int registries_resolve(const struct registries *r, const struct image_ref *ref,
                       struct registry_endpoints *ret_endpoints, struct err *err) must_check;
void registry_endpoints_done(struct registry_endpoints *e);
#define cleanup_registry_endpoints cleanup_with(registry_endpoints_done)
