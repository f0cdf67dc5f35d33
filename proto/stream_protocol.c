#include "proto/stream_protocol.h"
#include "core/buf.h"
#include "core/quote.h"

#include <string.h>

/* Columns: name, transport, use, status, base64, resize, close_channel, tunnel. */
static const struct stream_protocol protocols[] = {
    {"v5.channel.k8s.io", STREAM_SPDY, STREAM_COMMAND, STREAM_STATUS_JSON, 0, 1, 0, 0},
    {"v4.channel.k8s.io", STREAM_SPDY, STREAM_COMMAND, STREAM_STATUS_JSON, 0, 1, 0, 0},
    {"v3.channel.k8s.io", STREAM_SPDY, STREAM_COMMAND, STREAM_STATUS_TEXT, 0, 1, 0, 0},
    {"v2.channel.k8s.io", STREAM_SPDY, STREAM_COMMAND, STREAM_STATUS_TEXT, 0, 0, 0, 0},
    {"channel.k8s.io", STREAM_SPDY, STREAM_COMMAND, STREAM_STATUS_TEXT, 0, 0, 0, 0},
    {"portforward.k8s.io", STREAM_SPDY, STREAM_PORTS, STREAM_STATUS_NONE, 0, 0, 0, 0},

    {"v5.channel.k8s.io", STREAM_WEBSOCKET, STREAM_COMMAND, STREAM_STATUS_JSON, 0, 1, 1, 0},
    {"v4.channel.k8s.io", STREAM_WEBSOCKET, STREAM_COMMAND, STREAM_STATUS_JSON, 0, 1, 0, 0},
    {"v4.base64.channel.k8s.io", STREAM_WEBSOCKET, STREAM_COMMAND, STREAM_STATUS_JSON, 1, 1, 0, 0},
    {"channel.k8s.io", STREAM_WEBSOCKET, STREAM_COMMAND, STREAM_STATUS_TEXT, 0, 1, 0, 0},
    {"base64.channel.k8s.io", STREAM_WEBSOCKET, STREAM_COMMAND, STREAM_STATUS_TEXT, 1, 1, 0, 0},
    {"", STREAM_WEBSOCKET, STREAM_COMMAND, STREAM_STATUS_TEXT, 0, 1, 0, 0},
    {"SPDY/3.1+portforward.k8s.io", STREAM_WEBSOCKET, STREAM_PORTS, STREAM_STATUS_NONE, 0, 0, 0, 1},
    {"v5.channel.k8s.io", STREAM_WEBSOCKET, STREAM_PORTS, STREAM_STATUS_NONE, 0, 0, 1, 0},
    {"v4.channel.k8s.io", STREAM_WEBSOCKET, STREAM_PORTS, STREAM_STATUS_NONE, 0, 0, 0, 0},
    {"v4.base64.channel.k8s.io", STREAM_WEBSOCKET, STREAM_PORTS, STREAM_STATUS_NONE, 1, 0, 0, 0},
    {"", STREAM_WEBSOCKET, STREAM_PORTS, STREAM_STATUS_NONE, 0, 0, 0, 0},
};

static const struct stream_protocol *find(enum stream_transport transport, enum stream_use use,
                                          const char *name, size_t n)
{
    for (size_t i = 0; i < countof(protocols); i++) {
        const struct stream_protocol *p = &protocols[i];
        if (p->transport == transport && p->use == use && strlen(p->name) == n && memcmp(p->name, name, n) == 0)
            return p;
    }
    return NULL;
}

/* The next name of a list at *s, without the white space around it; its length is 0 only at the end. */
static const char *next_name(const char **s, size_t *ret_n)
{
    const char *name = *s + strspn(*s, " \t,");
    size_t n = strcspn(name, ",");

    *s = name + n;
    while (n > 0 && (name[n - 1] == ' ' || name[n - 1] == '\t'))
        n--;
    *ret_n = n;
    return name;
}

int stream_protocol_choose(enum stream_transport transport, enum stream_use use, const char *offered,
                           const struct stream_protocol **ret_protocol, struct err *err)
{
    const char *at = offered ? offered : "", *name;
    const struct stream_protocol *p;
    size_t n, names = 0;

    if (strlen(at) > STREAM_OFFER_MAX)
        return err_set(err, GRPC_INVALID_ARGUMENT, 0,
                       "the offered stream protocols have %zu bytes; at most %d are read", strlen(at),
                       STREAM_OFFER_MAX);
    for (name = next_name(&at, &n); n > 0; name = next_name(&at, &n), names++) {
        p = find(transport, use, name, n);
        if (p) {
            *ret_protocol = p;
            return 0;
        }
    }
    p = names == 0 ? find(transport, use, "", 0) : NULL;
    if (p) {
        *ret_protocol = p;
        return 0;
    }
    if (names == 0)
        return err_set(err, GRPC_INVALID_ARGUMENT, 0,
                       "unable to upgrade: the header X-Stream-Protocol-Version is missing");
    cleanup_free char *list = stream_protocol_list(transport, use);
    return err_set(err, GRPC_PERMISSION_DENIED, 0,
                   "unable to upgrade: the client offers the protocols %s; supported are %s", QUOTED(offered),
                   list);
}

char *stream_protocol_list(enum stream_transport transport, enum stream_use use)
{
    struct buf list = {0};

    for (size_t i = 0; i < countof(protocols); i++)
        if (protocols[i].transport == transport && protocols[i].use == use && protocols[i].name[0])
            buf_addf(&list, "%s%s", list.len ? ", " : "", protocols[i].name);
    return buf_steal(&list);
}
