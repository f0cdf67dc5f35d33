#include "core/log.h"
#include "core/mem.h"
#include "loop/http_transfer.h"

#include <errno.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>

/*
 * Of one transfer in one turn of the loop: libcurl by itself reads a hundred times 64 KiB from a peer that keeps up, and others wait
 * for all of it.
 */
enum { TURN_BYTES = 128 << 10, DROPPED_MAX = 64 << 10 };

static void finish(struct http_transfer *t, struct http_result *r);
static int begin(struct http_transfer *t, struct err *err);
static void on_transfer_done(void *data, CURLcode code);

struct http *http_new(struct loop *l, const char *dns_servers)
{
    struct http *h = mem_new(struct http);

    h->loop = l;
    h->dns = dns_new(l, dns_servers);
    h->multi = multi_new(l, on_transfer_done);
    return h;
}

/* Leaves the multi handle and forgets what belongs to one hop. */
static void hop_end(struct http_transfer *t)
{
    if (t->query)
        dns_cancel(t->query);
    t->query = NULL;
    if (t->easy) {
        curl_easy_cleanup(t->easy);
        t->easy = NULL;
    }
    curl_slist_free_all(t->resolve);
    t->resolve = NULL;
    free_ptr(&t->proxy);
    free_ptr(&t->host);
    free_ptr(&t->port);
}

static void transfer_free(struct http_transfer *t)
{
    for (struct http_transfer **p = &t->http->transfers; *p; p = &(*p)->next)
        if (*p == t) {
            *p = t->next;
            break;
        }
    hop_end(t);
    timer_stop(&t->idle);
    timer_stop(&t->soon);
    timer_stop(&t->next_turn);
    curl_slist_free_all(t->headers);
    buf_done(&t->head);
    char *all[] = {t->method,  t->url,       t->authorization, t->body,
                   t->ca_file, t->cert_file, t->key_file,      t->location};
    for (size_t i = 0; i < countof(all); i++)
        free(all[i]);
    free(t);
}

void http_free(struct http *h)
{
    if (!h)
        return;
    while (h->transfers) {
        if (h->transfers->easy)
            multi_remove(h->multi, h->transfers->easy);
        transfer_free(h->transfers);
    }
    multi_free(h->multi);
    dns_free(h->dns);
    free(h->ca_path);
    free(h->ca_bundle);
    free(h);
}

/* ---- one hop ---- */

static curl_socket_t open_socket(void *data, curlsocktype purpose, struct curl_sockaddr *a)
{
    (void)data;
    (void)purpose;
    return socket(a->family, a->socktype | SOCK_CLOEXEC, a->protocol); /* keepers are started meanwhile */
}

static bool follows(const struct http_transfer *t)
{
    static const int statuses[] = {301, 302, 303, 307, 308};

    for (size_t i = 0; i < countof(statuses); i++)
        if (t->status == statuses[i])
            return !t->body && http_header(t, "Location", 0);
    return false;
}

static void head_complete(struct http_transfer *t)
{
    if (t->status < 200) /* 100 Continue: the answer proper follows */
        return;
    t->head_done = true;
    if (follows(t)) {
        free(t->location);
        t->location = mem_strdup(http_header(t, "Location", 0));
    } else if (t->events->on_headers && !t->cancelled) {
        t->events->on_headers(t->data, t);
    }
}

static size_t on_header(char *p, size_t size, size_t n, void *data)
{
    struct http_transfer *t = data;
    size_t len = n *= size;

    t->moved_us = time_monotonic_us();
    while (len && (p[len - 1] == '\r' || p[len - 1] == '\n'))
        len--;
    if (t->head_done) /* trailers */
        return n;
    if (len == 0) {
        head_complete(t);
        return n;
    }
    if (len > 5 && strncasecmp(p, "HTTP/", 5) == 0) {
        const char *blank = memchr(p, ' ', len);
        buf_done(&t->head);
        t->status = blank ? atoi(blank) : 0; /* libcurl has checked the line, and NUL-terminated it */
        return n;
    }
    if (t->head.len + len + 1 > HTTP_HEADERS_MAX || memchr(p, '\0', len)) {
        t->broken = true;
        return 0;
    }
    buf_add(&t->head, p, len);
    buf_add(&t->head, "", 1);
    return n;
}

