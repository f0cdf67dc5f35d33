/* A SPDY/3.1 client for tests, with its own deflate and inflate: writes frames, and reads a server's into text. */
#pragma once
#include "core/buf.h"
#include "proto/spdy.h"
#include <zlib.h>

struct client {
    struct buf wire; /* what the client sends */
    z_stream deflate, inflate;
};

static void client_init(struct client *c)
{
    *c = (struct client){0};
    assert_int_equal(deflateInit(&c->deflate, 9), Z_OK);
    assert_int_equal(deflateSetDictionary(&c->deflate, spdy_dictionary(), SPDY_DICTIONARY_SIZE), Z_OK);
    assert_int_equal(inflateInit(&c->inflate), Z_OK);
}

static void client_done(struct client *c)
{
    deflateEnd(&c->deflate);
    inflateEnd(&c->inflate);
    buf_done(&c->wire);
}

/* A header block's bytes from "name=value;name=value"; '|' in a value is the NUL between two strings. */
static void block_of(struct buf *raw, const char *pairs)
{
    struct buf items = {0};
    uint32_t n = 0;

    while (*pairs) {
        size_t name = strcspn(pairs, "="), value = strcspn(pairs + name + 1, ";");
        spdy_put32(&items, (uint32_t)name);
        buf_add(&items, pairs, name);
        spdy_put32(&items, (uint32_t)value);
        size_t at = items.len;
        buf_add(&items, pairs + name + 1, value);
        for (; at < items.len; at++)
            if (items.data[at] == '|')
                items.data[at] = '\0';
        pairs += name + 1 + value;
        pairs += *pairs == ';';
        n++;
    }
    spdy_put32(raw, n);
    buf_add(raw, items.data, items.len);
    buf_done(&items);
}

static void client_deflate(struct client *c, const void *raw, size_t n, struct buf *ret)
{
    uint8_t chunk[4096];

    c->deflate.next_in = (Bytef *)raw;
    c->deflate.avail_in = (uInt)n;
    do {
        c->deflate.next_out = chunk;
        c->deflate.avail_out = sizeof(chunk);
        deflate(&c->deflate, Z_SYNC_FLUSH);
        buf_add(ret, chunk, sizeof(chunk) - c->deflate.avail_out);
    } while (c->deflate.avail_out == 0);
}

static void client_frame(struct client *c, unsigned type, uint8_t flags, const void *p, size_t n)
{
    spdy_put_head(&c->wire, type, flags, (uint32_t)n);
    buf_add(&c->wire, p, n);
}

/* SYN_STREAM or HEADERS with a block that is not yet compressed, whatever it is. */
static void client_raw(struct client *c, unsigned type, uint32_t id, uint8_t flags, const void *raw, size_t n)
{
    struct buf payload = {0};

    spdy_put32(&payload, id);
    if (type == SPDY_SYN_STREAM)
        buf_add(&payload, "\0\0\0\0\0\0", 6);
    client_deflate(c, raw, n, &payload);
    client_frame(c, type, flags, payload.data, payload.len);
    buf_done(&payload);
}

static void client_headers(struct client *c, unsigned type, uint32_t id, uint8_t flags, const char *pairs)
{
    struct buf raw = {0};

    block_of(&raw, pairs);
    client_raw(c, type, id, flags, raw.data, raw.len);
    buf_done(&raw);
}

static void client_syn(struct client *c, uint32_t id, uint8_t flags, const char *pairs)
{
    client_headers(c, SPDY_SYN_STREAM, id, flags, pairs);
}

static void client_data(struct client *c, uint32_t id, const void *p, size_t n, bool fin)
{
    uint8_t head[SPDY_HEAD_SIZE];

    spdy_data_head(head, id, fin ? SPDY_FIN : 0, (uint32_t)n);
    buf_add(&c->wire, head, sizeof(head));
    buf_add(&c->wire, p, n);
}

/* A control frame whose payload is 32 bit numbers. */
static void client_words(struct client *c, unsigned type, uint8_t flags, size_t n, const uint32_t *words)
{
    struct buf payload = {0};

    for (size_t i = 0; i < n; i++)
        spdy_put32(&payload, words[i]);
    client_frame(c, type, flags, payload.data, payload.len);
    buf_done(&payload);
}
#define client_control(c, type, ...)                                                                           \
    client_words(c, type, 0, sizeof((uint32_t[]){__VA_ARGS__}) / 4, (uint32_t[]){__VA_ARGS__})

/* ---- reading ------------------------------------------------------------------------------------------------- */

static void read_block(struct client *c, const uint8_t *p, size_t n, struct buf *text)
{
    uint8_t raw[70000];

    c->inflate.next_in = (Bytef *)p;
    c->inflate.avail_in = (uInt)n;
    c->inflate.next_out = raw;
    c->inflate.avail_out = sizeof(raw);
    int rc = inflate(&c->inflate, Z_SYNC_FLUSH);
    if (rc == Z_NEED_DICT) {
        assert_int_equal(inflateSetDictionary(&c->inflate, spdy_dictionary(), SPDY_DICTIONARY_SIZE), Z_OK);
        rc = inflate(&c->inflate, Z_SYNC_FLUSH);
    }
    assert_int_equal(rc, Z_OK);
    assert_int_equal(c->inflate.avail_in, 0);
    uint8_t *at = raw + 4;
    for (uint32_t i = spdy_get32(raw); i > 0; i--) {
        uint32_t name = spdy_get32(at), value = spdy_get32(at + 4 + name);
        buf_addf(text, " %.*s=%.*s", (int)name, at + 4, (int)value, at + 8 + name);
        at += 8 + name + value;
    }
    assert_ptr_equal(at, c->inflate.next_out);
}

/* One line a frame: "SYN_REPLY 1 a=b", "DATA 1 FIN 5", "RST_STREAM 3 1", "PING 1". */
static void read_frames(struct client *c, const uint8_t *p, size_t n, struct buf *text)
{
    struct spdy_head h;

    for (; n; p += SPDY_HEAD_SIZE + h.len, n -= SPDY_HEAD_SIZE + h.len) {
        assert_true(n >= SPDY_HEAD_SIZE);
        spdy_head_parse(p, &h);
        assert_true(n - SPDY_HEAD_SIZE >= h.len);
        const uint8_t *body = p + SPDY_HEAD_SIZE;
        const char *fin = h.flags & SPDY_FIN ? " FIN" : "";
        if (!h.control) {
            buf_addf(text, "DATA %u%s %u\n", h.stream, fin, h.len);
            continue;
        }
        assert_int_equal(h.version, 3);
        buf_addf(text, "%s", spdy_type_name(h.type));
        uint32_t words = h.type == SPDY_SYN_REPLY ? 1 : h.len / 4;
        for (uint32_t i = 0; i < words; i++)
            buf_addf(text, " %u", spdy_get32(body + (size_t)i * 4));
        buf_adds(text, fin);
        if (h.type == SPDY_SYN_REPLY)
            read_block(c, body + 4, h.len - 4, text);
        buf_adds(text, "\n");
    }
}
