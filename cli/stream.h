/*
 * One exec, attach or port-forward: a WebSocket client's connection to the runtime's streaming server, whose messages are
 * those of the Kubernetes channels. Nothing blocks (but the resolution of a host's name); the owner polls, so one loop can
 * have hundreds.
 *
 * Back-pressure is exact in both directions: stream_next() gives one piece and reads no further before it is called again;
 * stream_pending() says how much waits to be written, and the owner sends no more above STREAM_MARK. A stream holds at most
 * 32 KiB of what came, and STREAM_MARK and one send of what goes.
 */
#pragma once
#include "core/err.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* In the order of preference. v5 can close a channel towards the server: a command's end of input. */
#define STREAM_PROTOCOLS "v5.channel.k8s.io, v4.channel.k8s.io"

enum {
    STREAM_MARK = 64 * 1024,
    STREAM_OPEN_MS = 10 * 1000, /* connecting and upgrading may take as long */
    STREAM_END_MS = 1000,       /* after stream_close(), or when nothing more is expected: then just free it */
};

struct stream;

struct stream_options {
    const char *url;     /* what the CRI call gave */
    const char *query;   /* to be added to the URL's: "port=80"; NULL */
    const char *ca_file; /* NULL: a https server's certificate is not verified */
    int timeout_ms;      /* 0: STREAM_OPEN_MS */
};

enum stream_event {
    STREAM_NOTHING = 0, /* poll, and call again */
    STREAM_OPENED = 1,  /* once, before all others: from now on there may be sent */
    STREAM_DATA = 2,
    STREAM_ENDED = 3, /* by the server, or after stream_close(): only stream_free() is left */
};

/* A part of a message, the stream's until the next stream_next(). */
struct stream_piece {
    unsigned channel;
    const uint8_t *data;
    size_t len; /* 0 is possible where it ends the message */
    bool ends;  /* the message ends with it */
};

/* How the server ended it: the code of its Close, 0 where the connection broke off without one, and its words. */
struct stream_end {
    int code;
    char reason[124];
};

int stream_open(const struct stream_options *options, struct stream **ret, struct err *err) must_check;
void stream_free(struct stream *s);

/*
 * Goes on connecting, writes, reads, answers Pings; an enum stream_event, or a negative errno (thereafter only stream_free()).
 * Call it until it says STREAM_NOTHING, unless the piece cannot be taken now. It reads only if nothing whole is left, so a
 * piece that was refused must be kept by the caller.
 */
int stream_next(struct stream *s, struct stream_piece *ret_piece, struct err *err) must_check;
/* Only writes: for an owner who cannot take another piece. */
int stream_flush(struct stream *s, struct err *err) must_check;

void stream_send(struct stream *s, unsigned channel, const void *p, size_t n);
/* No more will come on this channel. False: the protocol has no word for that, and nothing was sent. */
bool stream_close_channel(struct stream *s, unsigned channel);
/* Starts the closing handshake; what comes from now on is dropped. May be repeated. */
void stream_close(struct stream *s);
size_t stream_pending(const struct stream *s);

const char *stream_protocol_name(const struct stream *s); /* once it is open */
const struct stream_end *stream_end(const struct stream *s);

/* For poll(2). takes: the owner can take a piece. */
int stream_fd(const struct stream *s);
short stream_events(const struct stream *s, bool takes);
/* Milliseconds until it must be called even without an event, for poll(2); -1: none. */
int stream_wait_ms(const struct stream *s);

int64_t stream_now_ms(void); /* of the monotonic clock */
