/*
 * Written by hand rather than with wslay: its event layer gathers whole messages and cannot be stopped between two, its
 * frame layer needs callbacks that own the bytes; what a client needs beyond that is this little.
 */
#include "cli/frames.h"

#include <assert.h>
#include <string.h>
#include <sys/random.h>

enum { MASK_SIZE = 4, CLIENT_HEADER_MAX = FRAMES_HEADER_MAX + MASK_SIZE };

/* ---- out ---- */

static void new_mask(uint8_t mask[static MASK_SIZE])
{
    if (getrandom(mask, MASK_SIZE, 0) != MASK_SIZE)
        abort(); /* the kernel gives so few bytes always, once it has booted */
}

static void add_masked(struct buf *out, const uint8_t *p, size_t n, const uint8_t *mask, size_t phase)
{
    size_t at = out->len;

    buf_add(out, p, n);
    for (size_t i = 0; i < n; i++)
        out->data[at + i] = (char)(out->data[at + i] ^ mask[(phase + i) % MASK_SIZE]);
}

static void add_header(struct buf *out, uint8_t opcode, uint64_t len, const uint8_t *mask)
{
    uint8_t h[CLIENT_HEADER_MAX] = {(uint8_t)(0x80 | opcode)};
    size_t extended = len <= 125 ? 0 : len <= UINT16_MAX ? 2 : 8;

    h[1] = (uint8_t)(0x80 | (extended == 0 ? len : extended == 2 ? 126 : 127));
    for (size_t i = 0; i < extended; i++)
        h[2 + i] = (uint8_t)(len >> 8 * (extended - 1 - i));
    memcpy(h + 2 + extended, mask, MASK_SIZE);
    buf_add(out, h, 2 + extended + MASK_SIZE);
}

void frames_put_data(struct buf *out, unsigned channel, const void *p, size_t n)
{
    const uint8_t first = (uint8_t)channel;
    uint8_t mask[MASK_SIZE];

    new_mask(mask);
    add_header(out, FRAMES_BINARY, 1 + (uint64_t)n, mask);
    add_masked(out, &first, 1, mask, 0);
    add_masked(out, p, n, mask, 1);
}

void frames_put_control(struct buf *out, enum frames_opcode opcode, const void *p, size_t n)
{
    uint8_t mask[MASK_SIZE];

    assert(n <= WEBSOCKET_CONTROL_MAX);
    new_mask(mask);
    add_header(out, (uint8_t)opcode, n, mask);
    add_masked(out, p, n, mask, 0);
}

void frames_put_close(struct buf *out, enum websocket_code code)
{
    const uint8_t payload[2] = {(uint8_t)(code >> 8), (uint8_t)code};

    frames_put_control(out, FRAMES_OP_CLOSE, payload, sizeof(payload));
}

/* ---- in ---- */

static bool is_control(uint8_t opcode)
{
    return opcode & 8;
}

static int broken(const char *rule, struct err *err)
{
    return err_set(err, GRPC_UNAVAILABLE, 0, "the streaming server broke the WebSocket protocol: %s", rule);
}

/* How long the header is, as far as its first two bytes tell. */
static size_t header_size(const struct frames *f)
{
    if (f->head_len < 2)
        return 2;
    switch (f->head[1] & 0x7f) {
    case 126:
        return 4;
    case 127:
        return 10;
    default:
        return 2;
    }
}

static int check_header(const struct frames *f, size_t size, struct err *err)
{
    if (f->head[0] & 0x70)
        return broken("reserved bits without an extension", err);
    if (f->head[1] & 0x80)
        return broken("a masked frame", err);
    if ((size == 4 && f->left < 126) || (size == 10 && (f->left <= UINT16_MAX || f->left >> 63)))
        return broken("a frame with an invalid length", err);
    switch (f->opcode) {
    case FRAMES_CONTINUATION:
        return f->in_message ? 0 : broken("a continuation of no message", err);
    case FRAMES_BINARY:
        return f->in_message ? broken("a message within an unfinished message", err) : 0;
    case FRAMES_TEXT:
        return broken("a text message in a binary protocol", err);
    case FRAMES_OP_CLOSE:
    case FRAMES_OP_PING:
    case FRAMES_OP_PONG:
        return f->fin && size == 2 ? 0 : broken("a control frame that is split or too long", err);
    default:
        return broken("an unknown opcode", err);
    }
}

static int take_header(struct frames *f, struct err *err)
{
    size_t size = header_size(f);

    f->fin = f->head[0] & 0x80;
    f->opcode = f->head[0] & 0x0f;
    f->left = f->head[1] & 0x7f;
    if (size > 2)
        f->left = 0;
    for (size_t i = 2; i < size; i++)
        f->left = f->left << 8 | f->head[i];
    int rc = check_header(f, size, err);
    if (rc < 0)
        return rc;
    if (f->opcode == FRAMES_BINARY) {
        f->in_message = true;
        f->has_channel = false;
    }
    if (is_control(f->opcode))
        f->control_len = 0;
    f->in_frame = true;
    return 0;
}

static int end_control(struct frames *f, struct err *err)
{
    f->in_frame = false;
    f->head_len = 0;
    if (f->opcode == FRAMES_OP_CLOSE)
        return f->control_len == 1 ? broken("a Close with half a code", err) : FRAMES_CLOSE;
    return f->opcode == FRAMES_OP_PING ? FRAMES_PING : FRAMES_NOTHING;
}

static int take_control(struct frames *f, const uint8_t *p, size_t n, struct err *err)
{
    memcpy(f->control + f->control_len, p, n);
    f->control_len += n;
    return f->left == 0 ? end_control(f, err) : FRAMES_NOTHING;
}

/* n bytes of a data frame; left is what comes after them. */
static int take_data(struct frames *f, const uint8_t *p, size_t n, struct frames_piece *ret)
{
    bool ends = f->left == 0 && f->fin;

    if (f->left == 0) {
        f->in_frame = false;
        f->head_len = 0;
        f->in_message = !f->fin;
    }
    if (!f->has_channel && n > 0) {
        f->has_channel = true;
        f->channel = *p++;
        n--;
    }
    if (!f->has_channel || (n == 0 && !ends))
        return FRAMES_NOTHING;
    *ret = (struct frames_piece){f->channel, p, n, ends};
    return FRAMES_DATA;
}

int frames_read(struct frames *f, const void *data, size_t n, size_t *ret_used, struct frames_piece *ret_piece,
                struct err *err)
{
    const uint8_t *p = data, *end = p + n;
    int r = FRAMES_NOTHING;

    while (r == FRAMES_NOTHING && (p < end || (f->in_frame && f->left == 0))) {
        if (!f->in_frame) {
            f->head[f->head_len++] = *p++;
            if (f->head_len == header_size(f))
                r = take_header(f, err);
            continue;
        }
        size_t take = f->left < (uint64_t)(end - p) ? (size_t)f->left : (size_t)(end - p);
        f->left -= take;
        r = is_control(f->opcode) ? take_control(f, p, take, err) : take_data(f, p, take, ret_piece);
        p += take;
    }
    *ret_used = (size_t)(p - (const uint8_t *)data);
    return r;
}
