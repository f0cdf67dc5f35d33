/*
 * One CRI call: a bridge call with its request message unpacked into the call's arena.
 *
 * A handler ends the call once, now or later, by rpc_reply() or rpc_fail(); the struct is gone when it returns to the
 * loop. When the client goes away or its deadline (grpc-timeout) passes before that, the function set with rpc_on_gone()
 * is called, and the call must not be touched afterwards; on a passed deadline the client has been told already
 * (DEADLINE_EXCEEDED). What the call had started goes on: see loop/flow.h and docs/decisions.md.
 */
#pragma once
#include "core/err.h"
#include "handlers/daemon.h"
#include <protobuf-c/protobuf-c.h>
#include <stddef.h>
#include <stdint.h>

struct bridge_call;

/* For bridge_new(): above GRPC_MESSAGE_MAX, so that what is too large is refused in words. */
enum { RPC_BODY_MAX = 32 * 1024 * 1024 };

struct rpc {
    struct daemon *daemon;
    const struct method *method;
    ProtobufCMessage *request; /* cast it to the method's request type */
    struct bridge_call *call;
};

/* Above 16 MiB the call fails with RESOURCE_EXHAUSTED: no client takes more. */
void rpc_reply(struct rpc *rpc, const ProtobufCMessage *reply);
/* The same with a reply that is packed already, in pieces: as a whole they are the message. They are copied. */
struct rpc_piece {
    const uint8_t *p;
    size_t n;
};
void rpc_reply_pieces(struct rpc *rpc, const struct rpc_piece *pieces, size_t count);
void rpc_fail(struct rpc *rpc, const struct err *err);                 /* logs it, too */
void rpc_on_gone(struct rpc *rpc, void (*fn)(void *data), void *data); /* fn NULL: takes it back */

/* The arena: freed with the call, never by hand. */
void *rpc_alloc(struct rpc *rpc, size_t size); /* zeroed */
char *rpc_strdup(struct rpc *rpc, const char *s);
char *rpc_printf(struct rpc *rpc, const char *fmt, ...) printf_like(2, 3);
#define rpc_new(rpc, type) ((type *)rpc_alloc(rpc, sizeof(type)))

/* Wired to the bridge by main.c: finds the method, checks frame and size, unpacks, calls the handler. */
void rpc_dispatch(void *daemon, struct bridge_call *c);
