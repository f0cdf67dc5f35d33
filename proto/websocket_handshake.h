/* The server's half of the WebSocket opening handshake (RFC 6455 section 4.2). Pure. The subprotocol: stream_protocol.h. */
#pragma once
#include "core/err.h"
#include <stdbool.h>
#include <stddef.h>

enum { WEBSOCKET_ACCEPT_SIZE = 29 }; /* 28 digits and a NUL */

/* Header values; NULL where the request has no such header. Repeated ones are joined with ", " by the caller. */
struct websocket_request {
    const char *upgrade;
    const char *connection;
    const char *version; /* Sec-WebSocket-Version */
    const char *key;     /* Sec-WebSocket-Key */
};

/*
 * Checks the request and gives the value of Sec-WebSocket-Accept. Errors: another version: FAILED_PRECONDITION, which
 * is HTTP 426 with "Sec-WebSocket-Version: 13"; everything else: INVALID_ARGUMENT, HTTP 400.
 */
int websocket_handshake(const struct websocket_request *req, char ret_accept[static WEBSOCKET_ACCEPT_SIZE],
                        struct err *err) must_check;

/* Whether a comma-separated header value has this token, in any case (RFC 9110 section 5.6.1). value may be NULL. */
bool header_has_token(const char *value, const char *token);
