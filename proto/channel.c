#include "proto/channel.h"
#include "core/base64.h"
#include "core/quote.h"

#include <assert.h>
#include <string.h>

static enum websocket_kind kind_of(const struct channels *channels)
{
    return channels->protocol->base64 ? WEBSOCKET_TEXT : WEBSOCKET_BINARY;
}

void channel_write(struct channels *channels, unsigned channel, const void *p, size_t n)
{
    enum { GROUP = 3 * 1024 }; /* bytes in, so that no padding comes before the end */
    const uint8_t *in = p;
    bool base64 = channels->protocol->base64;
    char first = (char)(base64 ? '0' + channel : channel), digits[BASE64_LEN(GROUP)];

    if (channel >= channels->count || !channels->writes[channel])
        return;
    websocket_begin(channels->ws, kind_of(channels), 1 + (base64 ? BASE64_LEN(n) : n));
    websocket_add(channels->ws, &first, 1);
    if (!base64) {
        websocket_add(channels->ws, p, n);
        return;
    }
    while (n > 0) {
        size_t take = n < GROUP ? n : GROUP;
        base64_encode(in, take, digits);
        websocket_add(channels->ws, digits, BASE64_LEN(take));
        in += take;
        n -= take;
    }
}

void channels_open_command(struct channels *channels, const struct stream_protocol *protocol,
                           struct channel_streams streams, struct websocket *ws)
{
    *channels = (struct channels){
        .ws = ws,
        .protocol = protocol,
        .count = CHANNEL_COMMAND_COUNT,
        .reads = {[CHANNEL_STDIN] = streams.in, [CHANNEL_RESIZE] = protocol->resize},
        .writes = {[CHANNEL_STDOUT] = streams.out, [CHANNEL_STDERR] = streams.err, [CHANNEL_ERROR] = true},
    };
    channel_write(channels, streams.out ? CHANNEL_STDOUT : streams.err ? CHANNEL_STDERR : CHANNEL_ERROR, "", 0);
}

void channels_open_ports(struct channels *channels, const struct stream_protocol *protocol,
                         const uint16_t *ports, size_t n, struct websocket *ws)
{
    assert(n >= 1 && n <= CHANNEL_PORTS_MAX);
    *channels = (struct channels){.ws = ws, .protocol = protocol, .count = 2 * (unsigned)n};
    for (unsigned i = 0; i < n; i++) {
        const uint8_t port[2] = {(uint8_t)ports[i], (uint8_t)(ports[i] >> 8)};
        channels->reads[2 * i] = true;
        channels->writes[2 * i] = channels->writes[2 * i + 1] = true;
        channel_write(channels, 2 * i, port, sizeof(port));
        channel_write(channels, 2 * i + 1, port, sizeof(port));
    }
}

static int refuse(struct channels *channels, enum websocket_code code, const char *why, struct err *err)
{
    websocket_close(channels->ws, code, why);
    return err_set(err, GRPC_INVALID_ARGUMENT, 0, "%s client: %s",
                   channels->protocol->name[0] ? channels->protocol->name : "channel", why);
}

/* v5: {255, n} */
static int read_close(struct channels *channels, const struct websocket_message *message,
                      struct channel_event *ret_event, struct err *err)
{
    if (message->len != 2)
        return refuse(channels, WEBSOCKET_PROTOCOL_ERROR, "a close must name one channel in one byte", err);
    unsigned channel = message->data[1];
    if (channel >= channels->count)
        return refuse(channels, WEBSOCKET_PROTOCOL_ERROR, "a close of a channel that does not exist", err);
    *ret_event = (struct channel_event){CHANNEL_NOTHING, channel, NULL, 0};
    if (channels->reads[channel])
        ret_event->kind = CHANNEL_CLOSED;
    channels->reads[channel] = false;
    return 0;
}

int channel_read(struct channels *channels, const struct websocket_message *message,
                 struct channel_event *ret_event, struct err *err)
{
    uint8_t *data = message->data + 1;
    size_t len = message->len - 1;

    *ret_event = (struct channel_event){.kind = CHANNEL_NOTHING};
    if (message->len == 0)
        return 0;
    if (channels->protocol->close_channel && message->data[0] == CHANNEL_CLOSE)
        return read_close(channels, message, ret_event, err);
    unsigned channel = (uint8_t)(message->data[0] - (channels->protocol->base64 ? '0' : 0));
    if (channel >= channels->count || !channels->reads[channel] || len == 0)
        return 0;
    if (channels->protocol->base64 && base64_decode((const char *)data, len, data, &len) < 0)
        return refuse(channels, WEBSOCKET_BAD_TEXT, "a message that is not base64", err);
    *ret_event = (struct channel_event){CHANNEL_DATA, channel, data, len};
    return 0;
}

/* One number of a list up to a comma or an ampersand. */
static int parse_port(const char *s, size_t n, uint16_t *ret_port, struct err *err)
{
    unsigned port = 0;
    size_t i = 0;

    while (i < n && s[i] >= '0' && s[i] <= '9' && port <= UINT16_MAX)
        port = port * 10 + (unsigned)(s[i++] - '0');
    if (n == 0 || i < n || port < 1 || port > UINT16_MAX)
        return err_set(err, GRPC_INVALID_ARGUMENT, 0, "port-forward: port %s is not 1 to 65535",
                       QUOTED_N(s, n));
    *ret_port = (uint16_t)port;
    return 0;
}

static int parse_list(const char *s, size_t n, uint16_t *ports, size_t *count, struct err *err)
{
    for (const char *end = s + n;; s++) {
        const char *comma = memchr(s, ',', (size_t)(end - s));
        if (*count == CHANNEL_PORTS_MAX)
            return err_set(err, GRPC_INVALID_ARGUMENT, 0,
                           "port-forward: more than %d ports; open another connection for the rest",
                           CHANNEL_PORTS_MAX);
        size_t len = (size_t)((comma ? comma : end) - s);
        int r = parse_port(s, len, &ports[*count], err);
        if (r < 0)
            return r;
        ++*count;
        s += len;
        if (!comma)
            return 0;
    }
}

int channel_ports_parse(const char *query, uint16_t *ret_ports, size_t *ret_n, struct err *err)
{
    size_t count = 0;

    for (const char *at = query; *at;) {
        size_t n = strcspn(at, "&");
        if (n >= 5 && memcmp(at, "port=", 5) == 0) {
            int r = parse_list(at + 5, n - 5, ret_ports, &count, err);
            if (r < 0)
                return r;
        }
        at += n + (at[n] == '&');
    }
    if (count == 0)
        return err_set(err, GRPC_INVALID_ARGUMENT, 0,
                       "port-forward: the query names no port; add port=N to the URL");
    *ret_n = count;
    return 0;
}
