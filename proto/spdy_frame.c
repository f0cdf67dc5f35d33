#include "proto/spdy_frame.h"

static const char *const type_names[] = {
    [SPDY_SYN_STREAM] = "SYN_STREAM",
    [SPDY_SYN_REPLY] = "SYN_REPLY",
    [SPDY_RST_STREAM] = "RST_STREAM",
    [SPDY_SETTINGS] = "SETTINGS",
    [SPDY_PING] = "PING",
    [SPDY_GOAWAY] = "GOAWAY",
    [SPDY_HEADERS] = "HEADERS",
    [SPDY_WINDOW_UPDATE] = "WINDOW_UPDATE",
};

const char *spdy_type_name(unsigned type)
{
    return type < countof(type_names) && type_names[type] ? type_names[type] : "?";
}

uint32_t spdy_get32(const uint8_t *p)
{
    return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

static void store32(uint8_t *p, uint32_t v)
{
    p[0] = (uint8_t)(v >> 24);
    p[1] = (uint8_t)(v >> 16);
    p[2] = (uint8_t)(v >> 8);
    p[3] = (uint8_t)v;
}

void spdy_put32(struct buf *out, uint32_t v)
{
    uint8_t p[4];

    store32(p, v);
    buf_add(out, p, sizeof(p));
}

void spdy_head_parse(const uint8_t p[static SPDY_HEAD_SIZE], struct spdy_head *ret)
{
    uint32_t first = spdy_get32(p), second = spdy_get32(p + 4);

    *ret =
        (struct spdy_head){.control = first >> 31, .flags = (uint8_t)(second >> 24), .len = second & 0xffffff};
    if (ret->control) {
        ret->version = first >> 16 & 0x7fff;
        ret->type = first & 0xffff;
    } else {
        ret->stream = first;
    }
}

void spdy_data_head(uint8_t p[static SPDY_HEAD_SIZE], uint32_t stream, uint8_t flags, uint32_t len)
{
    store32(p, stream);
    store32(p + 4, (uint32_t)flags << 24 | len);
}

void spdy_put_head(struct buf *out, enum spdy_type type, uint8_t flags, uint32_t len)
{
    spdy_put32(out, 0x80000000 | (uint32_t)SPDY_VERSION << 16 | type);
    spdy_put32(out, (uint32_t)flags << 24 | len);
}

void spdy_put_rst(struct buf *out, uint32_t stream, enum spdy_status status)
{
    spdy_put_head(out, SPDY_RST_STREAM, 0, 8);
    spdy_put32(out, stream);
    spdy_put32(out, status);
}

void spdy_put_setting(struct buf *out, enum spdy_setting id, uint32_t value)
{
    spdy_put_head(out, SPDY_SETTINGS, 0, 12);
    spdy_put32(out, 1);
    spdy_put32(out, id);
    spdy_put32(out, value);
}

void spdy_put_ping(struct buf *out, uint32_t id)
{
    spdy_put_head(out, SPDY_PING, 0, 4);
    spdy_put32(out, id);
}

void spdy_put_goaway(struct buf *out, uint32_t last_stream, enum spdy_goaway_status status)
{
    spdy_put_head(out, SPDY_GOAWAY, 0, 8);
    spdy_put32(out, last_stream);
    spdy_put32(out, status);
}

void spdy_put_window_update(struct buf *out, uint32_t stream, uint32_t delta)
{
    spdy_put_head(out, SPDY_WINDOW_UPDATE, 0, 8);
    spdy_put32(out, stream);
    spdy_put32(out, delta);
}
