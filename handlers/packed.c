#include "handlers/packed.h"
#include "core/mem.h"
#include "proto/message_text.h"

#include <string.h>

bool packed_find(const struct packed *p, int state, struct rpc_piece *ret_piece)
{
    if (!p->bytes || p->state != state)
        return false;
    *ret_piece = (struct rpc_piece){p->bytes, p->n};
    return true;
}

void packed_make(struct packed *p, int state, struct rpc *rpc, const ProtobufCMessage *reply,
                 struct rpc_piece *ret_piece)
{
    size_t n;
    cleanup_free uint8_t *bytes = message_text_pack(reply, 0, SIZE_MAX, &n);

    packed_done(p);
    if (n > PACKED_MAX) {
        *ret_piece = (struct rpc_piece){memcpy(rpc_alloc(rpc, n), bytes, n), n};
        return;
    }
    p->n = (uint16_t)n;
    p->state = (int16_t)state;
    p->bytes = steal_ptr(&bytes);
    *ret_piece = (struct rpc_piece){p->bytes, n};
}

void packed_done(struct packed *p)
{
    free(p->bytes);
    *p = (struct packed){0};
}
