/*
 * SPDY/3.1 frames: their numbers, their eight bytes of head, and the writers of the fixed ones. Pure.
 * Source: SPDY Protocol, Draft 3.1, sections 2.2 (framing) and 2.6 (control frames). All integers are big-endian.
 *
 *     control: |1| version (15) | type (16) | flags (8) | length (24) |
 *     data:    |0| stream id (31)           | flags (8) | length (24) |
 */
#pragma once
#include "core/buf.h"
#include <stdint.h>

enum {
    SPDY_VERSION = 3, /* 3.1 writes 3, too */
    SPDY_HEAD_SIZE = 8,
    SPDY_FRAME_MAX = (1 << 24) - 1, /* what 24 bits of length can say */
    SPDY_WINDOW_INITIAL = 64 * 1024,
    SPDY_WINDOW_MAX = 0x7fffffff,
    SPDY_ID_MAX = 0x7fffffff,
};

enum spdy_type {
    SPDY_SYN_STREAM = 1,
    SPDY_SYN_REPLY = 2,
    SPDY_RST_STREAM = 3,
    SPDY_SETTINGS = 4,
    SPDY_PING = 6,
    SPDY_GOAWAY = 7,
    SPDY_HEADERS = 8,
    SPDY_WINDOW_UPDATE = 9,
};

enum spdy_flag { SPDY_FIN = 1, SPDY_UNIDIRECTIONAL = 2 };
enum spdy_setting { SPDY_SETTING_INITIAL_WINDOW = 7 };

/* Section 2.6.3: why a stream ends. */
enum spdy_status {
    SPDY_PROTOCOL_ERROR = 1,
    SPDY_INVALID_STREAM = 2,
    SPDY_REFUSED_STREAM = 3,
    SPDY_UNSUPPORTED_VERSION = 4,
    SPDY_CANCEL = 5,
    SPDY_INTERNAL_ERROR = 6,
    SPDY_FLOW_CONTROL_ERROR = 7,
    SPDY_STREAM_IN_USE = 8,
    SPDY_STREAM_ALREADY_CLOSED = 9,
    SPDY_FRAME_TOO_LARGE = 11,
};

/* Section 2.6.6: why a connection ends. */
enum spdy_goaway_status { SPDY_GOAWAY_OK = 0, SPDY_GOAWAY_PROTOCOL_ERROR = 1, SPDY_GOAWAY_INTERNAL_ERROR = 2 };

struct spdy_head {
    bool control;
    uint16_t version, type; /* of a control frame; otherwise 0 */
    uint32_t stream;        /* of a data frame; otherwise 0 */
    uint8_t flags;
    uint32_t len; /* bytes behind the head */
};

void spdy_head_parse(const uint8_t p[static SPDY_HEAD_SIZE], struct spdy_head *ret);
void spdy_data_head(uint8_t p[static SPDY_HEAD_SIZE], uint32_t stream, uint8_t flags, uint32_t len);
const char *spdy_type_name(unsigned type); /* "SYN_STREAM"; "?" for one that the draft does not have */

uint32_t spdy_get32(const uint8_t *p);
void spdy_put32(struct buf *out, uint32_t v);

/* Each adds a whole frame; spdy_put_head() the head of a control frame alone. */
void spdy_put_head(struct buf *out, enum spdy_type type, uint8_t flags, uint32_t len);
void spdy_put_rst(struct buf *out, uint32_t stream, enum spdy_status status);
void spdy_put_setting(struct buf *out, enum spdy_setting id, uint32_t value);
void spdy_put_ping(struct buf *out, uint32_t id);
void spdy_put_goaway(struct buf *out, uint32_t last_stream, enum spdy_goaway_status status);
void spdy_put_window_update(struct buf *out, uint32_t stream, uint32_t delta);
