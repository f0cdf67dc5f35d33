/*
 * What proto/spdy.c (life, sending), proto/spdy_feed.c (frames, data) and proto/spdy_control.c (control frames) share.
 * Private to the three, and to their test.
 */
#pragma once
#include "proto/spdy.h"
#include <uthash.h>

/*
 * A stream is two halves:
 *
 *     theirs:  open --FIN, or SYN_STREAM with FIN--> closed
 *
 *     ours:    unreplied --SYN_REPLY--> open --FIN--> closed
 *                  '-------SYN_REPLY with FIN--------^
 *
 * With both closed, or after RST_STREAM in either direction, the stream is freed.
 */
enum spdy_ours { OURS_UNREPLIED, OURS_OPEN, OURS_CLOSED };

struct spdy_stream {
    uint32_t id;
    enum spdy_ours ours;
    bool theirs_closed;
    int64_t send_credit; /* WINDOW_UPDATEs less what was sent: see spdy_stream_window() */
    int64_t recv_window; /* negative only with flow_ignored */
    uint64_t credit;     /* consumed and not yet given back */
    void *data;
    UT_hash_handle hh;
};

/* Streams that we reset a moment ago: what the client had sent by then is dropped without a word. */
enum { SPDY_RESET_KEPT = 64 };

struct spdy {
    struct spdy_limits limits;
    struct spdy_events events;
    void *ctx;

    struct spdy_stream *streams;
    uint32_t last_id; /* the highest that the client has opened */
    uint32_t reset[SPDY_RESET_KEPT];
    unsigned reset_n;

    /* receiving */
    uint8_t head_bytes[SPDY_HEAD_SIZE];
    uint32_t have; /* of the head, up to SPDY_HEAD_SIZE; then of the payload as well */
    struct spdy_head head;
    bool skip; /* the frame's payload is dropped */
    bool gone; /* GOAWAY has been sent */
    bool sealed;
    struct buf payload;             /* of a control frame */
    struct buf inflated;            /* a header block */
    struct spdy_inflater *inflater; /* from the first block on */
    size_t inflate_left;            /* bytes that blocks may inflate to in this call of spdy_feed() */
    int64_t recv_window;            /* of the session */
    uint64_t credit;
    size_t unread;
    struct err *failed; /* what ended the connection */

    /* sending */
    int64_t send_window;
    uint32_t send_window_initial;
    bool block_sent;
    uint32_t ping_id; /* the last of ours */
    struct buf output;
    size_t output_sent; /* its first bytes, sent already */
};

/* spdy.c */
struct spdy_stream *spdy_find(const struct spdy *s, uint32_t id);
void spdy_stream_new(struct spdy *s, uint32_t id, bool fin);
void spdy_stream_gone(struct spdy *s, struct spdy_stream *st);
void spdy_stream_settle(struct spdy *s, struct spdy_stream *st); /* frees it when both halves are closed */
void spdy_reset_remember(struct spdy *s, uint32_t id);
bool spdy_reset_recently(const struct spdy *s, uint32_t id);
/*
 * What the client lets us send. Counted from the initial window of its latest SETTINGS, so that a flood of those costs
 * the same with one stream and with thousands; negative once one has made it smaller.
 */
int64_t spdy_stream_window(const struct spdy *s, const struct spdy_stream *st);
void spdy_session_credit(struct spdy *s, size_t n); /* gives the client n bytes of the session's window again */
size_t spdy_queued(const struct spdy *s);

/* spdy_feed.c */
int spdy_fault(struct err *err, const char *fmt, ...) printf_like(2, 3); /* -EPROTO, "SPDY: ..." */
/* Resets a stream that broke a rule; the owner hears of it. */
void spdy_stream_fault(struct spdy *s, uint32_t id, enum spdy_status status, const struct err *why);
/*
 * Something came for a stream that is not there. What was under way when we reset it, or after our GOAWAY, is no
 * fault; of anything else the client is told. The owner is not: it knows no such stream.
 */
void spdy_stream_unknown(struct spdy *s, uint32_t id);
/* Hands out data, and FIN. The stream may be gone after it. */
void spdy_data_give(struct spdy *s, struct spdy_stream *st, const uint8_t *p, size_t n, bool fin);
/* Resets the stream if this frame may not come for it. */
bool spdy_data_refused(struct spdy *s, struct spdy_stream *st, const struct spdy_head *h);

/* spdy_control.c: what is to be known from a frame's head, and from all of it. An error ends the connection. */
int spdy_control_begin(struct spdy *s, struct err *err);
int spdy_control_end(struct spdy *s, struct err *err);
