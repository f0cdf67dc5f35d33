#include "loop/registry.h"
#include "core/buf.h"
#include "core/digest.h"
#include "core/log.h"
#include "core/manifest.h"
#include "core/mem.h"

#include <string.h>
#include <strings.h>

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

enum { ERROR_BODY_MAX = 4096, LOGINS_MAX = 2, TOKENS_MAX = 64 };

struct token {
    struct token *next;
    char *key; /* realm, form, credentials' digest */
    char *authorization;
    int64_t good_until_us;
};

struct registry {
    struct loop *loop;
    struct http *http;
    struct token *tokens;
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

static void ask(struct registry_request *q);

struct registry *registry_new(struct loop *l, const char *dns_servers)
{
    struct registry *r = mem_new(struct registry);

    r->loop = l;
    r->http = http_new(l, dns_servers);
    return r;
}

static void token_drop(struct token **p)
{
    struct token *t = *p;

    *p = t->next;
    free(t->key);
    free(t->authorization);
    free(t);
}

void registry_free(struct registry *r)
{
    if (!r)
        return;
    http_free(r->http);
    while (r->tokens)
        token_drop(&r->tokens);
    free(r);
}

bool registry_idle(const struct registry *r)
{
    return http_idle(r->http);
}

int registry_open(struct registry *r, const struct registries *conf, const struct image_ref *ref,
                  const struct registry_credentials *credentials, int idle_seconds,
                  struct registry_session **ret_session, struct err *err)
{
    struct registry_session *s = mem_new(struct registry_session);
    int rc = registries_resolve(conf, ref, &s->endpoints, err);

    s->registry = r;
    s->idle_seconds = idle_seconds;
    s->image = image_ref_text(ref);
    s->states = mem_alloc((s->endpoints.n + 1) * sizeof(*s->states));
    for (size_t i = 0; rc == 0 && i < s->endpoints.n; i++) {
        struct endpoint_state *st = &s->states[i];
        rc = registry_login_choose(&s->endpoints.items[i], ref->domain, credentials, &st->login, err);
        if (rc == 0 && st->login.registry_token)
            st->authorization = mem_printf("Bearer %s", st->login.registry_token);
    }
    if (rc < 0) {
        registry_close(s);
        return rc;
    }
    *ret_session = s;
    return 0;
}

void registry_close(struct registry_session *s)
{
    if (!s)
        return;
    for (size_t i = 0; i < s->endpoints.n; i++) {
        registry_login_done(&s->states[i].login);
        free(s->states[i].authorization);
    }
    free(s->states);
    registry_endpoints_done(&s->endpoints);
    free(s->image);
    free(s);
}

/* ---- tokens ---- */

static struct token **token_find(struct registry *r, const char *key)
{
    struct token **p = &r->tokens;

