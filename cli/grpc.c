#include "cli/grpc.h"
#include "core/buf.h"
#include "core/mem.h"
#include "proto/grpc_frame.h"

#include <curl/curl.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum {
    GRACE_MS = 2000,       /* for a server that answers DEADLINE_EXCEEDED by itself */
    MESSAGE_MAX = 64 << 10 /* of grpc-message */
};

struct grpc {
    char *path;
    CURLM *multi;
    CURL *easy;
    int cancel_fd;
};

/* What arrives during one call. */
struct reply {
    struct buf body;
    int status;         /* grpc-status; -1: none came */
    struct buf message; /* grpc-message, still percent-encoded */
};

int grpc_endpoint_path(const char *endpoint, char **ret_path, struct err *err)
{
    const char *path = endpoint;

    if (!strncmp(path, "unix:", 5))
        path += 5;
    if (!strncmp(path, "//", 2))
        path += 2;
    if (*path != '/')
        return err_set(
            err, GRPC_INVALID_ARGUMENT, 0,
            "endpoint %s is not a unix socket: write unix:///run/cricket/cricket.sock or an absolute path",
            endpoint);
    *ret_path = mem_strdup(path);
    return 0;
}

int grpc_open(const char *socket_path, struct grpc **ret, struct err *err)
{
    struct grpc *g = mem_new(struct grpc);

    g->path = mem_strdup(socket_path);
    g->cancel_fd = -1;
    g->multi = curl_multi_init();
    g->easy = curl_easy_init();
    if (!g->multi || !g->easy) {
        grpc_free(g);
        return err_set(err, GRPC_INTERNAL, 0, "libcurl did not start");
    }
    *ret = g;
    return 0;
}

void grpc_free(struct grpc *g)
{
    if (!g)
        return;
    if (g->easy)
        curl_easy_cleanup(g->easy);
    if (g->multi)
        curl_multi_cleanup(g->multi);
    free(g->path);
    free(g);
}

void grpc_set_cancel_fd(struct grpc *g, int fd)
{
    g->cancel_fd = fd;
}

static size_t on_body(char *p, size_t one, size_t n, void *data)
{
    struct reply *r = data;
    (void)one;
    buf_add(&r->body, p, n);
    return r->body.truncated ? 0 : n; /* 0 makes curl stop with CURLE_WRITE_ERROR */
}

/* The value of header `name` (with its colon), without white space around it; NULL when p is another header. */
static const char *header_value(const char *p, size_t n, const char *name, size_t *ret_len)
{
    size_t len = strlen(name);

    if (n < len || strncasecmp(p, name, len))
        return NULL;
    p += len, n -= len;
    while (n && (*p == ' ' || *p == '\t'))
        p++, n--;
    while (n && (p[n - 1] == '\r' || p[n - 1] == '\n' || p[n - 1] == ' '))
        n--;
    *ret_len = n;
    return p;
}

/* curl hands trailers to the header callback as well. A reply without a message has status and message in its headers. */
static size_t on_header(char *p, size_t one, size_t n, void *data)
{
    struct reply *r = data;
    const char *v;
    size_t len;
    (void)one;

    if ((v = header_value(p, n, "grpc-status:", &len)) && len > 0 && len < 4) {
        r->status = 0;
        for (size_t i = 0; i < len; i++)
            r->status = v[i] < '0' || v[i] > '9' ? GRPC_UNKNOWN : r->status * 10 + v[i] - '0';
    } else if ((v = header_value(p, n, "grpc-message:", &len))) {
        r->message.len = 0;
        buf_add(&r->message, v, len);
    }
    return n;
}

/* Control bytes become spaces: the text goes to a terminal. */
static char *decode_message(const struct buf *b)
{
    char *s = grpc_message_decode(b->data);

    for (char *c = s; *c; c++)
        if ((unsigned char)*c < 0x20 || *c == 0x7f)
            *c = ' ';
    return s;
}

