/*
 * A raw byte stream after an HTTP upgrade: a stream socket on the loop, with h2o and libuv out of the path. It is TCP, or a
 * unix socket whose other end is a TLS relay (loop/tls_relay.h).
 *
 *          stream_conn_finish()           all sent: SHUT_WR        the peer ended, 1 s passed, stuck for 10 s
 *   OPEN ----------------------> FLUSHING -----------------> DRAINING ----------------------------------> freed, on_done
 *    |                               | stuck for 10 s, broken                                                 ^
 *    |                               '------------------------------------------------------------------------'
 *    | the peer closed, or a read or write failed: on_gone, once
 *    '------> GONE --stream_conn_free() or stream_conn_finish()--> freed
 *
 * Memory: an idle conn costs about 400 bytes and the kernel's socket. What the kernel does not take at once is queued in one
 * buffer that grows without a limit of its own and is released when it is empty: the owner looks at stream_conn_queued(),
 * stops producing, and goes on in on_drain.
 *
 * A peer that shuts down its sending side is taken for one that closed: nothing that runs over an upgrade half-closes TCP.
 */
#pragma once
#include "core/err.h"
#include "loop/loop.h"
#include <stddef.h>
#include <sys/types.h>
#include <sys/uio.h>

enum {
    STREAM_CONN_READ_MAX = 64 << 10,
    STREAM_CONN_FINISH_S = 10,        /* without progress */
    STREAM_CONN_DRAIN_S = 1,          /* after the kernel has sent everything */
    STREAM_CONN_DRAIN_MAX = 16 << 20, /* bytes of input that are thrown away while finishing */
    STREAM_CONN_PAUSED_CHECK_S = 2,
};

struct stream_conn;

struct stream_conn_events {
    /* At most STREAM_CONN_READ_MAX bytes, in one static buffer that all conns share: copy what is needed later. May pause,
     * write, finish or free the conn. */
    void (*on_data)(void *data, const uint8_t *p, size_t n);
    /* What was queued has been given to the kernel; not called when nothing had to be queued. May be NULL. */
    void (*on_drain)(void *data);
    /* The peer closed (err is NULL) or the connection broke: once, from the loop, and the last event. The owner then calls
     * stream_conn_free(), here or later. Not called after stream_conn_free() or stream_conn_finish(). */
    void (*on_gone)(void *data, const struct err *err);
};

/* Gives a new conn its events, which outlive it; it is paused still, and a peer that has gone is heard of from here on. */
void stream_conn_start(struct stream_conn *c, const struct stream_conn_events *ev, void *data);

/*
 * Off: no on_data until on again. A paused conn looks every STREAM_CONN_PAUSED_CHECK_S for a peer that has gone, and gives
 * on_gone, dropping its unread input, when nothing was read in between either. What it cannot see is a peer that died with
 * more data under way than the kernel's buffers hold: its end of stream is behind that data. Only writing finds that out:
 * send a ping of the protocol above from time to time.
 */
void stream_conn_read(struct stream_conn *c, bool on);

/* Writes at once what the kernel takes and queues a copy of the rest. Never calls back before it returns. After a write error
 * everything is dropped and on_gone comes. */
void stream_conn_write(struct stream_conn *c, const struct iovec *iov, int n);
size_t stream_conn_queued(const struct stream_conn *c);

/*
 * Takes the conn from its owner: no event comes any more. Sends what is queued, shuts the sending side down, throws input
 * away until the peer closes (close(2) with unread input would send a reset, which can destroy what was sent), but not for
 * longer than STREAM_CONN_DRAIN_S after the last byte was sent, then closes and frees. Gives up when nothing moves for
 * STREAM_CONN_FINISH_S. on_done (may be NULL) comes from the loop, after it.
 */
void stream_conn_finish(struct stream_conn *c, void (*on_done)(void *data), void *data);

/* At once; drops what is queued. NULL is fine. */
void stream_conn_free(struct stream_conn *c);

size_t
stream_conn_count(void); /* that are there, those that are finishing included: for the end of the process */
uint64_t stream_conn_bytes(const struct stream_conn *c); /* read and written so far: for idle time-outs */

/* ---- for the files of loop/ alone ---- */

/* Takes over fd, a non-blocking stream socket. `first` (copied) is input that was read already. */
struct stream_conn *stream_conn_new(struct loop *l, int fd, const void *first, size_t n);
/* Called when the descriptor has been closed, whoever ended the conn. */
void stream_conn_on_closed(struct stream_conn *c, void (*fn)(void *data), void *data);
/* Whether the peer of a stream socket has closed its side or the connection is broken, whatever there is to read before. */
bool stream_conn_peer_left(int fd);