    while (*p) {
        if ((*p)->good_until_us <= time_monotonic_us())
            token_drop(p);
        else if (strcmp((*p)->key, key) == 0)
            return p;
        else
            p = &(*p)->next;
    }
    return NULL;
}

static void token_keep(struct registry *r, const char *key, const char *authorization, unsigned seconds)
{
    struct token **old = token_find(r, key);
    size_t n = 0;

    if (old)
        token_drop(old);
    for (struct token **p = &r->tokens; *p; p = &(*p)->next)
        if (++n >= TOKENS_MAX) {
            token_drop(p);
            break;
        }
    struct token *t = mem_new(struct token);
    t->key = mem_strdup(key);
    t->authorization = mem_strdup(authorization);
    t->good_until_us =
        time_monotonic_us() + (int64_t)(seconds - seconds / 10) * 1000000; /* not used in its last moment */
    t->next = r->tokens;
    r->tokens = t;
}

/* Who else has the same answer coming: the same question with the same credentials, which the key does not show. */
static char *token_key(const struct token_request *t)
{
    char sum[DIGEST_MAX + 1];
    cleanup_free char *all =
        mem_printf("%s\n%s\n%s", t->url, t->body ? t->body : "", t->authorization ? t->authorization : "");

    digest_of(all, strlen(all), sum);
    return mem_strdup(sum);
}

/* ---- the end of a request ---- */

static struct registry_endpoint *endpoint_of(const struct registry_request *q)
{
    return &q->session->endpoints.items[q->at];
}

static struct endpoint_state *state_of(const struct registry_request *q)
{
    return &q->session->states[q->at];
}

static void forget_answer(struct registry_request *q)
{
    char ignored[DIGEST_MAX + 1];

    digest_end(steal_ptr(&q->sum), ignored);
    buf_done(&q->body);
    free_ptr(&q->media_type);
    free_ptr(&q->stated_digest);
    free_ptr(&q->retry_after);
    auth_challenges_done(&q->challenges);
    q->challenges = (struct auth_challenges){0};
}

static void end(struct registry_request *q, const struct err *err)
{
    struct registry_document d = {0};

    q->state = ENDED;
    timer_stop(&q->timer);
    if (!err && q->on_document) {
        memcpy(d.digest, q->found, sizeof(d.digest));
        d.len = q->body.len;
        d.data = buf_steal(&q->body);
        d.media_type = q->media_type;
    }
    if (q->on_document)
        q->on_document(q->data, err ? NULL : &d, err);
    else
        q->sink.on_done(q->data, err);
    free(d.data);
    forget_answer(q);
    free(q->name);
    free(q->digest);
    free(q->sent);
    free(q->token_key);
    free(q);
}

static void end_cancelled(void *data)
{
    struct registry_request *q = data;
    struct err err;

    err_set(&err, GRPC_CANCELLED, 0, "image %s: pull cancelled", q->session->image);
    end(q, &err);
}

static void on_time(void *data)
{
    ask(data);
}

static void again_after(struct registry_request *q, double seconds)
{
    q->state = WAITING;
    timer_start(&q->timer, q->session->registry->loop, seconds, on_time, q);
}

static void next_endpoint(struct registry_request *q)
{
    if (q->err.grpc == GRPC_DATA_LOSS)
        q->lie = q->err;
    if (++q->tried >= q->session->endpoints.n) {
        struct err err = q->lie.grpc ? q->lie : q->err;
        end(q, &err);
        return;
    }
    log_warn("%s; trying the next endpoint", q->err.msg);
    q->at = (q->at + 1) % q->session->endpoints.n;
    q->retries = q->logins = 0;
    again_after(q, 0);
}

/* 0.5, 1 and 2 s, each up to a quarter longer, so that a hundred nodes do not come back at once. */
static double pause_before_retry(const struct registry_request *q)
{
    double base = 0.5 * (double)(1 << (q->retries - 1));
    char *end_of_number = NULL;
    long asked = q->retry_after ? strtol(q->retry_after, &end_of_number, 10) : -1;

    if (asked >= 0 && end_of_number != q->retry_after && *end_of_number == '\0')
        return asked > REGISTRY_RETRY_AFTER_MAX ? REGISTRY_RETRY_AFTER_MAX : (double)asked;
    return base + base / 4 * (double)(time_monotonic_us() % 1000) / 1000;
}

static void fail(struct registry_request *q, bool may_pass)
{
    if (may_pass && q->retries < REGISTRY_RETRIES) {
        q->retries++;
        double seconds = pause_before_retry(q);
        log_info("%s; again in %.1f s (%d of %d)", q->err.msg, seconds, q->retries, REGISTRY_RETRIES);
        again_after(q, seconds);
    } else {
        next_endpoint(q);
    }
}

/* "image X: blob sha256:... " or "image X" */
static const char *subject(const struct registry_request *q, char *to, size_t size)
{
    if (strcmp(q->kind, "blobs") == 0)
        snprintf(to, size, "image %.200s: blob %.71s", q->session->image, q->name);
    else
        snprintf(to, size, "image %.250s", q->session->image);
    return to;
}

/* ---- logging in ---- */

static ssize_t on_token_body(void *data, const void *p, size_t n)
{
    struct registry_request *q = data;

    buf_add(&q->body, p, n);
    return q->body.truncated ? HTTP_ABORT : (ssize_t)n;
}

static const char *const login_remedy = "check the imagePullSecret or registries.yaml";

static void on_token_done(void *data, const struct http_result *r)
{
    struct registry_request *q = data;
    struct auth_token token;
    char why[128], what[300];

    q->transfer = NULL;
    if (q->cancelled) {
        end_cancelled(q);
        return;
    }
    if (r->err.grpc) {
        q->err = r->err;
        err_wrap(&q->err, "%s: token service of %s", subject(q, what, sizeof(what)), endpoint_of(q)->host);
        fail(q, r->retry);
        return;
    }
    if (r->status != 200) {
        bool passing = r->status == 429 || r->status >= 500;
        registry_error_text(q->body.data, q->body.len, why, sizeof(why));
        err_set(&q->err,
                passing            ? GRPC_UNAVAILABLE
                : r->status == 403 ? GRPC_PERMISSION_DENIED
                                   : GRPC_UNAUTHENTICATED,
                0, "%s: the token service of %s answered %d%s%s%s%s", subject(q, what, sizeof(what)),
                endpoint_of(q)->host, r->status, *why ? " " : "", why, passing ? "" : ": ",
                passing ? "" : login_remedy);
        fail(q, passing);
        return;
    }
    if (auth_token_parse(q->body.data ? q->body.data : "", q->body.len, &token, &q->err) < 0) {
        err_wrap(&q->err, "%s: token service of %s", subject(q, what, sizeof(what)), endpoint_of(q)->host);
        next_endpoint(q);
        return;
    }
    struct endpoint_state *st = state_of(q);
    free(st->authorization);
    st->authorization = mem_printf("Bearer %s", token.token);
    token_keep(q->session->registry, q->token_key, st->authorization, token.expires_in_s);
    auth_token_done(&token);
    ask(q);
}

static int get_token(struct registry_request *q, const struct auth_challenge *c)
{
    static const struct http_events events = {NULL, on_token_body, on_token_done};
    static const char *const form[] = {"Content-Type: application/x-www-form-urlencoded",
                                       "Accept: application/json", NULL};
    const struct registry_endpoint *e = endpoint_of(q);
    struct endpoint_state *st = state_of(q);
    struct token_request t;
    bool https = strncmp(e->url, "https:", 6) == 0 && !st->plain;
    int r = registry_token_request(c, &st->login, e->path, https, &t, &q->err);

    if (r < 0)
        return r;
    free(q->token_key);
    q->token_key = token_key(&t);
    struct token **known = token_find(q->session->registry, q->token_key);
    if (known && (!q->sent || strcmp((*known)->authorization, q->sent) != 0)) {
        free(st->authorization);
        st->authorization = mem_strdup((*known)->authorization);
        token_request_done(&t);
        again_after(q, 0);
        return 0;
    }
    struct http_fetch r_http = {.url = t.url,
                                .headers = t.body ? form : form + 1,
                                .authorization = t.authorization,
                                .tls = {.ca_file = e->tls.ca_file, .skip_verify = e->tls.insecure_skip_verify},
                                .body = t.body,
                                .body_len = t.body ? strlen(t.body) : 0,
                                .idle_seconds = q->session->idle_seconds};
    forget_answer(q); /* frees the challenge */
    q->body.max = (size_t)AUTH_TOKEN_MAX * 4;
    q->state = LOGGING_IN;
    r = http_start(q->session->registry->http, &r_http, &events, q, &q->transfer, &q->err);
    token_request_done(&t);
    return r;
}

/* A 401: what the challenge asks for, if there is something to give that was not refused just now. */
static void log_in(struct registry_request *q)
{
    const struct auth_challenge *bearer = auth_challenge_find(&q->challenges, "bearer");
    const struct auth_challenge *basic = auth_challenge_find(&q->challenges, "basic");
    struct endpoint_state *st = state_of(q);
    cleanup_free char *words = basic ? registry_login_basic(&st->login) : NULL;
    char why[128], what[300];

    if (q->logins++ < LOGINS_MAX && !st->login.registry_token) {
        if (bearer) {
            if (get_token(q, bearer) == 0)
                return;
            err_wrap(&q->err, "%s: %s", subject(q, what, sizeof(what)), endpoint_of(q)->host);
            next_endpoint(q);
            return;
        }
        if (words && (!q->sent || strcmp(q->sent, words) != 0)) {
            free(st->authorization);
            st->authorization = steal_ptr(&words);
            again_after(q, 0);
            return;
        }
    }
    registry_error_text(q->body.data, q->body.len, why, sizeof(why));
    err_set(&q->err, GRPC_UNAUTHENTICATED, 0, "%s: registry %s %s%s%s%s: %s", subject(q, what, sizeof(what)),
            endpoint_of(q)->host,
            registry_login_is_anonymous(&st->login) ? "wants credentials" : "does not accept the credentials",
            *why ? " (" : "", why, *why ? ")" : "", login_remedy);
    next_endpoint(q);
}

/* ---- the answer ---- */

static bool range_starts_at(const char *content_range, uint64_t offset)
{
    char *end_of_number;

    if (!content_range || strncasecmp(content_range, "bytes ", 6) != 0)
        return false;
    return strtoull(content_range + 6, &end_of_number, 10) == offset && *end_of_number == '-';
}

static void on_headers(void *data, struct http_transfer *t)
{
    struct registry_request *q = data;
    int status = http_status(t);
    const char *h;

    if (status == 206)
        q->good = q->given > 0 && range_starts_at(http_header(t, "Content-Range", 0), q->given);
    else
        q->good = status == 200;
    if (q->good) {
        q->skip = status == 200 && !q->max ? q->given : 0;
        q->media_type = mem_strdup(http_header(t, "Content-Type", 0));
        q->stated_digest = mem_strdup(http_header(t, "Docker-Content-Digest", 0));
        q->sum = q->max ? digest_new(q->digest ? q->digest : q->stated_digest) : NULL;
        q->body.max = q->max;
        return;
    }
    q->body.max = ERROR_BODY_MAX;
    q->retry_after = mem_strdup(http_header(t, "Retry-After", 0));
    for (size_t i = 0; status == 401 && (h = http_header(t, "WWW-Authenticate", i)); i++)
        if (auth_challenges_add(&q->challenges, h, &q->err) < 0)
            log_debug("registry %s: %s", endpoint_of(q)->host, q->err.msg);
}

/* To the sink goes what it has not had. */
static ssize_t give(struct registry_request *q, const char *p, size_t n)
{
    size_t had = q->skip < n ? (size_t)q->skip : n;

    if (had == n) {
        q->skip -= n;
        return (ssize_t)n;
    }
    if (q->size && n - had > q->size - q->given) {
        err_set(&q->err, GRPC_DATA_LOSS, 0, "more bytes than the %llu that the manifest states",
                (unsigned long long)q->size);
        return HTTP_ABORT;
    }
    size_t took = q->sink.on_bytes(q->data, p + had, n - had);
    q->skip = 0;
    q->given += took;
    if (took)
        q->retries = 0; /* a bad line that moves on is not given up */
    return (ssize_t)(had + took);
}

static ssize_t on_body(void *data, const void *p, size_t n)
{
    struct registry_request *q = data;

    if (q->good && !q->max)
        return give(q, p, n);
    buf_add(&q->body, p, n);
    if (!q->good)
        return (ssize_t)n; /* of an error's text the first bytes are kept */
    if (q->body.truncated) {
        err_set(&q->err, GRPC_DATA_LOSS, 0, "more than the limit of %zu bytes for a manifest or config",
                q->max);
        return HTTP_ABORT;
    }
    digest_add(q->sum, p, n);
    return (ssize_t)n;
}

static int check_document(struct registry_request *q)
{
    const char *wanted = q->digest ? q->digest : q->stated_digest;

    if (q->size && q->body.len != q->size)
        return err_set(&q->err, GRPC_DATA_LOSS, 0, "%zu bytes instead of the %llu that the manifest states",
                       q->body.len, (unsigned long long)q->size);
    digest_end(steal_ptr(&q->sum), q->found);
    if (!wanted || !digest_is_valid(wanted)) /* an odd header, and nothing to compare with */
        return 0;
    if (strcmp(wanted, q->found) != 0)
        return err_set(&q->err, GRPC_DATA_LOSS, 0, "bytes with the digest %s instead of %s", q->found, wanted);
    return 0;
}

static int check_blob(struct registry_request *q)
{
    if (q->size && q->given != q->size)
        return err_set(&q->err, GRPC_DATA_LOSS, 0, "%llu bytes instead of the %llu that the manifest states",
                       (unsigned long long)q->given, (unsigned long long)q->size);
    return 0;
}

/* What an answer other than 2xx means. */
static const struct {
    int from, to;
    int grpc;
    bool may_pass;
    const char *text, *remedy;
} meanings[] = {
    {404, 404, GRPC_NOT_FOUND, false, "not found in registry", "check the name"},
    {403, 403, GRPC_PERMISSION_DENIED, false, "is denied by registry",
     "check the imagePullSecret or registries.yaml"},
    {408, 408, GRPC_UNAVAILABLE, true, "times out at registry", "try again later"},
    {429, 429, GRPC_UNAVAILABLE, true, "has too many pulls at registry",
     "try again later, log in, or set a mirror"},
    {500, 599, GRPC_UNAVAILABLE, true, "gets an error from registry", "look there, or set a mirror"},
    {0, 999, GRPC_UNAVAILABLE, false, "gets an unknown answer from registry",
     "check its address in registries.yaml"},
};

static void refused(struct registry_request *q, int status)
{
    char why[128], what[300];
    size_t i = 0;

    while (i + 1 < countof(meanings) && (status < meanings[i].from || status > meanings[i].to))
        i++;
    registry_error_text(q->body.data, q->body.len, why, sizeof(why));
    err_set(&q->err, meanings[i].grpc, 0, "%s %s %s (answer %d%s%s): %s", subject(q, what, sizeof(what)),
            meanings[i].text, endpoint_of(q)->host, status, *why ? " " : "", why, meanings[i].remedy);
    fail(q, meanings[i].may_pass);
}

/* Another endpoint may have a document right; what a sink has had cannot be taken back. */
static void wrong_bytes(struct registry_request *q)
{
    char what[300];

    err_wrap(&q->err, "%s: registry %s sent", subject(q, what, sizeof(what)), endpoint_of(q)->host);
    struct err err = q->err;
    if (q->max)
        next_endpoint(q);
    else
        end(q, &err);
}

static void complete(struct registry_request *q)
{
    if ((q->max ? check_document(q) : check_blob(q)) < 0) {
        wrong_bytes(q);
        return;
    }
    q->session->first = q->at;
    end(q, NULL);
}

static void broke_off(struct registry_request *q, const struct http_result *r)
{
    struct endpoint_state *st = state_of(q);
    char what[300];

    if (r->err.grpc == GRPC_CANCELLED) { /* our own abort: q->err has the reason */
        wrong_bytes(q);
        return;
    }
    q->err = r->err;
    if (r->tls_failed && endpoint_of(q)->http_fallback && !st->plain) {
        st->plain = true;
        again_after(q, 0);
        return;
    }
    err_wrap(&q->err, "%s: registry", subject(q, what, sizeof(what)));
    fail(q, r->retry);
}

static void on_answer(void *data, const struct http_result *r)
{
    struct registry_request *q = data;

    q->transfer = NULL;
    if (q->cancelled)
        end_cancelled(q);
    else if (r->err.grpc)
        broke_off(q, r);
    else if (q->good)
        complete(q);
    else if (r->status == 401)
        log_in(q);
    else
        refused(q, r->status);
}

/* ---- the question ---- */

static char *url_of(const struct registry_request *q)
{
    const struct registry_endpoint *e = endpoint_of(q);
    bool plain = state_of(q)->plain && strncmp(e->url, "https://", 8) == 0;

    return mem_printf("%s%s/%s/%s/%s%s%s", plain ? "http://" : "", e->url + (plain ? 8 : 0), e->path, q->kind,
                      q->name, e->ns ? "?ns=" : "", e->ns ? e->ns : "");
}

static void ask(struct registry_request *q)
{
    static const struct http_events events = {on_headers, on_body, on_answer};
    const struct registry_endpoint *e = endpoint_of(q);
    cleanup_free char *url = url_of(q);
    char range[64] = "";
    const char *headers[3] = {0};
    size_t n = 0;

    if (strcmp(q->kind, "manifests") == 0)
        headers[n++] = "Accept: " MANIFEST_ACCEPT;
    if (q->given) {
        snprintf(range, sizeof(range), "Range: bytes=%llu-", (unsigned long long)q->given);
        headers[n++] = range;
    }
    forget_answer(q);
    q->good = false;
    q->skip = 0;
    q->err = (struct err){0};
    free(q->sent);
    q->sent = mem_strdup(state_of(q)->authorization);
    struct http_fetch r = {.url = url,
                           .headers = headers,
                           .authorization = q->sent,
                           .tls = {.ca_file = e->tls.ca_file,
                                   .cert_file = e->tls.cert_file,
                                   .key_file = e->tls.key_file,
                                   .skip_verify = e->tls.insecure_skip_verify},
                           .idle_seconds = q->session->idle_seconds};
    q->state = ASKING;
    if (http_start(q->session->registry->http, &r, &events, q, &q->transfer, &q->err) < 0) {
        err_wrap(&q->err, "image %s", q->session->image);
        next_endpoint(q);
    }
}

static struct registry_request *request_new(struct registry_session *s, const char *kind, const char *name,
                                            void *data)
{
    struct registry_request *q = mem_new(struct registry_request);

    q->session = s;
    q->kind = kind;
    q->name = mem_strdup(name);
    q->digest = digest_is_valid(name) ? mem_strdup(name) : NULL;
    q->data = data;
    q->at = s->first;
    again_after(q, 0);
    return q;
}

void registry_get_manifest(struct registry_session *s, const char *reference, registry_document_fn *on_done,
                           void *data, struct registry_request **ret_request)
{
    struct registry_request *q = request_new(s, "manifests", reference, data);

    q->max = MANIFEST_MAX;
    q->on_document = on_done;
    *ret_request = q;
}

void registry_get_document(struct registry_session *s, const char *digest, uint64_t size,
                           registry_document_fn *on_done, void *data, struct registry_request **ret_request)
{
    struct registry_request *q = request_new(s, "blobs", digest, data);

    q->max = MANIFEST_MAX;
    q->size = size;
    q->on_document = on_done;
    *ret_request = q;
}

void registry_get_blob(struct registry_session *s, const char *digest, uint64_t size,
                       const struct registry_sink *sink, void *data, struct registry_request **ret_request)
{
    struct registry_request *q = request_new(s, "blobs", digest, data);

    q->size = size;
    q->sink = *sink;
    *ret_request = q;
}

void registry_resume(struct registry_request *q)
{
    if (q->state == ASKING && q->transfer)
        http_resume(q->transfer);
}

void registry_cancel(struct registry_request *q)
{
    if (q->cancelled)
        return;
    q->cancelled = true;
    if (q->transfer)
        http_cancel(q->transfer);
    else
        timer_start(&q->timer, q->session->registry->loop, 0, end_cancelled, q);
}