static int unreachable(const struct grpc *g, int sys, struct err *err)
{
    if (sys == EACCES || sys == EPERM)
        return err_set(err, GRPC_PERMISSION_DENIED, sys,
                       "%s: run as root, or as a member of the socket's group", g->path);
    return err_set(err, GRPC_UNAVAILABLE, sys,
                   "no CRI runtime answers on %s. Is cricketd running? Start it with `systemctl start "
                   "cricketd` (or `cricketd` as root), "
                   "or give --endpoint unix://PATH",
                   g->path);
}

/* curl's failures: no answer at all, or a server that does not speak gRPC. */
static int transport_error(struct grpc *g, CURLcode code, const struct reply *r, int timeout_ms,
                           struct err *err)
{
    long sys = 0;

    curl_easy_getinfo(g->easy, CURLINFO_OS_ERRNO, &sys);
    switch (code) {
    case CURLE_COULDNT_CONNECT:
        return unreachable(g, (int)sys, err);
    case CURLE_OPERATION_TIMEDOUT:
        return err_set(err, GRPC_DEADLINE_EXCEEDED, 0,
                       "%s gave no answer within %d.%d s: try a longer --timeout", g->path, timeout_ms / 1000,
                       timeout_ms % 1000 / 100);
    case CURLE_WRITE_ERROR:
        if (r->body.truncated)
            return err_set(err, GRPC_RESOURCE_EXHAUSTED, 0, "the reply of %s is larger than %d bytes", g->path,
                           GRPC_MESSAGE_MAX);
        break;
    default:
        break;
    }
    return err_set(err, GRPC_UNAVAILABLE, 0, "%s: the connection broke (%s): is a CRI runtime listening there?",
                   g->path, curl_easy_strerror(code));
}

static int check_status(struct grpc *g, struct reply *r, struct err *err)
{
    long http = 0;

    curl_easy_getinfo(g->easy, CURLINFO_RESPONSE_CODE, &http);
    if (r->status < 0)
        return err_set(err, GRPC_UNAVAILABLE, 0,
                       "%s answered HTTP %ld without a gRPC status: it is no CRI runtime", g->path, http);
    if (r->status == GRPC_OK)
        return 0;
    if (!r->message.len)
        return err_set(err, r->status, 0, "%s", grpc_code_name(r->status));
    cleanup_free char *message = decode_message(&r->message);
    return err_set(err, r->status, 0, "%s", message);
}

static int unpack(struct grpc *g, struct reply *r, const ProtobufCMessageDescriptor *type,
                  ProtobufCMessage **ret, struct err *err)
{
    const uint8_t *p;
    size_t n;

    if (grpc_frame_parse(r->body.data, r->body.len, &p, &n, NULL) < 0)
        return err_set(err, GRPC_INTERNAL, 0, "%s sent no plain gRPC message (%zu bytes)", g->path,
                       r->body.len);
    *ret = protobuf_c_message_unpack(type, NULL, n, p);
    if (!*ret)
        return err_set(err, GRPC_INTERNAL, 0, "%s sent what is no %s", g->path, type->name);
    return 0;
}

/* Until the call ends or cancel_fd is readable: the multi interface, because the easy one cannot be woken. */
static int wait_for_end(struct grpc *g, CURLcode *ret_code, struct err *err)
{
    struct curl_waitfd wake = {.fd = g->cancel_fd, .events = CURL_WAIT_POLLIN};
    int running = 1, left;
    CURLMsg *m;

    while (running) {
        CURLMcode rc = curl_multi_perform(g->multi, &running);
        if (rc == CURLM_OK && running)
            rc = curl_multi_poll(g->multi, &wake, g->cancel_fd >= 0, 1000, NULL);
        if (rc != CURLM_OK)
            return err_set(err, GRPC_INTERNAL, 0, "libcurl: %s", curl_multi_strerror(rc));
        if (g->cancel_fd >= 0 && (wake.revents & CURL_WAIT_POLLIN))
            return err_set(err, GRPC_CANCELLED, 0, "interrupted");
    }
    *ret_code = CURLE_GOT_NOTHING;
    while ((m = curl_multi_info_read(g->multi, &left)))
        if (m->msg == CURLMSG_DONE)
            *ret_code = m->data.result;
    return 0;
}

