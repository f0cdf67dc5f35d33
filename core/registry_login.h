/*
 * Which credentials an endpoint gets, and the words in which it gets them. Pure.
 * Sources: distribution's auth/token.md and auth/oauth.md, RFC 7617 (Basic), RFC 6750 (Bearer).
 */
#pragma once
#include "core/auth_challenge.h"
#include "core/err.h"
#include "core/registries.h"
#include <stdbool.h>
#include <stddef.h>

struct registry_credentials { /* a request's AuthConfig; all may be NULL or "" */
    const char *username, *password, *auth, *identity_token, *registry_token, *server_address;
};

struct registry_login { /* all NULL: anonymous */
    char *username, *password;
    char *identity_token; /* a refresh token for the token service */
    char *registry_token; /* a bearer token for the registry itself */
};

/*
 * The request's credentials are for the reference's own registry, so a mirror gets them only where server_address names it;
 * where server_address names neither, nobody does. Without any of them those of registries.yaml apply.
 */
int registry_login_choose(const struct registry_endpoint *e, const char *domain,
                          const struct registry_credentials *c, struct registry_login *ret_login,
                          struct err *err) must_check;
void registry_login_done(struct registry_login *l);
bool registry_login_is_anonymous(const struct registry_login *l);

/* "Basic ..."; NULL without a user name. The caller frees. */
char *registry_login_basic(const struct registry_login *l);

struct token_request {
    char *url;
    char *body;          /* a form to POST; NULL: GET */
    char *authorization; /* or NULL */
};

/* path: the repository, for the scope, where the challenge has none. FAILED_PRECONDITION without a usable realm, or where
 * credentials would go to plain http although the registry speaks https. */
int registry_token_request(const struct auth_challenge *c, const struct registry_login *l, const char *path,
                           bool https, struct token_request *ret_request, struct err *err) must_check;
void token_request_done(struct token_request *r);

/* "DENIED: not for you" from a registry's error document, printable and short; "" where it is none. */
void registry_error_text(const char *json, size_t len, char *ret_text, size_t size);
