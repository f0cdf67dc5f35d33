/*
 * The client's side of Exec and Attach, whatever it speaks: up to five channels, with the numbers of proto/channel.h.
 *
 *   command_link_new() ---on_open---> open ---on_gone, or command_link_finish()---> gone
 *
 * Bytes go out as they come: the owner stops producing while stream_conn_queued() of the connection is above 0, and goes on at
 * on_drain. Bytes that come in are the owner's to take; it stops them with stream_conn_read().
 */
#pragma once
#include "loop/stream_conn.h"
#include "proto/channel.h"
#include "proto/stream_protocol.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct command_link;

struct command_link_events {
    void (*on_open)(void *data); /* every stream that was asked for is there */
    void (*on_data)(void *data, enum channel_number channel, const uint8_t *p, size_t n); /* stdin, resize */
    void (*on_end)(void *data,
                   enum channel_number channel); /* the client's last byte of it came; may be repeated */
    void (*on_drain)(void *data);
    void (*on_gone)(void *data,
                    const struct err *err); /* the client closed (NULL), went away or broke a rule */
};

struct command_link_spec {
    struct loop *loop;
    struct stream_conn *conn; /* taken */
    const struct stream_protocol *protocol;
    bool in, out, err, resize; /* the channels that are wanted, besides the error channel */
};

struct command_link *command_link_new(const struct command_link_spec *spec,
                                      const struct command_link_events *events, void *data);
struct stream_conn *command_link_conn(struct command_link *l);
void command_link_write(struct command_link *l, enum channel_number channel, const void *p, size_t n);
void command_link_ping(struct command_link *l); /* to find out whether a client that is not read still lives */
/* The result, on the error channel; then all ends orderly, and nothing is called any more. Not from a callback. */
void command_link_finish(struct command_link *l, const char *status);
/* Drops it. From on_gone, or from no callback at all. NULL is fine. */
void command_link_free(struct command_link *l);

/* Of the two kinds; private to command_link.c and they. */
struct command_link_kind {
    void *(*make)(struct command_link *l, const struct command_link_spec *spec);
    void (*write)(void *self, enum channel_number channel, const void *p, size_t n);
    void (*ping)(void *self);
    void (*finish)(void *self, const char *status);
    void (*free)(void *self);
};
extern const struct command_link_kind command_spdy, command_websocket;

struct command_link {
    const struct command_link_kind *kind;
    void *self;
    struct stream_conn *conn;
    struct command_link_events events;
    void *data;
};
