#include "cli/http_answer.h"
#include "core/quote.h"
#include "proto/websocket_handshake.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

enum { STATUS_DIGITS = 3, LENGTH_DIGITS = 9, BODY_SHOWN = 300 };

static int malformed(const char *what, const char *line, size_t n, struct err *err)
{
    return err_set(err, GRPC_UNAVAILABLE, 0, "the streaming server's answer is not HTTP (%s: %s)", what,
                   QUOTED_N(line, n));
}

/* The length of the line at p without its end, *ret_next behind that; -1 while the end is not there. */
static ssize_t line_at(const char *p, size_t n, size_t *ret_next)
{
    const char *end = memchr(p, '\n', n);

    if (!end)
        return -1;
    *ret_next = (size_t)(end - p) + 1;
    return end > p && end[-1] == '\r' ? end - p - 1 : end - p;
}

static void keep(char to[static HTTP_VALUE_SIZE], const char *p, size_t n)
{
    snprintf(to, HTTP_VALUE_SIZE, "%.*s", (int)(n < HTTP_VALUE_SIZE ? n : HTTP_VALUE_SIZE), p);
}

/* "HTTP/1.1 101 Switching Protocols" */
static int take_status(const char *p, size_t n, struct http_answer *a, struct err *err)
{
    if (n < 12 || memcmp(p, "HTTP/1.", 7) || p[8] != ' ' || (n > 12 && p[12] != ' '))
        return malformed("no status line", p, n, err);
    for (size_t i = 9; i < 9 + STATUS_DIGITS; i++) {
        if (p[i] < '0' || p[i] > '9')
            return malformed("no status", p, n, err);
        a->status = a->status * 10 + p[i] - '0';
    }
    if (n > 13)
        keep(a->reason, p + 13, n - 13);
    return 0;
}

static bool is_named(const char *p, size_t n, const char *name)
{
    return strlen(name) == n && !strncasecmp(p, name, n);
}

static char *slot_of(struct http_answer *a, const char *name, size_t n)
{
    const struct {
        const char *name;
        char *to;
    } slots[] = {
        {"upgrade", a->upgrade},
        {"connection", a->connection},
        {"sec-websocket-accept", a->accept},
        {"sec-websocket-protocol", a->protocol},
        {"sec-websocket-extensions", a->extensions},
    };

    for (size_t i = 0; i < countof(slots); i++)
        if (is_named(name, n, slots[i].name))
            return slots[i].to;
    return NULL;
}

static long length_of(const char *p, size_t n)
{
    long v = 0;

    if (n == 0 || n > LENGTH_DIGITS)
        return -1;
    for (size_t i = 0; i < n; i++) {
        if (p[i] < '0' || p[i] > '9')
            return -1;
        v = v * 10 + p[i] - '0';
    }
    return v;
}

static int take_field(const char *p, size_t n, struct http_answer *a, struct err *err)
{
    const char *colon = memchr(p, ':', n);

    if (!colon || colon == p || p[0] == ' ' || p[0] == '\t' || memchr(p, '\0', n))
        return malformed("no header", p, n, err);
    size_t name = (size_t)(colon - p), len = n - name - 1;
    const char *v = colon + 1;
    while (len && (*v == ' ' || *v == '\t'))
        v++, len--;
    while (len && (v[len - 1] == ' ' || v[len - 1] == '\t'))
        len--;
    char *to = slot_of(a, p, name);
    if (to && to[0]) /* RFC 9110 section 5.3 */
        snprintf(to + strlen(to), HTTP_VALUE_SIZE - strlen(to), ", %.*s",
                 (int)(len < HTTP_VALUE_SIZE ? len : HTTP_VALUE_SIZE), v);
    else if (to)
        keep(to, v, len);
    if (is_named(p, name, "transfer-encoding"))
        a->chunked = true;
    if (is_named(p, name, "content-length"))
        a->length = length_of(v, len);
    return 0;
}

