/*
 * The Kubernetes channels in the messages of a WebSocket: the first byte of a message says which stream the rest belongs
 * to; in base64 the first character is '0' + channel and the rest base64. Pure; writes into the websocket's output.
 *
 * Exec and attach have the channels below. Port-forward has for its i-th port 2i (data, both ways) and 2i + 1 (errors,
 * to the client), each opened by the port as little-endian uint16. v5: the message {255, n} closes channel n, towards
 * the server only. Source: wsstream and remotecommand of Kubernetes, KEP-4006.
 */
#pragma once
#include "core/err.h"
#include "proto/stream_protocol.h"
#include "proto/websocket.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum channel_number {
    CHANNEL_STDIN = 0,
    CHANNEL_STDOUT = 1,
    CHANNEL_STDERR = 2,
    CHANNEL_ERROR = 3,
    CHANNEL_RESIZE = 4,
    CHANNEL_COMMAND_COUNT = 5,
    CHANNEL_CLOSE = 255,
    CHANNEL_PORTS_MAX = 32, /* with base64, too, each channel is then a printable character */
    CHANNEL_COUNT_MAX = 2 * CHANNEL_PORTS_MAX,
};

struct channels {
    struct websocket *ws; /* not owned */
    const struct stream_protocol *protocol;
    unsigned count;
    bool reads[CHANNEL_COUNT_MAX];  /* the client may send on it, and has not closed it */
    bool writes[CHANNEL_COUNT_MAX]; /* the server may */
};

struct channel_streams {
    bool in, out, err; /* which of the command's were asked for */
};

enum channel_event_kind { CHANNEL_NOTHING, CHANNEL_DATA, CHANNEL_CLOSED };

struct channel_event {
    enum channel_event_kind kind;
    unsigned channel;
    const uint8_t *data; /* CHANNEL_DATA: within the message; never empty */
    size_t len;
};

/* Also sends an empty message on the lowest channel that the client may read: clients wait for it. */
void channels_open_command(struct channels *channels, const struct stream_protocol *protocol,
                           struct channel_streams streams, struct websocket *ws);
/* n is 1 to CHANNEL_PORTS_MAX. Also sends each port on both of its channels. */
void channels_open_ports(struct channels *channels, const struct stream_protocol *protocol,
                         const uint16_t *ports, size_t n, struct websocket *ws);

/*
 * What a message means. A message on a channel that does not exist, was not asked for or is closed is CHANNEL_NOTHING, as
 * in the reference. Base64 is decoded in place. Errors (INVALID_ARGUMENT): not base64; a close without one byte or of no
 * channel. A Close with the right code is then pending: end the connection.
 */
int channel_read(struct channels *channels, const struct websocket_message *message,
                 struct channel_event *ret_event, struct err *err) must_check;

/* One message, whatever n; what the client may not read is dropped. */
void channel_write(struct channels *channels, unsigned channel, const void *p, size_t n);

/*
 * The ports of a query string: "port=80&port=443,8080" gives three; other keys are skipped. Errors (INVALID_ARGUMENT):
 * none, more than CHANNEL_PORTS_MAX, not 1 to 65535. ret_ports has room for CHANNEL_PORTS_MAX.
 */
int channel_ports_parse(const char *query, uint16_t *ret_ports, size_t *ret_n, struct err *err) must_check;
