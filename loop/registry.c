#include "core/log.h"
#include "core/manifest.h"
#include "core/mem.h"
#include "loop/registry_request.h"

#include <string.h>

struct registry *registry_new(struct loop *l, const char *dns_servers)
{
    struct registry *r = mem_new(struct registry);

    r->loop = l;
    r->http = http_new(l, dns_servers);
    return r;
}

void registry_free(struct registry *r)
{
    if (!r)
        return;
    http_free(r->http);
    token_cache_done(&r->tokens);
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

/* ---- the end of a request ---- */

void request_forget_answer(struct registry_request *q)
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

void request_end(struct registry_request *q, const struct err *err)
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
    request_forget_answer(q);
    free(q->name);
    free(q->digest);
    free(q->sent);
    free(q->token_key);
    free(q);
}

void request_end_cancelled(void *data)
{
    struct registry_request *q = data;
    struct err err;

    err_set(&err, GRPC_CANCELLED, 0, "image %s: pull cancelled", q->session->image);
    request_end(q, &err);
}

static void on_time(void *data)
{
    request_ask(data);
}

void request_ask_after(struct registry_request *q, double seconds)
{
    q->state = WAITING;
    timer_start(&q->timer, q->session->registry->loop, seconds, on_time, q);
}

void request_next_endpoint(struct registry_request *q)
{
    if (q->err.grpc == GRPC_DATA_LOSS)
        q->lie = q->err;
    if (++q->tried >= q->session->endpoints.n) {
        struct err err = q->lie.grpc ? q->lie : q->err;
        request_end(q, &err);
        return;
    }
    log_warn("%s; trying the next endpoint", q->err.msg);
    q->at = (q->at + 1) % q->session->endpoints.n;
    q->retries = q->logins = 0;
    request_ask_after(q, 0);
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

void request_fail(struct registry_request *q, bool may_pass)
{
    if (may_pass && q->retries < REGISTRY_RETRIES) {
        q->retries++;
        double seconds = pause_before_retry(q);
        log_info("%s; again in %.1f s (%d of %d)", q->err.msg, seconds, q->retries, REGISTRY_RETRIES);
        request_ask_after(q, seconds);
    } else {
        request_next_endpoint(q);
    }
}

const char *request_subject(const struct registry_request *q, char *to, size_t size)
{
    if (strcmp(q->kind, "blobs") == 0)
        snprintf(to, size, "image %.200s: blob %.71s", q->session->image, q->name);
    else
        snprintf(to, size, "image %.250s", q->session->image);
    return to;
}

/* ---- the question ---- */

static char *url_of(const struct registry_request *q)
{
    const struct registry_endpoint *e = request_endpoint(q);
    bool plain = request_endpoint_state(q)->plain && strncmp(e->url, "https://", 8) == 0;

    return mem_printf("%s%s/%s/%s/%s%s%s", plain ? "http://" : "", e->url + (plain ? 8 : 0), e->path, q->kind,
                      q->name, e->ns ? "?ns=" : "", e->ns ? e->ns : "");
}

void request_ask(struct registry_request *q)
{
    const struct registry_endpoint *e = request_endpoint(q);
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
    request_forget_answer(q);
    q->good = false;
    q->skip = 0;
    q->err = (struct err){0};
    free(q->sent);
    q->sent = mem_strdup(request_endpoint_state(q)->authorization);
    struct http_fetch r = {.url = url,
                           .headers = headers,
                           .authorization = q->sent,
                           .tls = {.ca_file = e->tls.ca_file,
                                   .cert_file = e->tls.cert_file,
                                   .key_file = e->tls.key_file,
                                   .skip_verify = e->tls.insecure_skip_verify},
                           .idle_seconds = q->session->idle_seconds};
    q->state = ASKING;
    if (http_start(q->session->registry->http, &r, &request_answer_events, q, &q->transfer, &q->err) < 0) {
        err_wrap(&q->err, "image %s", q->session->image);
        request_next_endpoint(q);
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
    request_ask_after(q, 0);
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
        timer_start(&q->timer, q->session->registry->loop, 0, request_end_cancelled, q);
}