ssize_t http_answer_parse(const char *p, size_t n, struct http_answer *ret, struct err *err)
{
    struct http_answer a = {.length = -1};
    size_t at = 0, next;
    ssize_t len;
    int rc;

    for (; at < n && (len = line_at(p + at, n - at, &next)) >= 0; at += next) {
        if (at == 0)
            rc = take_status(p, (size_t)len, &a, err);
        else if (len > 0)
            rc = take_field(p + at, (size_t)len, &a, err);
        else {
            *ret = a;
            return (ssize_t)(at + next);
        }
        if (rc < 0)
            return rc;
    }
    if (at == 0 && memcmp(p, "HTTP/1.", n < 7 ? n : 7))
        return malformed("no status line", p, n, err);
    if (n >= HTTP_HEAD_MAX)
        return err_set(err, GRPC_RESOURCE_EXHAUSTED, 0,
                       "the streaming server's answer has more than %d bytes of headers", HTTP_HEAD_MAX);
    return 0;
}

int http_answer_check(const struct http_answer *answer, const char *key, const char *protocols, struct err *err)
{
    const struct websocket_request own = {"websocket", "Upgrade", "13", key};
    char accept[WEBSOCKET_ACCEPT_SIZE];
    int rc = websocket_handshake(&own, accept, err);

    if (rc < 0)
        return rc;
    if (!header_has_token(answer->upgrade, "websocket") || !header_has_token(answer->connection, "upgrade"))
        return err_set(err, GRPC_UNAVAILABLE, 0,
                       "the streaming server upgraded to %s, not to a WebSocket: is it a CRI runtime's?",
                       QUOTED(answer->upgrade));
    if (strcmp(answer->accept, accept) != 0)
        return err_set(
            err, GRPC_UNAVAILABLE, 0,
            "the streaming server's Sec-WebSocket-Accept %s is not that of our key: a proxy or cache "
            "may be in between",
            QUOTED(answer->accept));
    if (!answer->protocol[0] || strchr(answer->protocol, ',') || !header_has_token(protocols, answer->protocol))
        return err_set(err, GRPC_UNIMPLEMENTED, 0,
                       "the streaming server chose the protocol %s; cricket speaks %s",
                       QUOTED(answer->protocol), protocols);
    if (answer->extensions[0])
        return err_set(err, GRPC_UNAVAILABLE, 0,
                       "the streaming server wants the extension %s, which was not offered",
                       QUOTED(answer->extensions));
    return 0;
}

bool http_answer_body_is_whole(const struct http_answer *answer, const char *body, size_t n)
{
    static const char last[] = "\n0\r\n\r\n"; /* of chunks; a first one of no bytes is whole without it */

    if (answer->chunked)
        return (n >= 5 && !memcmp(body, last + 1, 5)) || memmem(body, n, last, sizeof(last) - 1);
    return answer->length >= 0 && n >= (size_t)answer->length;
}

int http_answer_refusal(const struct http_answer *answer, const char *body, size_t n, struct err *err)
{
    char text[BODY_SHOWN + 1] = "";
    size_t len = 0, first = 0;

    if (answer->chunked && line_at(body, n, &first) < 0) /* the first chunk's size */
        first = 0;
    for (size_t i = first; i < n && len < BODY_SHOWN && !(answer->chunked && body[i] == '\r'); i++)
        text[len++] = body[i] >= ' ' && body[i] <= '~' ? body[i] : ' ';
    while (len && text[len - 1] == ' ')
        len--;
    text[len] = '\0';
    int grpc = answer->status == 404   ? GRPC_NOT_FOUND
               : answer->status == 429 ? GRPC_RESOURCE_EXHAUSTED
               : answer->status == 403 ? GRPC_PERMISSION_DENIED
                                       : GRPC_UNAVAILABLE;
    return err_set(err, grpc, 0, "the streaming server refused: HTTP %d %s%s%s", answer->status,
                   answer->reason[0] ? QUOTED(answer->reason) : "without a reason", len ? ": " : "", text);
}
