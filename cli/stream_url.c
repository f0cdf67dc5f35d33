#include "cli/stream_url.h"
#include "core/quote.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

enum { PORT_DIGITS = 5 };

#define refuse(err, url, why)                                                                                  \
    err_set(err, GRPC_INVALID_ARGUMENT, 0, "the runtime gave the stream URL %s: %s", QUOTED(url), why)

/* Printable ASCII without a space: nothing that could end the request line. */
static bool is_clean(const char *s)
{
    for (; *s; s++)
        if (*s <= ' ' || *s > '~')
            return false;
    return true;
}

/* "http://" or "https://": what follows it; NULL for anything else. */
static const char *after_scheme(const char *url, bool *ret_tls)
{
    static const char *const schemes[] = {"http://", "https://"};

    for (size_t i = 0; i < countof(schemes); i++)
        if (!strncasecmp(url, schemes[i], strlen(schemes[i]))) {
            *ret_tls = i == 1;
            return url + strlen(schemes[i]);
        }
    return NULL;
}

static bool take_port(const char *s, size_t n, struct stream_url *u)
{
    unsigned port = 0;

    if (n == 0 || n > PORT_DIGITS)
        return false;
    for (size_t i = 0; i < n; i++) {
        if (s[i] < '0' || s[i] > '9')
            return false;
        port = port * 10 + (unsigned)(s[i] - '0');
    }
    snprintf(u->port, sizeof(u->port), "%u", port % 100000);
    return port >= 1 && port <= 65535;
}

/* "[::1]:80", "node:80", "node" */
static const char *take_authority(const char *s, size_t n, struct stream_url *u)
{
    const char *end = s + n, *host = s, *host_end;

    if (memchr(s, '@', n))
        return "a name or password in it is not supported";
    u->v6 = n > 0 && s[0] == '[';
    if (u->v6) {
        host++;
        host_end = memchr(s, ']', n);
        if (!host_end)
            return "its address lacks a ]";
        s = host_end + 1;
    } else {
        host_end = memchr(s, ':', n);
        s = host_end = host_end ? host_end : end;
    }
    if (host == host_end || host_end - host >= STREAM_HOST_SIZE)
        return "its host is empty or too long";
    snprintf(u->host, sizeof(u->host), "%.*s", (int)(host_end - host), host);
    if (s == end) {
        snprintf(u->port, sizeof(u->port), "%s", u->tls ? "443" : "80");
        return NULL;
    }
    if (*s != ':' || !take_port(s + 1, (size_t)(end - s - 1), u))
        return "its port is not 1 to 65535";
    return NULL;
}

int stream_url_parse(const char *url, struct stream_url *ret, struct err *err)
{
    struct stream_url u = {0};
    const char *s = after_scheme(url, &u.tls), *why;

    if (!s)
        return refuse(err, url, "it begins with neither http:// nor https://");
    if (!is_clean(s))
        return refuse(err, url, "it has bytes that no URL has");
    size_t n = strcspn(s, "/?#"), target = strcspn(s + n, "#");
    if ((why = take_authority(s, n, &u)))
        return refuse(err, url, why);
    if (target + 1 >= STREAM_TARGET_SIZE)
        return refuse(err, url, "its path is too long");
    snprintf(u.target, sizeof(u.target), "%s%.*s", s[n] == '/' ? "" : "/", (int)target, s + n);
    *ret = u;
    return 0;
}

int stream_url_add_query(struct stream_url *url, const char *query, struct err *err)
{
    size_t n = strlen(url->target);

    if (n + 1 + strlen(query) >= STREAM_TARGET_SIZE)
        return refuse(err, url->target, "its path is too long");
    snprintf(url->target + n, sizeof(url->target) - n, "%c%s", strchr(url->target, '?') ? '&' : '?', query);
    return 0;
}
