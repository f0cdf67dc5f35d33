/*
 * The server's side of a WebSocket (RFC 6455) after the upgrade: bytes in, in any split, to messages; messages to bytes
 * out. No I/O: the owner reads and writes the socket.
 *
 * Back-pressure is exact in both directions. websocket_read() gives one message and stops; the owner calls it again
 * when it can take another, and meanwhile does not read the socket. websocket_pending() says how much was not yet taken
 * for writing; the owner stops producing above a mark of its own. A session holds at most: the message in progress
 * (message_max), 5 KiB, what the owner sent and did not take, and one unsent Pong after each of those messages.
 */
#pragma once
#include "core/err.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    WEBSOCKET_MESSAGE_MAX = 1024 * 1024, /* the default of message_max */
    WEBSOCKET_CONTROL_MAX = 125,         /* payload of a Ping, Pong or Close (section 5.5) */
    WEBSOCKET_REASON_MAX = 123,
    WEBSOCKET_HEADER_MAX = 10, /* of a frame that a server sends */
};

/* Section 7.4.1 */
enum websocket_code {
    WEBSOCKET_NORMAL = 1000,
    WEBSOCKET_GOING_AWAY = 1001,
    WEBSOCKET_PROTOCOL_ERROR = 1002,
    WEBSOCKET_UNSUPPORTED = 1003,
    WEBSOCKET_NO_CODE = 1005, /* never on the wire: the peer's Close named none */
    WEBSOCKET_BAD_TEXT = 1007,
    WEBSOCKET_POLICY = 1008,
    WEBSOCKET_TOO_BIG = 1009,
    WEBSOCKET_INTERNAL = 1011,
};

enum websocket_kind { WEBSOCKET_TEXT = 1, WEBSOCKET_BINARY = 2 }; /* the opcodes */

/* The bytes are the websocket's until the next websocket_read(); the owner may change them in place. */
struct websocket_message {
    enum websocket_kind kind;
    uint8_t *data; /* never NULL */
    size_t len;
};

enum websocket_event {
    WEBSOCKET_NOTHING = 0, /* every byte was used and no message is whole */
    WEBSOCKET_MESSAGE = 1,
    WEBSOCKET_PONG = 2,   /* the peer lives */
    WEBSOCKET_CLOSED = 3, /* both sides have said Close: write what is pending, then close the connection */
};

struct websocket;

struct websocket *websocket_new(size_t message_max); /* 0: WEBSOCKET_MESSAGE_MAX */
void websocket_free(struct websocket *ws);

/*
 * Looks at bytes until something is worth telling; *ret_used (always set) counts those taken, and the rest must be given
 * again. After an event call again even when no bytes are left: up to 4 KiB wait inside. Pings are answered.
 *
 * Returns an enum websocket_event, or a negative errno when the peer broke the protocol (INVALID_ARGUMENT) or a limit
 * (RESOURCE_EXHAUSTED): the Close that says so is pending; write it, then close the connection. Thereafter, as after
 * WEBSOCKET_CLOSED, each call returns WEBSOCKET_CLOSED and takes all bytes unseen. Messages that arrive after
 * websocket_close() are dropped.
 */
int websocket_read(struct websocket *ws, const void *data, size_t n, size_t *ret_used,
                   struct websocket_message *ret_message, struct err *err) must_check;

/* One message in one frame. After websocket_close() or the end these do nothing. Text must be UTF-8. */
void websocket_send(struct websocket *ws, enum websocket_kind kind, const void *p, size_t n);
/* The same in pieces: `len` bytes must follow by websocket_add() before anything else is sent or read. */
void websocket_begin(struct websocket *ws, enum websocket_kind kind, size_t len);
void websocket_add(struct websocket *ws, const void *p, size_t n);
void websocket_ping(struct websocket *ws, const void *p, size_t n); /* n <= WEBSOCKET_CONTROL_MAX */
/* Starts the closing handshake. A longer reason than WEBSOCKET_REASON_MAX is cut between characters. May be repeated. */
void websocket_close(struct websocket *ws, enum websocket_code code, const char *reason);

/* Bytes to write. Takes them out; the caller frees *ret_data with free(). Where there are none: "", 0. */
size_t websocket_pending(const struct websocket *ws);
void websocket_take(struct websocket *ws, char **ret_data, size_t *ret_n);

bool websocket_is_open(const struct websocket *ws); /* no Close was sent or received */
/* The code of the Close that came first: the peer's (WEBSOCKET_NO_CODE where it named none) or ours; 0 while open. */
int websocket_close_code(const struct websocket *ws);
