/*
 * The client's side of WebSocket frames (RFC 6455 section 5) whose messages are those of the Kubernetes channels: a binary
 * message's first byte is the channel (proto/channel.h). Pure; the bytes are a server's and are not trusted.
 *
 * A message is handed out in pieces, as it comes: nothing is gathered but the 125 bytes of a control frame, so a message may
 * be of any length.
 */
#pragma once
#include "core/buf.h"
#include "core/err.h"
#include "proto/websocket.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum frames_opcode {
    FRAMES_CONTINUATION = 0,
    FRAMES_TEXT = 1,
    FRAMES_BINARY = 2,
    FRAMES_OP_CLOSE = 8,
    FRAMES_OP_PING = 9,
    FRAMES_OP_PONG = 10,
};

enum { FRAMES_HEADER_MAX = 10 /* of a frame that a server sends */ };

/* Zero it to begin. */
struct frames {
    uint8_t head[FRAMES_HEADER_MAX];
    size_t head_len;
    bool in_frame, in_message, has_channel;
    bool fin;
    uint8_t opcode; /* of the frame */
    uint8_t channel;
    uint64_t left; /* of the frame's payload */
    uint8_t control[WEBSOCKET_CONTROL_MAX];
    size_t control_len;
};

enum frames_event { FRAMES_NOTHING, FRAMES_DATA, FRAMES_PING, FRAMES_CLOSE };

struct frames_piece {
    unsigned channel;
    const uint8_t *data; /* within the bytes that were given; empty is possible at a message's end */
    size_t len;
    bool ends; /* the message ends with it */
};

/*
 * Looks at bytes until something is worth telling; *ret_used (always set) counts those taken. FRAMES_PING: answer with
 * control[0..control_len); FRAMES_CLOSE: the same bytes are its code and reason, and nothing may follow. Returns an enum
 * frames_event, or a negative errno when the server broke the protocol: then the connection is of no more use.
 */
int frames_read(struct frames *f, const void *data, size_t n, size_t *ret_used, struct frames_piece *ret_piece,
                struct err *err) must_check;

/* Frames to send, masked by a key of their own (section 5.3), appended to out. */
void frames_put_data(struct buf *out, unsigned channel, const void *p, size_t n);
void frames_put_control(struct buf *out, enum frames_opcode opcode, const void *p, size_t n);
void frames_put_close(struct buf *out, enum websocket_code code);
