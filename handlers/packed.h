/*
 * An object's item of a list, packed, and kept with the object: kubelets list all pods and containers every second, and
 * nearly always nothing has changed.
 *
 * It cannot be stale: it says the state of which it was made, and all else that a list tells of an object is settled before
 * lists have it, when its creation is over. A new field of a list that may change later belongs into that number.
 *
 * Costs each object its item once more, some 200 bytes for a pod and 350 for a container without labels; one with more than
 * PACKED_MAX is packed for each list anew.
 */
#pragma once
#include "handlers/rpc.h"

enum { PACKED_MAX = 4096 };

struct packed {
    uint8_t *bytes; /* NULL: none is kept */
    uint16_t n;
    int16_t state;
};

/* True if there is one, made in that state; *ret_piece is good while the object is. */
bool packed_find(const struct packed *p, int state, struct rpc_piece *ret_piece);
/* Packs the reply with the object as its only item: pieces of a repeated field, put together, are the field. */
void packed_make(struct packed *p, int state, struct rpc *rpc, const ProtobufCMessage *reply,
                 struct rpc_piece *ret_piece);
void packed_done(struct packed *p);
