/* Logging in at a registry: tokens of its token service, or a password. Source: distribution-spec, token authentication. */
#include "core/mem.h"
#include "loop/registry_request.h"

#include <string.h>

enum { LOGINS_MAX = 2 };

/* Who else has the same answer coming: the same question with the same credentials, which the key does not show. */
static char *token_key(const struct token_request *t)
{
    char sum[DIGEST_MAX + 1];
    cleanup_free char *all =
        mem_printf("%s\n%s\n%s", t->url, t->body ? t->body : "", t->authorization ? t->authorization : "");

    digest_of(all, strlen(all), sum);
    return mem_strdup(sum);
}

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
        request_end_cancelled(q);
        return;
    }
    if (r->err.grpc) {
        q->err = r->err;
        err_wrap(&q->err, "%s: token service of %s", request_subject(q, what, sizeof(what)),
                 request_endpoint(q)->host);
        request_fail(q, r->retry);
        return;
    }
    if (r->status != 200) {
        bool passing = r->status == 429 || r->status >= 500;
        registry_error_text(q->body.data, q->body.len, why, sizeof(why));
        err_set(&q->err,
                passing            ? GRPC_UNAVAILABLE
                : r->status == 403 ? GRPC_PERMISSION_DENIED
                                   : GRPC_UNAUTHENTICATED,
                0, "%s: the token service of %s answered %d%s%s%s%s", request_subject(q, what, sizeof(what)),
                request_endpoint(q)->host, r->status, *why ? " " : "", why, passing ? "" : ": ",
                passing ? "" : login_remedy);
        request_fail(q, passing);
        return;
    }
    if (auth_token_parse(q->body.data ? q->body.data : "", q->body.len, &token, &q->err) < 0) {
        err_wrap(&q->err, "%s: token service of %s", request_subject(q, what, sizeof(what)),
                 request_endpoint(q)->host);
        request_next_endpoint(q);
        return;
    }
    struct endpoint_state *st = request_endpoint_state(q);
    free(st->authorization);
    st->authorization = mem_printf("Bearer %s", token.token);
    token_cache_keep(&q->session->registry->tokens, q->token_key, st->authorization, token.expires_in_s,
                     time_monotonic_us());
    auth_token_done(&token);
    request_ask(q);
}

static int get_token(struct registry_request *q, const struct auth_challenge *c)
{
    static const struct http_events events = {NULL, on_token_body, on_token_done};
    static const char *const form[] = {"Content-Type: application/x-www-form-urlencoded",
                                       "Accept: application/json", NULL};
    const struct registry_endpoint *e = request_endpoint(q);
    struct endpoint_state *st = request_endpoint_state(q);
    struct token_request t;
    bool https = strncmp(e->url, "https:", 6) == 0 && !st->plain;
    int r = registry_token_request(c, &st->login, e->path, https, &t, &q->err);

    if (r < 0)
        return r;
    free(q->token_key);
    q->token_key = token_key(&t);
    const char *known = token_cache_find(&q->session->registry->tokens, q->token_key, time_monotonic_us());
    if (known && (!q->sent || strcmp(known, q->sent) != 0)) {
        free(st->authorization);
        st->authorization = mem_strdup(known);
        token_request_done(&t);
        request_ask_after(q, 0);
        return 0;
    }
    struct http_fetch r_http = {.url = t.url,
                                .headers = t.body ? form : form + 1,
                                .authorization = t.authorization,
                                .tls = {.ca_file = e->tls.ca_file, .skip_verify = e->tls.insecure_skip_verify},
                                .body = t.body,
                                .body_len = t.body ? strlen(t.body) : 0,
                                .idle_seconds = q->session->idle_seconds};
    request_forget_answer(q); /* frees the challenge */
    q->body.max = (size_t)AUTH_TOKEN_MAX * 4;
    q->state = LOGGING_IN;
    r = http_start(q->session->registry->http, &r_http, &events, q, &q->transfer, &q->err);
    token_request_done(&t);
    return r;
}

void request_log_in(struct registry_request *q)
{
    const struct auth_challenge *bearer = auth_challenge_find(&q->challenges, "bearer");
    const struct auth_challenge *basic = auth_challenge_find(&q->challenges, "basic");
    struct endpoint_state *st = request_endpoint_state(q);
    cleanup_free char *words = basic ? registry_login_basic(&st->login) : NULL;
    char why[128], what[300];

    if (q->logins++ < LOGINS_MAX && !st->login.registry_token) {
        if (bearer) {
            if (get_token(q, bearer) == 0)
                return;
            err_wrap(&q->err, "%s: %s", request_subject(q, what, sizeof(what)), request_endpoint(q)->host);
            request_next_endpoint(q);
            return;
        }
        if (words && (!q->sent || strcmp(q->sent, words) != 0)) {
            free(st->authorization);
            st->authorization = steal_ptr(&words);
            request_ask_after(q, 0);
            return;
        }
    }
    registry_error_text(q->body.data, q->body.len, why, sizeof(why));
    err_set(&q->err, GRPC_UNAUTHENTICATED, 0, "%s: registry %s %s%s%s%s: %s",
            request_subject(q, what, sizeof(what)), request_endpoint(q)->host,
            registry_login_is_anonymous(&st->login) ? "wants credentials" : "does not accept the credentials",
            *why ? " (" : "", why, *why ? ")" : "", login_remedy);
    request_next_endpoint(q);
}
