/*
 * A session of PortForward: pairs of a client's stream and a connection to a port of the pod.
 *
 *   port_pair_new() --> DIALING --sockets are there--> CONNECTING --> OPEN --both sides have ended--> gone
 *                          |                              | refused: IPv4, then IPv6
 *                          '-- no socket -----------------+--> the client is told on the error stream; gone
 *
 * Back-pressure: a target is read, 64 KiB at a time, only while nothing waits for the client; the client is not read while more
 * than PORT_UNREAD_MAX waits for targets. One connection carries all pairs, and its clients know no other flow control: a target
 * that does not read stops the other pairs of its session, as in the reference, but no other session. So a session holds at most
 * 64 KiB for the client and PORT_UNREAD_MAX + 128 KiB for all its targets (over WebSocket, a message of 1 MiB more), and some
 * 300 bytes a pair.
 */
#pragma once
#include "core/buf.h"
#include "handlers/streaming.h"
#include "netns/netns_dial.h"

enum { PORT_UNREAD_MAX = 256 * 1024 };

struct port_session;

enum port_pair_state { PORT_DIALING, PORT_CONNECTING, PORT_OPEN };

struct port_pair {
    struct port_pair *prev, *next; /* session->pairs, in the order in which they were made */
    struct port_pair *next_stalled;
    struct port_session *session;
    enum port_pair_state state;
    uint16_t port;
    uint32_t data_id, error_id;       /* the client's streams, or channels; 0 error_id: it was reset */
    struct netns_socket_pair sockets; /* those that are still to be tried */
    int fd;                           /* -1: not connected */
    struct watch *watch;
    struct buf in; /* from the client, for the target; from in_sent on */
    size_t in_sent;
    bool client_ended, target_ended, shut;
    bool stalled; /* readable, but something waits for the client */
    char *why_v4; /* IPv4 was tried, and this came of it */
};

/* How a client speaks. */
struct port_link_kind {
    void *(*make)(struct port_session *s, struct stream_opening *o);
    void (*data)(void *self, struct port_pair *p, const void *bytes, size_t n);
    void (*end)(void *self, struct port_pair *p); /* the target has no more */
    /* The pair is over: with text, which goes to the error stream, or NULL. The link forgets it. */
    void (*close)(void *self, struct port_pair *p, const char *text);
    void (*ping)(void *self);
    void (*finish)(void *self,
                   const char *why); /* of the session: sends what is queued, then goes. why: NULL or words */
    void (*free)(void *self);        /* drops it */
};
extern const struct port_link_kind port_spdy, port_websocket;

void port_session_open(struct stream_opening *o);
struct daemon *port_session_daemon(struct port_session *s);

/* ---- for the link ---- */
/* The client wants a connection. */
struct port_pair *port_pair_new(struct port_session *s, uint16_t port, uint32_t data_id, uint32_t error_id);
void port_pair_take(struct port_pair *p, const uint8_t *bytes, size_t n); /* for the target */
void port_pair_client_ended(struct port_pair *p); /* half-close; the pair may be gone after it */
void port_pair_drop(struct port_pair *p);         /* the client has reset it; nothing is called */
void port_session_drained(struct port_session *s);
void port_session_end(
    struct port_session *s); /* nothing is left to do. Not from a callback of the connection's */
void port_session_gone(struct port_session *s, const struct err *err);
