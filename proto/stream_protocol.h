/*
 * The protocols that a client of Exec, Attach and PortForward may choose, and the choice. Over SPDY they are offered in
 * X-Stream-Protocol-Version, over WebSocket in Sec-WebSocket-Protocol. Pure.
 */
#pragma once
#include "core/err.h"
#include <stdbool.h>
#include <stddef.h>

enum stream_transport { STREAM_SPDY, STREAM_WEBSOCKET };
enum stream_use { STREAM_COMMAND, STREAM_PORTS }; /* exec and attach; port-forward */

/* How the result of a command is written to its error stream; exec_status.h makes both. */
enum stream_status { STREAM_STATUS_NONE, STREAM_STATUS_TEXT, STREAM_STATUS_JSON };

struct stream_protocol {
    const char *name; /* "": the WebSocket client offered none */
    enum stream_transport transport;
    enum stream_use use;
    enum stream_status status;
    bool base64;        /* WebSocket: text messages, a digit for the channel, base64 */
    bool resize;        /* there may be a resize stream */
    bool close_channel; /* WebSocket: channel 255 closes another */
    bool tunnel;        /* WebSocket: binary messages carry the bytes of a SPDY connection */
};

enum { STREAM_OFFER_MAX = 4096 }; /* bytes of the offer */

/*
 * Picks the first protocol of the client's that is in the table: the client's order counts, not ours. offered is the
 * header's value, several joined with commas, NULL where there is none. Errors: none offered over SPDY or an offer above
 * the limit: INVALID_ARGUMENT, HTTP 400; none known: PERMISSION_DENIED, HTTP 403 (SPDY: with
 * X-Accepted-Stream-Protocol-Versions; the message lists them, too).
 */
int stream_protocol_choose(enum stream_transport transport, enum stream_use use, const char *offered,
                           const struct stream_protocol **ret_protocol, struct err *err) must_check;

/* "v5.channel.k8s.io, v4.channel.k8s.io, ...": the newest first. The caller frees. */
char *stream_protocol_list(enum stream_transport transport, enum stream_use use);