static void on_next_turn(void *data)
{
    http_resume(data);
}

/* It had its share of this turn: the rest comes in the next one. */
static bool gives_way(struct http_transfer *t, size_t n)
{
    uint64_t turn = loop_turns(t->http->loop).count;

    if (t->turn != turn) {
        t->turn = turn;
        t->turn_bytes = 0;
    }
    if (t->turn_bytes >= TURN_BYTES)
        timer_start(&t->next_turn, t->http->loop, 0, on_next_turn, t);
    else
        t->turn_bytes += n;
    return timer_active(&t->next_turn);
}

static size_t on_body(char *p, size_t size, size_t n, void *data)
{
    struct http_transfer *t = data;
    size_t all = n * size, from = t->taken < all ? t->taken : all;

    t->moved_us = time_monotonic_us();
    if (t->location) {
        t->dropped += all;
        return t->dropped > DROPPED_MAX ? 0 : all;
    }
    if (t->cancelled)
        return 0;
    if (from == all) {
        t->taken -= all;
        return all;
    }
    if (gives_way(t, all - from)) {
        t->paused = true;
        t->taken = from;
        return CURL_WRITEFUNC_PAUSE;
    }
    ssize_t took =
        t->events->on_body ? t->events->on_body(t->data, p + from, all - from) : (ssize_t)(all - from);
    if (took < 0) {
        t->aborted = true;
        return 0;
    }
    t->bytes += (uint64_t)took;
    t->paused = from + (size_t)took < all;
    t->taken = t->paused ? from + (size_t)took : 0;
    return t->paused ? CURL_WRITEFUNC_PAUSE : all;
}

static void set_method(struct http_transfer *t)
{
    if (t->body) {
        curl_easy_setopt(t->easy, CURLOPT_POST, 1L);
        curl_easy_setopt(t->easy, CURLOPT_POSTFIELDS, t->body);
        curl_easy_setopt(t->easy, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)t->body_len);
    }
    if (t->method && strcmp(t->method, "HEAD") == 0)
        curl_easy_setopt(t->easy, CURLOPT_NOBODY, 1L);
    else if (t->method)
        curl_easy_setopt(t->easy, CURLOPT_CUSTOMREQUEST, t->method);
}

static void set_addresses(struct http_transfer *t, const struct dns_addrs *addrs)
{
    struct buf line = {0};

    if (host_is_address(t->host))
        return;
    buf_addf(&line, "%s:%s:", t->host, t->port);
    for (size_t i = 0; i < addrs->n; i++)
        buf_addf(&line, strchr(addrs->text[i], ':') ? "%s[%s]" : "%s%s", i ? "," : "", addrs->text[i]);
    t->resolve = curl_slist_append(NULL, line.data);
    curl_easy_setopt(t->easy, CURLOPT_RESOLVE, t->resolve);
    buf_done(&line);
}