static struct curl_slist *call_headers(int timeout_ms)
{
    static const char *const fixed[] = {"content-type: application/grpc", "te: trailers",
                                        "user-agent: cricket/" CRICKET_VERSION, "accept:"};
    struct curl_slist *h = NULL;
    char line[40];

    for (size_t i = 0; i < countof(fixed); i++)
        h = curl_slist_append(h, fixed[i]);
    if (timeout_ms) {
        snprintf(line, sizeof(line), "grpc-timeout: %dm", timeout_ms);
        h = curl_slist_append(h, line);
    }
    return h;
}

static void pack(const ProtobufCMessage *m, struct buf *b)
{
    size_t n = protobuf_c_message_get_packed_size(m);
    cleanup_free uint8_t *p = mem_alloc(GRPC_FRAME_PREFIX + n);

    grpc_frame_prefix(p, (uint32_t)n);
    protobuf_c_message_pack(m, p + GRPC_FRAME_PREFIX);
    buf_add(b, p, GRPC_FRAME_PREFIX + n);
}

int grpc_call(struct grpc *g, const ProtobufCServiceDescriptor *service,
              const ProtobufCMethodDescriptor *method, const ProtobufCMessage *request, int timeout_ms,
              ProtobufCMessage **ret_reply, struct err *err)
{
    cleanup_buf struct buf body = {0};
    struct reply r = {
        .body = {.max = GRPC_MESSAGE_MAX + GRPC_FRAME_PREFIX}, .status = -1, .message = {.max = MESSAGE_MAX}};
    char url[256];
    CURLcode code = CURLE_OK;
    int rc;

    pack(request, &body);
    snprintf(url, sizeof(url), "http://localhost/%s/%s", service->name, method->name);
    struct curl_slist *headers = call_headers(timeout_ms);
    curl_easy_reset(g->easy);
    /* A connection a call: libcurl 7.88, Debian 12's, cannot use one with prior knowledge twice (curl issue 10634). */
    curl_easy_setopt(g->easy, CURLOPT_FORBID_REUSE, 1L);
    curl_easy_setopt(g->easy, CURLOPT_UNIX_SOCKET_PATH, g->path);
    curl_easy_setopt(g->easy, CURLOPT_PROXY, "");
    curl_easy_setopt(g->easy, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_2_PRIOR_KNOWLEDGE);
    curl_easy_setopt(g->easy, CURLOPT_URL, url);
    curl_easy_setopt(g->easy, CURLOPT_HTTPHEADER, headers);
    curl_easy_setopt(g->easy, CURLOPT_POST, 1L);
    curl_easy_setopt(g->easy, CURLOPT_POSTFIELDS, body.data);
    curl_easy_setopt(g->easy, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)body.len);
    curl_easy_setopt(g->easy, CURLOPT_WRITEFUNCTION, on_body);
    curl_easy_setopt(g->easy, CURLOPT_WRITEDATA, &r);
    curl_easy_setopt(g->easy, CURLOPT_HEADERFUNCTION, on_header);
    curl_easy_setopt(g->easy, CURLOPT_HEADERDATA, &r);
    curl_easy_setopt(g->easy, CURLOPT_NOSIGNAL, 1L);
    if (timeout_ms)
        curl_easy_setopt(g->easy, CURLOPT_TIMEOUT_MS, (long)timeout_ms + GRACE_MS);

    curl_multi_add_handle(g->multi, g->easy);
    rc = wait_for_end(g, &code, err);
    if (!rc && code != CURLE_OK && r.status <= 0)
        rc = transport_error(g, code, &r, timeout_ms, err);
    else if (!rc)
        rc = check_status(g, &r, err);
    if (!rc)
        rc = unpack(g, &r, method->output, ret_reply, err);
    curl_multi_remove_handle(g->multi, g->easy);
    curl_slist_free_all(headers);
    buf_done(&r.body);
    buf_done(&r.message);
    return rc;
}
