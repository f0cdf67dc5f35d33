#include "core/keeper_wire.h"

#include <string.h>

bool keeper_msg_read(const void *msg, size_t len, void *ret_fixed, size_t size)
{
    struct keeper_head head;

    if (len < sizeof(head) || len > KEEPER_MSG_MAX)
        return false;
    memcpy(&head, msg, sizeof(head));
    if (head.size != len || head.fixed < sizeof(head) || head.fixed > len)
        return false;
    if (head.fixed < len && ((const char *)msg)[len - 1] != '\0')
        return false;
    memset(ret_fixed, 0, size);
    memcpy(ret_fixed, msg, head.fixed < size ? head.fixed : size);
    return true;
}

struct keeper_strings keeper_msg_strings(const void *msg)
{
    struct keeper_head head;

    memcpy(&head, msg, sizeof(head));
    return (struct keeper_strings){.at = (const char *)msg + head.fixed, .end = (const char *)msg + head.size};
}

bool keeper_has_string(const struct keeper_strings *s)
{
    return s->at < s->end;
}

const char *keeper_next_string(struct keeper_strings *s)
{
    const char *p = s->at;

    if (p >= s->end)
        return "";
    s->at += strlen(p) + 1;
    return p;
}

static void put(struct keeper_builder *b, const void *p, size_t n)
{
    if (n > b->cap - b->len) {
        b->overflow = true;
        return;
    }
    memcpy(b->buf + b->len, p, n);
    b->len += n;
}

void keeper_build(struct keeper_builder *b, void *buf, size_t cap, const void *fixed, size_t size)
{
    *b = (struct keeper_builder){.buf = buf, .cap = cap < KEEPER_MSG_MAX ? cap : KEEPER_MSG_MAX, .fixed = size};
    put(b, fixed, size);
}

void keeper_put_string(struct keeper_builder *b, const char *s)
{
    put(b, s ? s : "", s ? strlen(s) + 1 : 1);
}

size_t keeper_finish(struct keeper_builder *b)
{
    struct keeper_head head;

    if (b->overflow || b->len < sizeof(head))
        return 0;
    memcpy(&head, b->buf, sizeof(head));
    head.size = (uint32_t)b->len;
    head.fixed = (uint16_t)b->fixed;
    head.version = KEEPER_WIRE_VERSION;
    memcpy(b->buf, &head, sizeof(head));
    return b->len;
}