static void on_address(void *data, const struct dns_addrs *addrs, const struct err *why)
{
    struct http_transfer *t = data;

    t->query = NULL;
    if (why) {
        struct http_result r = {.retry = why->grpc == GRPC_UNAVAILABLE, .err = *why};
        finish(t, &r);
        return;
    }
    t->easy = curl_easy_init();
    if (!t->easy)
        abort();
    curl_easy_setopt(t->easy, CURLOPT_URL, t->url);
    curl_easy_setopt(t->easy, CURLOPT_PRIVATE, t);
    curl_easy_setopt(t->easy, CURLOPT_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(t->easy, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
    curl_easy_setopt(t->easy, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(t->easy, CURLOPT_USERAGENT, "cricket/" CRICKET_VERSION);
    curl_easy_setopt(t->easy, CURLOPT_BUFFERSIZE, 64L << 10);
    curl_easy_setopt(t->easy, CURLOPT_TCP_KEEPALIVE, 1L);
    curl_easy_setopt(t->easy, CURLOPT_CONNECTTIMEOUT, (long)HTTP_CONNECT_SECONDS);
    curl_easy_setopt(t->easy, CURLOPT_PROXY, t->proxy ? t->proxy : "");
    curl_easy_setopt(t->easy, CURLOPT_NOPROXY, "");
    curl_easy_setopt(t->easy, CURLOPT_SUPPRESS_CONNECT_HEADERS, 1L);
    curl_easy_setopt(t->easy, CURLOPT_OPENSOCKETFUNCTION, open_socket);
    curl_easy_setopt(t->easy, CURLOPT_ERRORBUFFER, t->curl_message);
    curl_easy_setopt(t->easy, CURLOPT_HTTPHEADER, t->headers);
    curl_easy_setopt(t->easy, CURLOPT_HEADERFUNCTION, on_header);
    curl_easy_setopt(t->easy, CURLOPT_HEADERDATA, t);
    curl_easy_setopt(t->easy, CURLOPT_WRITEFUNCTION, on_body);
    curl_easy_setopt(t->easy, CURLOPT_WRITEDATA, t);
    set_method(t);
    transfer_set_tls(t);
    set_addresses(t, addrs);
    multi_add(t->http->multi, t->easy);
}

static int begin(struct http_transfer *t, struct err *err)
{
    int r = transfer_set_target(t, err);

    if (r < 0)
        return r;
    t->status = 0;
    t->head_done = t->paused = t->broken = false;
    t->taken = t->dropped = 0;
    t->curl_message[0] = '\0';
    t->query = dns_resolve(t->http->dns, t->host, HTTP_CONNECT_SECONDS, on_address, t);
    return 0;
}

/* ---- redirects ---- */

static bool same_part(CURLU *a, CURLU *b, CURLUPart part)
{
    cleanup_free char *x = http_url_part(a, part, CURLU_DEFAULT_PORT),
                      *y = http_url_part(b, part, CURLU_DEFAULT_PORT);

    return x && y && strcasecmp(x, y) == 0;
}

/* What names us must not reach another origin (RFC 9110, section 15.4). */
static void forget_credentials(struct http_transfer *t)
{
    struct curl_slist *kept = NULL;

    for (struct curl_slist *h = t->headers; h; h = h->next)
        if (strncasecmp(h->data, "Authorization:", 14) != 0)
            kept = curl_slist_append(kept, h->data);
    curl_slist_free_all(t->headers);
    t->headers = kept;
    free_ptr(&t->cert_file);
    free_ptr(&t->key_file);
}

static int follow(struct http_transfer *t, struct err *err)
{
    CURLU *from = curl_url(), *to = curl_url();
    cleanup_free char *location = steal_ptr(&t->location);
    char *url = NULL;
    bool downgrade = false;

    if (++t->redirects > HTTP_REDIRECTS_MAX)
        err_set(err, GRPC_UNAVAILABLE, 0, "%s redirects more than %d times", t->host, HTTP_REDIRECTS_MAX);
    else if (strlen(location) <= HTTP_URL_MAX && curl_url_set(from, CURLUPART_URL, t->url, 0) == CURLUE_OK &&
             curl_url_set(to, CURLUPART_URL, t->url, 0) == CURLUE_OK &&
             curl_url_set(to, CURLUPART_URL, location, CURLU_URLENCODE) == CURLUE_OK)
        url = http_url_part(to, CURLUPART_URL, 0);
    if (url) {
        downgrade = strncasecmp(t->url, "https:", 6) == 0 && strncasecmp(url, "https:", 6) != 0;
        if (!same_part(from, to, CURLUPART_SCHEME) || !same_part(from, to, CURLUPART_HOST) ||
            !same_part(from, to, CURLUPART_PORT))
            forget_credentials(t);
    }
    curl_url_cleanup(from);
    curl_url_cleanup(to);
    if (t->redirects > HTTP_REDIRECTS_MAX)
        return err_errno(err);
    if (!url || downgrade) {
        err_set(err, GRPC_UNAVAILABLE, 0, "%s redirects to %.200s: %s", t->host, location,
                url ? "https to http is refused" : "no URL");
        free(url);
        return err_errno(err);
    }
    free(t->url);
    t->url = url;
    hop_end(t);
    return begin(t, err);
}

/* ---- the end ---- */

static void finish(struct http_transfer *t, struct http_result *r)
{
    if (t->cancelled)
        err_set(&r->err, GRPC_CANCELLED, 0, "%s: cancelled", t->url);
    r->status = t->status;
    r->bytes = t->bytes;
    timer_stop(&t->idle);
    timer_stop(&t->soon);
    if (t->events->on_done)
        t->events->on_done(t->data, r);
    transfer_free(t);
}

/* What a transport error means: whether it may pass, and what to do about it. */
static const struct {
    CURLcode code;
    int grpc;
    bool retry, tls;
    const char *remedy;
} failures[] = {
    {CURLE_COULDNT_CONNECT, GRPC_UNAVAILABLE, true, false, ""},
    {CURLE_OPERATION_TIMEDOUT, GRPC_UNAVAILABLE, true, false, ""},
    {CURLE_GOT_NOTHING, GRPC_UNAVAILABLE, true, false, ""},
    {CURLE_RECV_ERROR, GRPC_UNAVAILABLE, true, false, ""},
    {CURLE_SEND_ERROR, GRPC_UNAVAILABLE, true, false, ""},
    {CURLE_PARTIAL_FILE, GRPC_UNAVAILABLE, true, false, ""},
    {CURLE_SSL_CONNECT_ERROR, GRPC_UNAVAILABLE, true, true, ""},
    {CURLE_PEER_FAILED_VERIFICATION, GRPC_FAILED_PRECONDITION, false, false,
     "; set tls.ca_file for this host in registries.yaml"},
    {CURLE_SSL_CACERT_BADFILE, GRPC_FAILED_PRECONDITION, false, false,
     "; check tls.ca_file in registries.yaml"},
    {CURLE_SSL_CERTPROBLEM, GRPC_FAILED_PRECONDITION, false, false,
     "; check tls.cert_file and tls.key_file in registries.yaml"},
};

static void explain(struct http_transfer *t, CURLcode code, struct http_result *r)
{
    const char *what = t->curl_message[0] ? t->curl_message : curl_easy_strerror(code);
    size_t i = 0;

    if (t->broken) {
        err_set(&r->err, GRPC_UNAVAILABLE, 0,
                "%s:%s: the headers of the answer are malformed or exceed %d bytes", t->host, t->port,
                HTTP_HEADERS_MAX);
        return;
    }
    if (t->aborted) {
        err_set(&r->err, GRPC_CANCELLED, 0, "%s: not wanted any more", t->url);
        return;
    }
    while (i < countof(failures) && failures[i].code != code)
        i++;
    if (i == countof(failures)) {
        err_set(&r->err, GRPC_UNAVAILABLE, 0, "%s:%s: %s", t->host, t->port, what);
        return;
    }
    r->retry = failures[i].retry;
    r->tls_failed = failures[i].tls;
    err_set(&r->err, failures[i].grpc, 0, "%s:%s: %s%s", t->host, t->port, what, failures[i].remedy);
}

static void on_transfer_done(void *data, CURLcode code)
{
    struct http_transfer *t = data;
    struct http_result r = {0};

    if (!t->cancelled && t->location) { /* however the answer's body ended */
        if (follow(t, &r.err) == 0)
            return;
    } else if (code != CURLE_OK) {
        explain(t, code, &r);
    }
    finish(t, &r);
}

static void drop(struct http_transfer *t, struct http_result *r)
{
    if (t->easy)
        multi_remove(t->http->multi, t->easy);
    finish(t, r);
}

static void on_idle(void *data)
{
    struct http_transfer *t = data;
    double left = t->idle_seconds - (double)(time_monotonic_us() - t->moved_us) / 1e6;
    struct http_result r = {.retry = true};

    if (t->paused) /* it is the receiver who is slow */
        left = t->idle_seconds;
    if (left > 0) {
        timer_start(&t->idle, t->http->loop, left, on_idle, t);
        return;
    }
    err_set(&r.err, GRPC_UNAVAILABLE, 0, "%s:%s: sent nothing for %d s", t->host, t->port, t->idle_seconds);
    drop(t, &r);
}

static void on_soon(void *data)
{
    struct http_transfer *t = data;
    struct http_result r = {0};

    if (!t->cancelled)
        explain(t, CURLE_WRITE_ERROR, &r);
    drop(t, &r);
}

void http_resume(struct http_transfer *t)
{
    if (!t->paused)
        return;
    t->paused = false;
    t->moved_us = time_monotonic_us();
    if (t->easy && curl_easy_pause(t->easy, CURLPAUSE_CONT) != CURLE_OK)
        timer_start(&t->soon, t->http->loop, 0, on_soon, t);
}

void http_cancel(struct http_transfer *t)
{
    t->cancelled = true;
    timer_start(&t->soon, t->http->loop, 0, on_soon, t);
}

/* ---- the start ---- */

static bool has_line_break(const struct http_fetch *r)
{
    for (const char *const *h = r->headers; h && *h; h++)
        if (strpbrk(*h, "\r\n"))
            return true;
    return r->authorization && strpbrk(r->authorization, "\r\n");
}

static void set_headers(struct http_transfer *t, const struct http_fetch *r)
{
    for (const char *const *h = r->headers; h && *h; h++)
        t->headers = curl_slist_append(t->headers, *h);
    if (r->authorization) {
        cleanup_free char *line = mem_printf("Authorization: %s", r->authorization);
        t->headers = curl_slist_append(t->headers, line);
    }
}

int http_start(struct http *h, const struct http_fetch *r, const struct http_events *events, void *data,
               struct http_transfer **ret_transfer, struct err *err)
{
    if (has_line_break(r))
        return err_set(err, GRPC_INVALID_ARGUMENT, 0, "a header for %.200s holds a line break", r->url);
    if (curl_lib_load(err) < 0)
        return err_errno(err);

    struct http_transfer *t = mem_new(struct http_transfer);
    *t = (struct http_transfer){.http = h, .next = h->transfers, .events = events, .data = data};
    h->transfers = t;
    t->method = mem_strdup(r->method);
    t->url = mem_strdup(r->url);
    t->ca_file = mem_strdup(r->tls.ca_file);
    t->cert_file = mem_strdup(r->tls.cert_file);
    t->key_file = mem_strdup(r->tls.key_file);
    t->skip_verify = r->tls.skip_verify;
    t->body = r->body ? mem_dup(r->body, r->body_len) : NULL;
    t->body_len = r->body_len;
    t->idle_seconds = r->idle_seconds > 0 ? r->idle_seconds : HTTP_IDLE_SECONDS;
    t->head.max = HTTP_HEADERS_MAX;
    set_headers(t, r);
    int rc = begin(t, err);
    if (rc < 0) {
        transfer_free(t);
        return rc;
    }
    t->moved_us = time_monotonic_us();
    timer_start(&t->idle, h->loop, t->idle_seconds, on_idle, t);
    if (ret_transfer)
        *ret_transfer = t;
    return 0;
}

int http_status(const struct http_transfer *t)
{
    return t->status;
}

const char *http_header(const struct http_transfer *t, const char *name, size_t nth)
{
    size_t len = strlen(name);

    for (size_t at = 0; at < t->head.len; at += strlen(t->head.data + at) + 1) {
        const char *line = t->head.data + at;
        if (strncasecmp(line, name, len) != 0 || line[len] != ':' || nth-- > 0)
            continue;
        line += len + 1;
        return line + strspn(line, " \t");
    }
    return NULL;
}

bool http_idle(const struct http *h)
{
    return !multi_exists(h->multi) && !dns_busy(h->dns);
}
