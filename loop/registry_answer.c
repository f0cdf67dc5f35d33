/* What a registry answers: bytes, checked as they come, or a refusal and what it means. */
#include "core/log.h"
#include "core/mem.h"
#include "loop/registry_request.h"

#include <string.h>
#include <strings.h>

enum { ERROR_BODY_MAX = 4096 };

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
            log_debug("registry %s: %s", request_endpoint(q)->host, q->err.msg);
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
    err_set(&q->err, meanings[i].grpc, 0, "%s %s %s (answer %d%s%s): %s",
            request_subject(q, what, sizeof(what)), meanings[i].text, request_endpoint(q)->host, status,
            *why ? " " : "", why, meanings[i].remedy);
    request_fail(q, meanings[i].may_pass);
}

/* Another endpoint may have a document right; what a sink has had cannot be taken back. */
static void wrong_bytes(struct registry_request *q)
{
    char what[300];

    err_wrap(&q->err, "%s: registry %s sent", request_subject(q, what, sizeof(what)),
             request_endpoint(q)->host);
    struct err err = q->err;
    if (q->max)
        request_next_endpoint(q);
    else
        request_end(q, &err);
}

static void complete(struct registry_request *q)
{
    if ((q->max ? check_document(q) : check_blob(q)) < 0) {
        wrong_bytes(q);
        return;
    }
    q->session->first = q->at;
    request_end(q, NULL);
}

static void broke_off(struct registry_request *q, const struct http_result *r)
{
    struct endpoint_state *st = request_endpoint_state(q);
    char what[300];

    if (r->err.grpc == GRPC_CANCELLED) { /* our own abort: q->err has the reason */
        wrong_bytes(q);
        return;
    }
    q->err = r->err;
    if (r->tls_failed && request_endpoint(q)->http_fallback && !st->plain) {
        st->plain = true;
        request_ask_after(q, 0);
        return;
    }
    err_wrap(&q->err, "%s: registry", request_subject(q, what, sizeof(what)));
    request_fail(q, r->retry);
}

static void on_answer(void *data, const struct http_result *r)
{
    struct registry_request *q = data;

    q->transfer = NULL;
    if (q->cancelled)
        request_end_cancelled(q);
    else if (r->err.grpc)
        broke_off(q, r);
    else if (q->good)
        complete(q);
    else if (r->status == 401)
        request_log_in(q);
    else
        refused(q, r->status);
}

const struct http_events request_answer_events = {on_headers, on_body, on_answer};
