#include "cli/run_opts.h"
#include "core/mem.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum { NAME_LIMIT = 63 };

static int bad_port(const char *s, const char *why, struct err *err)
{
    return err_set(err, GRPC_INVALID_ARGUMENT, 0,
                   "-p %s: %s. Write HOST:CONTAINER, as in 8080:80, 127.0.0.1:8080:80 or 53:53/udp", s, why);
}

/* 1 to 65535; 0 for anything else. */
static int port_number(const char *p, size_t n)
{
    int v = 0;

    if (n == 0 || n > 5)
        return 0;
    for (size_t i = 0; i < n; i++) {
        if (p[i] < '0' || p[i] > '9')
            return 0;
        v = v * 10 + p[i] - '0';
    }
    return v <= 65535 ? v : 0;
}

/* "[::1]:8080:80" or "127.0.0.1:8080:80": takes the address off the front of p. */
static int take_address(const char *s, const char **p, size_t *n, struct run_port *ret, struct err *err)
{
    struct in6_addr a;
    const char *end;
    bool six = **p == '[';

    end = six ? memchr(*p, ']', *n) : memchr(*p, ':', *n);
    if (!end || (six && end[1] != ':'))
        return bad_port(s, "the address is not closed", err);
    size_t len = (size_t)(end - *p) - six;
    if (len >= sizeof(ret->host_ip))
        return bad_port(s, "the address is too long", err);
    memcpy(ret->host_ip, *p + six, len);
    ret->host_ip[len] = 0;
    if (inet_pton(six ? AF_INET6 : AF_INET, ret->host_ip, &a) != 1)
        return bad_port(s, "the address is none", err);
    size_t used = (size_t)(end - *p) + (six ? 2 : 1);
    *p += used;
    *n -= used;
    return 0;
}

int run_port_parse(const char *s, struct run_port *ret, struct err *err)
{
    struct run_port r = {.protocol = "tcp"};
    const char *p = s, *slash = strrchr(s, '/'), *colon;
    size_t n = slash ? (size_t)(slash - s) : strlen(s), colons = 0;
    int rc;

    if (slash) {
        if (strcmp(slash + 1, "tcp") && strcmp(slash + 1, "udp") && strcmp(slash + 1, "sctp"))
            return bad_port(s, "the protocol is tcp, udp or sctp", err);
        strcpy(r.protocol, slash + 1);
    }
    for (size_t i = 0; i < n; i++)
        colons += s[i] == ':';
    if (*p == '[' || colons == 2)
        if ((rc = take_address(s, &p, &n, &r, err)) < 0)
            return rc;
    if (!(colon = memchr(p, ':', n)))
        return bad_port(s, "the host's port is missing", err);
    r.host_port = port_number(p, (size_t)(colon - p));
    r.container_port = port_number(colon + 1, n - (size_t)(colon - p) - 1);
    if (!r.host_port || !r.container_port)
        return bad_port(s, "a port is a number from 1 to 65535", err);
    *ret = r;
    return 0;
}

int run_volume_parse(const char *s, struct run_volume *ret, struct err *err)
{
    const char *colon = strchr(s, ':'), *mode = colon ? strchr(colon + 1, ':') : NULL;
    size_t dst_len = mode ? (size_t)(mode - colon - 1) : colon ? strlen(colon + 1) : 0;

    if (!colon || colon == s || dst_len == 0 || colon[1] != '/')
        return err_set(
            err, GRPC_INVALID_ARGUMENT, 0,
            "-v %s: write SOURCE:DESTINATION or SOURCE:DESTINATION:ro, with a DESTINATION that begins with /",
            s);
    if (mode && strcmp(mode, ":ro") && strcmp(mode, ":rw"))
        return err_set(err, GRPC_INVALID_ARGUMENT, 0, "-v %s: after the destination comes ro or rw, not \"%s\"",
                       s, mode + 1);
    ret->source = mem_strndup(s, (size_t)(colon - s));
    ret->destination = mem_strndup(colon + 1, dst_len);
    ret->readonly = mode && !strcmp(mode, ":ro");
    return 0;
}

void run_volume_done(struct run_volume *v)
{
    free(v->source);
    free(v->destination);
    *v = (struct run_volume){0};
}

int run_env_parse(const char *s, char **ret_key, const char **ret_value, struct err *err)
{
    const char *eq = strchr(s, '=');
    const char *value = eq ? eq + 1 : getenv(s);

    if (eq == s || !*s)
        return err_set(err, GRPC_INVALID_ARGUMENT, 0, "-e %s: write NAME=VALUE", s);
    if (!value)
        return err_set(err, GRPC_INVALID_ARGUMENT, 0, "-e %s: this variable is not set here; write %s=VALUE", s,
                       s);
    *ret_key = mem_strndup(s, eq ? (size_t)(eq - s) : strlen(s));
    *ret_value = value;
    return 0;
}

char *run_name_of_image(const char *image)
{
    const char *slash = strrchr(image, '/'), *p = slash ? slash + 1 : image;
    char *name = mem_alloc(NAME_LIMIT + 1);
    size_t n = 0;

    if (!strncmp(p, "sha256:", 7))
        p = ""; /* an id says nothing */
    for (; *p && *p != ':' && *p != '@' && n < NAME_LIMIT / 2; p++) {
        char c = (char)tolower((unsigned char)*p);
        if ((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9'))
            name[n++] = c;
        else if (n && name[n - 1] != '-')
            name[n++] = '-';
    }
    while (n && name[n - 1] == '-')
        n--;
    name[n] = 0;
    if (!n)
        strcpy(name, "pod");
    return name;
}

int run_name_check(const char *name, struct err *err)
{
    size_t n = strlen(name);
    bool ok = n > 0 && n <= NAME_LIMIT && name[0] != '-' && name[n - 1] != '-';

    for (size_t i = 0; ok && i < n; i++)
        ok = (name[i] >= 'a' && name[i] <= 'z') || (name[i] >= '0' && name[i] <= '9') || name[i] == '-';
    if (!ok)
        return err_set(
            err, GRPC_INVALID_ARGUMENT, 0,
            "--name %s: a name is 1 to 63 of a to z, 0 to 9 and -, and neither begins nor ends with -", name);
    return 0;
}
