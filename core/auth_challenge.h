/*
 * How a registry asks for credentials and what its token service answers.
 * Sources: RFC 9110 section 11 (challenges), RFC 6750 section 3 (Bearer), distribution's auth/token.md, RFC 4648 section 4.
 */
#pragma once
#include "core/err.h"
#include "core/kv.h"
#include <stdbool.h>
#include <stddef.h>

enum {
    AUTH_HEADER_MAX = 16 << 10, /* bytes of one header value */
    AUTH_CHALLENGES_MAX = 16,
    AUTH_PARAMS_MAX = 32,      /* of one challenge */
    AUTH_TOKEN_MAX = 64 << 10, /* bytes of a token, also of its answer's document x 4 */
};

struct auth_challenge {
    char *scheme;          /* lower case: "bearer", "basic" */
    char *token68;         /* or NULL */
    struct kv_list params; /* names lower case, values unquoted: realm, service, scope, error */
};

struct auth_challenges {
    struct auth_challenge *items;
    size_t n;
    size_t cap;
};

/* Adds the challenges of one WWW-Authenticate header; an answer may have several headers. On error nothing is added. */
int auth_challenges_add(struct auth_challenges *l, const char *header, struct err *err) must_check;
void auth_challenges_done(struct auth_challenges *l);
#define cleanup_auth_challenges cleanup_with(auth_challenges_done)

/* The first of that scheme ("bearer", "basic"), or NULL; and a parameter of it, or NULL. */
const struct auth_challenge *auth_challenge_find(const struct auth_challenges *l, const char *scheme);
const char *auth_challenge_param(const struct auth_challenge *c, const char *name);

struct auth_token {
    char *token;
    char *refresh_token; /* or NULL */
    unsigned
        expires_in_s; /* from the answer; 60 where it says nothing or less, as the token specification has it */
};

/* {"token" | "access_token": ..., "expires_in": seconds}. UNAUTHENTICATED without a token. No message holds the token. */
int auth_token_parse(const char *json, size_t len, struct auth_token *ret_token, struct err *err) must_check;
void auth_token_done(struct auth_token *t);

/* "dXNlcjpwYXNz" -> "user", "pass": the `auth` of docker's and kubelet's credentials. Strict base64. The caller frees both. */
int auth_basic_decode(const char *base64, char **ret_user, char **ret_password, struct err *err) must_check;
