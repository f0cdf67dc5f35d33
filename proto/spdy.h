/*
 * The server's side of one SPDY/3.1 connection: bytes in, events out, and bytes to send. Pure: no I/O, no clock.
 * Source: SPDY Protocol, Draft 3.1. Only the client opens streams.
 *
 * The owner gives what it reads to spdy_feed(), gets the events of spdy_events out of that call, and sends what
 * spdy_output() shows. An event may call every function here but spdy_feed() and spdy_free().
 *
 * A stream is known by its id from on_stream until both sides have said FIN, or one has reset it. From then on its
 * functions give -ENOENT (NOT_FOUND), which is no fault of the owner's: the client may reset a stream at any time.
 *
 * A fault of one stream is answered with RST_STREAM, a fault of the connection with GOAWAY: spdy_feed() then fails,
 * now and from now on. The owner sends what output there is, and closes.
 */
#pragma once
#include "core/err.h"
#include "proto/spdy_frame.h"
#include "proto/spdy_headers.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct spdy_limits {
    uint32_t streams_max;             /* open at once; one more is reset with REFUSED_STREAM */
    uint32_t block_max;               /* bytes of a header block as sent; above: connection fault */
    struct spdy_header_limits header; /* above: connection fault */
    uint32_t data_max;       /* bytes of a data frame; they are passed on as they come, never gathered */
    uint32_t window;         /* bytes the client may send ahead on a stream; 1..SPDY_WINDOW_MAX */
    uint32_t session_window; /* and on all together; SPDY_WINDOW_INITIAL..SPDY_WINDOW_MAX */
    size_t output_max;       /* bytes of queued output from which on no data is taken */
    size_t answers_max;      /* bytes above it that answers may take; more: connection fault */
    /*
     * The client knows no flow control: it never sends WINDOW_UPDATE and heeds none. Then the client's windows bound
     * nothing that is sent, and a client that sends beyond ours is not at fault: the owner holds it back by not
     * reading while spdy_unread() is high. Updates are still sent, for a client that does heed them.
     */
    bool flow_ignored;
};

/*
 * 2048 streams; a block of 16 KiB, inflated 64 KiB, of 64 headers with names of 256 and values of 16 KiB; data frames
 * of any size; windows of 64 KiB a stream and 256 KiB together; 256 KiB of output and 64 KiB of answers; flow control
 * as the draft has it.
 */
extern const struct spdy_limits spdy_limits_default;

struct spdy_events {
    /* A new stream: answer with spdy_reply() or spdy_rst(). headers live until the return. fin: no data will come. */
    void (*on_stream)(void *ctx, uint32_t id, const struct spdy_headers *headers, bool fin);
    /* Some of the stream's bytes; with fin, the last ones. n may be 0 with fin. Each byte is to be spdy_consumed(). */
    void (*on_data)(void *ctx, uint32_t id, const uint8_t *p, size_t n, bool fin);
    /*
     * The stream is gone: the client reset it with status, or (refused not NULL) broke a rule and was told so with
     * status; then also for a stream that on_stream has not told of. data: what spdy_set_stream_data() kept.
     */
    void (*on_rst)(void *ctx, uint32_t id, void *data, uint32_t status, const struct err *refused);
    /* The client opens no more streams. May be NULL. */
    void (*on_goaway)(void *ctx, uint32_t status);
    /* The client gave room: for the stream id, or with id 0 for all of them. May be NULL. */
    void (*on_window)(void *ctx, uint32_t id);
};

struct spdy;

/* limits and events are copied. Queues SETTINGS and WINDOW_UPDATE if the windows are not the draft's. */
struct spdy *spdy_new(const struct spdy_limits *limits, const struct spdy_events *events, void *ctx);
void spdy_free(struct spdy *s);

/*
 * Takes all n bytes, however the frames are cut; the owner gives 64 KiB or so at a time: data frames come out in fewer pieces
 * the more it gives. One call makes answers of at most 2 * n bytes, and its header blocks may inflate to header.inflated_max +
 * SPDY_INFLATE_RATIO * n bytes, which keeps it to a few ms (honest blocks inflate to about 4 * n).
 * Errors: -EPROTO (INVALID_ARGUMENT); -EMSGSIZE, -ENOBUFS (RESOURCE_EXHAUSTED: a limit; answers that the client does
 * not read). The same again at each call after one.
 */
enum { SPDY_INFLATE_RATIO = 16 };
int spdy_feed(struct spdy *s, const void *bytes, size_t n, struct err *err) must_check;

/* SYN_REPLY, once a stream, before its data. -EINVAL: replied already, or headers above 64 KiB. */
int spdy_reply(struct spdy *s, uint32_t id, const struct spdy_header *headers, size_t n, bool fin,
               struct err *err) must_check;

/*
 * Queues as much of the data as windows and output_max have room for; *ret_taken says how much. fin is said only once
 * all n bytes are taken (n may be 0): the owner asks again with the rest. -EINVAL: not replied, or FIN said already.
 */
int spdy_data(struct spdy *s, uint32_t id, const void *p, size_t n, bool fin, size_t *ret_taken,
              struct err *err) must_check;

/*
 * The same without a copy: accounts for at most n bytes and writes the frame's head. The owner sends, behind what
 * spdy_output() has, the head and then exactly *ret_taken bytes. *ret_taken 0 and no FIN taken: nothing is to be sent,
 * *ret_head_len is 0.
 */
int spdy_data_start(struct spdy *s, uint32_t id, size_t n, bool fin, uint8_t ret_head[static SPDY_HEAD_SIZE],
                    size_t *ret_head_len, size_t *ret_taken, struct err *err) must_check;

/* Bytes of data that spdy_data() would take now; 0 for a stream that is gone or may not send. */
size_t spdy_room(const struct spdy *s, uint32_t id);

/* Resets; nothing is told of the stream from then on. A stream that is gone is none to reset: no error, no frame. */
void spdy_rst(struct spdy *s, uint32_t id, enum spdy_status status);

/* A PING of ours, which the client answers: writing is how a connection finds out that it is dead. */
void spdy_ping(struct spdy *s);

/* Says that no stream is taken after the ones that are there; those go on. Once. */
void spdy_goaway(struct spdy *s, enum spdy_goaway_status status);

/*
 * n bytes from on_data have been dealt with: the client gets room again, by WINDOW_UPDATE, in steps of half a window.
 * Also for a stream that is gone, for its bytes count for the connection.
 */
void spdy_consumed(struct spdy *s, uint32_t id, size_t n);
size_t spdy_unread(const struct spdy *s); /* bytes given out by on_data and not consumed, of all streams */

/*
 * No stream is wanted any more: later ones are refused and header blocks no longer read, whose 40 KiB of inflater are
 * freed. For an exec session, once all its streams are there.
 */
void spdy_seal(struct spdy *s);

size_t spdy_streams(const struct spdy *s); /* that are open */
bool spdy_stream_open(const struct spdy *s, uint32_t id);
/* The open stream after id, an open one, or the first, for 0; 0 behind the last. What spdy_free() drops is not told. */
uint32_t spdy_stream_next(const struct spdy *s, uint32_t id);

/* One pointer of the owner's a stream; NULL at first and for a stream that is gone. */
void spdy_set_stream_data(struct spdy *s, uint32_t id, void *data);
void *spdy_stream_data(const struct spdy *s, uint32_t id);

/* What is to be sent; valid until the next call of any function. Then how much was sent. */
const uint8_t *spdy_output(const struct spdy *s, size_t *ret_n);
void spdy_output_sent(struct spdy *s, size_t n);
