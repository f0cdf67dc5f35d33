/*
 * The insides of a request to a registry, for registry.c (sessions, the question, the end), registry_auth.c (logging in) and
 * registry_answer.c (what came).
 */
#pragma once
#include "core/auth_challenge.h"
#include "core/buf.h"
#include "core/digest.h"
#include "core/registry_login.h"
#include "core/token_cache.h"
#include "loop/http.h"
#include "loop/registry.h"

/*
 * One request:
 *
 *             401, a login may help               token, or Basic is enough
 *   ASKING ------------------------> LOGGING_IN ---------------------------> ASKING
 *    |  ^                               | refused, no token service
 *    |  | it is time                    v
 *    |  '---------- WAITING <------- (next)      (next): the same endpoint again while that may help, else the following
 *    |                 ^   may pass     |
 *    |                 '----------------' no endpoint left
 *    '---------------------------------------------------------------------> ENDED
 *      complete, cancelled
 */
enum request_state { ASKING, LOGGING_IN, WAITING, ENDED };

struct registry {
    struct loop *loop;
    struct http *http;
    struct token_cache tokens;
};

struct endpoint_state {
    struct registry_login login;
    char *authorization; /* that worked, or that is to be tried; NULL: none yet */
    bool plain;          /* http, because nobody spoke TLS there */
};

struct registry_session {
    struct registry *registry;
    struct registry_endpoints endpoints;
    struct endpoint_state *states;
    size_t first; /* the endpoint that answered last */
    char *image;  /* the reference, for messages */
    int idle_seconds;
};

struct registry_request {
    struct registry_session *session;
    enum request_state state;
    const char *kind; /* "manifests" or "blobs" */
    char *name;       /* tag or digest */
    char *digest;     /* that the bytes must have; NULL: not known beforehand */
    uint64_t size;    /* that must come; 0: unknown */
    size_t max;       /* of a document; 0: a sink's */
    struct registry_sink sink;
    registry_document_fn *on_document;
    void *data;

    size_t at, tried; /* endpoint, and how many were given up */
    int retries, logins;
    struct http_transfer *transfer;
    struct timer timer;
    bool cancelled;

    bool good;     /* this answer's bytes are the wanted ones */
    uint64_t skip; /* bytes of this answer that came before */
    uint64_t given;
    struct buf body; /* a document, or an error's text, or a token's answer */
    struct digest *sum;
    char found[DIGEST_MAX + 1]; /* a document's */
    char *media_type, *stated_digest, *retry_after;
    struct auth_challenges challenges;
    char *sent;      /* the Authorization of the question that was answered last */
    char *token_key; /* under which the token that is asked for will be kept */
    struct err err;  /* of the last failure */
    struct err
        lie; /* of an endpoint that sent wrong bytes: that the next one has none at all is not the news */
};

/* Asks the endpoint, from where the bytes that came end. */
void request_ask(struct registry_request *q);
void request_ask_after(struct registry_request *q, double seconds);
/* The request is over and gone. */
void request_end(struct registry_request *q, const struct err *err);
void request_end_cancelled(void *request);
/* q->err says what failed: asks again later, if that may pass, or elsewhere, and ends the request where there is nowhere else. */
void request_fail(struct registry_request *q, bool may_pass);
void request_next_endpoint(struct registry_request *q);
void request_forget_answer(struct registry_request *q);
/* "image X: blob sha256:..." or "image X" */
const char *request_subject(const struct registry_request *q, char *to, size_t size);

static inline struct registry_endpoint *request_endpoint(const struct registry_request *q)
{
    return &q->session->endpoints.items[q->at];
}

static inline struct endpoint_state *request_endpoint_state(const struct registry_request *q)
{
    return &q->session->states[q->at];
}

/* registry_auth.c: after a 401. What the challenge asks for, if there is something to give that was not refused just now. */
void request_log_in(struct registry_request *q);
/* registry_answer.c */
extern const struct http_events request_answer_events;
