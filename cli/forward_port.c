#include "cli/forward_port.h"
#include "core/quote.h"

#include <stdbool.h>
#include <string.h>

enum { PORT_DIGITS = 5 };

static bool parse_number(const char *s, size_t n, uint16_t *ret)
{
    unsigned v = 0;

    if (n == 0 || n > PORT_DIGITS)
        return false;
    for (size_t i = 0; i < n; i++) {
        if (s[i] < '0' || s[i] > '9')
            return false;
        v = v * 10 + (unsigned)(s[i] - '0');
    }
    *ret = (uint16_t)v;
    return v <= UINT16_MAX;
}

int forward_port_parse(const char *text, struct forward_port *ret, struct err *err)
{
    const char *colon = strchr(text, ':'), *remote = colon ? colon + 1 : text;
    struct forward_port p = {0};
    bool ok = parse_number(remote, strlen(remote), &p.remote) && p.remote;

    if (ok && !colon)
        p.local = p.remote;
    else if (ok && colon > text)
        ok = parse_number(text, (size_t)(colon - text), &p.local);
    if (!ok)
        return err_set(
            err, GRPC_INVALID_ARGUMENT, 0,
            "%s is no [LOCAL:]REMOTE, such as 8080:80 or 80; a port is 1 to 65535, and LOCAL may be 0",
            QUOTED(text));
    *ret = p;
    return 0;
}
