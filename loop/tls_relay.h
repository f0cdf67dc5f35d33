/*
 * Ends TLS in front of code that wants a plain socket: OpenSSL on the client's TCP connection, one end of a unix socketpair
 * pumped to and from it, and the other end for the layer above.
 *
 *   client ==TLS== relay --socketpair-- h2o, then stream_conn
 *
 *                handshake done: on_plain(fd)            both directions ended
 *   HANDSHAKING ------------------------------> RELAYING ---------------------> FINISHING: close_notify and the rest are sent,
 *        | failed, TLS_HANDSHAKE_S: on_plain(-1)    | broken, stuck              then stream_conn_finish() of the TCP socket
 *        '------------------------------------------'----> closed
 *
 * Each direction: OPEN --end of stream--> the bytes that are held go first --> ENDED (shutdown of the other side's writing).
 *
 * Memory: OpenSSL's connection (about 15 KiB, and up to 34 KiB more while records are under way), at most 16 KiB held each
 * way, and the kernel's buffers of the socketpair (net.core.wmem_default each way, 208 KiB). Nothing is read from a side
 * while the other does not take what was read before.
 *
 * OpenSSL writes with write(2): the process ignores SIGPIPE. The relay lives by itself once it is started.
 *
 * A client that goes away while the layer above takes nothing is noticed after 2 to 3 s, and the socketpair is closed.
 */
#pragma once
#include "loop/loop.h"

struct ssl_ctx_st;
struct tls_relay;

enum { TLS_HANDSHAKE_S = 10, TLS_STUCK_S = 10, TLS_CHUNK = 16 << 10 };

struct tls_relay_events {
    /* From the loop, once: the plain side, which the receiver owns; -1 when there was no handshake. */
    void (*on_plain)(void *data, int fd);
    void *data;
    /* The TCP connection is closed: the last that is heard; it may come long after on_plain. */
    void (*on_closed)(void *data);
    void *closed_data;
};

/* Takes over fd, a non-blocking TCP connection. */
struct tls_relay *tls_relay_start(struct loop *l, struct ssl_ctx_st *ctx, int fd,
                                  const struct tls_relay_events *ev);
/* Closes it without on_plain: only before that. on_closed comes from here. */
void tls_relay_cancel(struct tls_relay *r);
