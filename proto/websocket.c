/*
 *            Close from the peer: echoed                broken frame, limit: Close 1002, 1007, 1009
 *   OPEN ------------------------------> ENDED <------------------------------------ OPEN, CLOSING
 *     \  websocket_close()                 ^
 *      `-------------------> CLOSING ------' Close from the peer
 *
 * wslay's frame layer parses headers and takes the masks off (2 GB/s, 5 KiB a session): it is asked frame by frame, so it
 * can be stopped between two messages. Its event layer is not used: that one cannot be stopped, gathers a message as a
 * list in which a 1-byte fragment costs 64 bytes, and copies what is sent. To send, a server puts ten bytes in front.
 */
#include "proto/websocket.h"
#include "core/buf.h"
#include "core/mem.h"
#include "core/utf8.h"

#include <assert.h>
#include <errno.h>
#include <string.h>
#include <wslay/wslay.h>

enum { MESSAGE_KEEP = 64 * 1024 }; /* a message buffer up to this is kept for the next message */

enum state { OPEN, CLOSING, ENDED };

struct websocket {
    wslay_frame_context_ptr frames;
    const uint8_t *in; /* what websocket_read() was given and wslay has not taken */
    size_t in_left;

    enum state state;
    int close_code;
    size_t message_max;

    struct buf message;  /* the data frames so far */
    uint8_t kind;        /* of the message in progress; 0: none */
    bool handed_out;     /* the owner has the message: it goes with the next read */
    bool in_frame;       /* the frame below has begun */
    uint64_t frame_left; /* payload still to come */
    uint8_t control[WEBSOCKET_CONTROL_MAX];
    size_t control_len;

    struct buf out;
    size_t pong_at, pong_end; /* where in out an untaken Pong lies; both 0: there is none */
    size_t add_left;          /* of websocket_begin() */
};

static ssize_t on_frame_wants(uint8_t *to, size_t n, int flags, void *data)
{
    struct websocket *ws = data;

    (void)flags;
    if (ws->in_left == 0)
        return -1;
    if (n > ws->in_left)
        n = ws->in_left;
    memcpy(to, ws->in, n);
    ws->in += n;
    ws->in_left -= n;
    return (ssize_t)n;
}

struct websocket *websocket_new(size_t message_max)
{
    static const struct wslay_frame_callbacks callbacks = {.recv_callback = on_frame_wants};
    struct websocket *ws = mem_new(struct websocket);

    ws->message_max = message_max ? message_max : WEBSOCKET_MESSAGE_MAX;
    if (wslay_frame_context_init(&ws->frames, &callbacks, ws) != 0)
        abort(); /* as mem_alloc() does: its only failure is memory */
    return ws;
}

void websocket_free(struct websocket *ws)
{
    if (!ws)
        return;
    wslay_frame_context_free(ws->frames);
    buf_done(&ws->message);
    buf_done(&ws->out);
    free(ws);
}

/* ---- out ---- */

/* Section 5.2, from the server: never masked, never fragmented. */
static void add_header(struct websocket *ws, uint8_t opcode, uint64_t len)
{
    uint8_t h[WEBSOCKET_HEADER_MAX] = {(uint8_t)(0x80 | opcode)};
    size_t extended = len <= 125 ? 0 : len <= UINT16_MAX ? 2 : 8;

    h[1] = extended == 0 ? (uint8_t)len : extended == 2 ? 126 : 127;
    for (size_t i = 0; i < extended; i++)
        h[2 + i] = (uint8_t)(len >> 8 * (extended - 1 - i));
    buf_add(&ws->out, h, 2 + extended);
}

void websocket_begin(struct websocket *ws, enum websocket_kind kind, size_t len)
{
    assert(ws->add_left == 0);
    if (ws->state != OPEN)
        return;
    add_header(ws, (uint8_t)kind, len);
    ws->add_left = len;
}

void websocket_add(struct websocket *ws, const void *p, size_t n)
{
    if (ws->state != OPEN)
        return;
    assert(n <= ws->add_left);
    ws->add_left -= n;
    buf_add(&ws->out, p, n);
}

void websocket_send(struct websocket *ws, enum websocket_kind kind, const void *p, size_t n)
{
    websocket_begin(ws, kind, n);
    websocket_add(ws, p, n);
}

static void add_control(struct websocket *ws, uint8_t opcode, const void *p, size_t n)
{
    assert(n <= WEBSOCKET_CONTROL_MAX && ws->add_left == 0);
    add_header(ws, opcode, n);
    buf_add(&ws->out, p, n);
}

void websocket_ping(struct websocket *ws, const void *p, size_t n)
{
    if (ws->state == OPEN)
        add_control(ws, WSLAY_PING, p, n);
}

static void add_close(struct websocket *ws, int code, const char *reason)
{
    uint8_t payload[WEBSOCKET_CONTROL_MAX] = {(uint8_t)(code >> 8), (uint8_t)code};
    size_t len = strlen(reason), n = 0, step;

    while (n < len && (step = utf8_char_len(reason + n, len - n)) > 0 && n + step <= WEBSOCKET_REASON_MAX)
        n += step;
    memcpy(payload + 2, reason, n);
    add_control(ws, WSLAY_CONNECTION_CLOSE, payload, 2 + n);
    if (!ws->close_code)
        ws->close_code = code;
}

void websocket_close(struct websocket *ws, enum websocket_code code, const char *reason)
{
    if (ws->state != OPEN)
        return;
    add_close(ws, code, reason);
    ws->state = CLOSING;
}

size_t websocket_pending(const struct websocket *ws)
{
    return ws->out.len;
}

void websocket_take(struct websocket *ws, char **ret_data, size_t *ret_n)
{
    *ret_n = ws->out.len;
    *ret_data = buf_steal(&ws->out);
    ws->pong_at = ws->pong_end = 0;
}

bool websocket_is_open(const struct websocket *ws)
{
    return ws->state == OPEN;
}

int websocket_close_code(const struct websocket *ws)
{
    return ws->close_code;
}

/* ---- in ---- */

/* The peer broke a rule: tells it by a Close, the caller by err, and ends. */
static int fail(struct websocket *ws, int code, const char *rule, struct err *err)
{
    if (ws->state == OPEN)
        add_close(ws, code, rule);
    ws->state = ENDED;
    return err_set(err, code == WEBSOCKET_TOO_BIG ? GRPC_RESOURCE_EXHAUSTED : GRPC_INVALID_ARGUMENT, 0,
                   "WebSocket client: %s; closed with %d", rule, code);
}

/* Mostly ASCII: eight bytes at a time as long as that lasts. */
static bool is_utf8(const char *s, size_t n)
{
    while (n > 0) {
        uint64_t eight;
        size_t step = sizeof(eight);
        if (n >= step && (memcpy(&eight, s, step), (eight & 0x8080808080808080u) == 0)) {
            s += step;
            n -= step;
            continue;
        }
        step = utf8_char_len(s, n);
        if (step == 0)
            return false;
        s += step;
        n -= step;
    }
    return true;
}

static bool is_control(uint8_t opcode)
{
    return opcode & 8;
}

static int start_data(struct websocket *ws, const struct wslay_frame_iocb *f, struct err *err)
{
    bool continues = f->opcode == WSLAY_CONTINUATION_FRAME;

    if (continues && !ws->kind)
        return fail(ws, WEBSOCKET_PROTOCOL_ERROR, "a continuation of no message", err);
    if (!continues && ws->kind)
        return fail(ws, WEBSOCKET_PROTOCOL_ERROR, "a message within an unfinished message", err);
    if (f->payload_length > ws->message_max - ws->message.len)
        return fail(ws, WEBSOCKET_TOO_BIG, "a message above the limit", err);
    if (!continues)
        ws->kind = f->opcode;
    return 0;
}

/* What wslay leaves to its user: it checks lengths and that control frames are whole. */
static int start_frame(struct websocket *ws, const struct wslay_frame_iocb *f, struct err *err)
{
    ws->in_frame = true;
    ws->frame_left = f->payload_length;
    if (!f->mask)
        return fail(ws, WEBSOCKET_PROTOCOL_ERROR, "a frame without a mask", err);
    if (f->rsv)
        return fail(ws, WEBSOCKET_PROTOCOL_ERROR, "reserved bits without an extension", err);
    switch (f->opcode) {
    case WSLAY_CONTINUATION_FRAME:
    case WSLAY_TEXT_FRAME:
    case WSLAY_BINARY_FRAME:
        return start_data(ws, f, err);
    case WSLAY_CONNECTION_CLOSE:
    case WSLAY_PING:
    case WSLAY_PONG:
        ws->control_len = 0;
        return 0;
    default:
        return fail(ws, WEBSOCKET_PROTOCOL_ERROR, "an unknown opcode", err);
    }
}

static int end_message(struct websocket *ws, struct websocket_message *ret_message, struct err *err)
{
    enum websocket_kind kind = ws->kind;

    ws->kind = 0;
    ws->handed_out = true;
    if (ws->state != OPEN)
        return WEBSOCKET_NOTHING;
    if (kind == WEBSOCKET_TEXT && !is_utf8(ws->message.data, ws->message.len))
        return fail(ws, WEBSOCKET_BAD_TEXT, "text that is not UTF-8", err);
    *ret_message = (struct websocket_message){kind, (uint8_t *)ws->message.data, ws->message.len};
    if (!ret_message->data)
        ret_message->data = ws->control; /* of length 0, and never NULL */
    return WEBSOCKET_MESSAGE;
}

static void drop_message(struct websocket *ws)
{
    if (ws->message.cap > MESSAGE_KEEP)
        buf_done(&ws->message);
    ws->message.len = 0;
    ws->handed_out = false;
}

/*
 * Section 5.5.3 lets only the newest of several Pings be answered: a Pong that nobody took yet is replaced, so that a
 * flood of Pings needs no memory.
 */
static void answer_ping(struct websocket *ws)
{
    if (ws->state != OPEN)
        return;
    if (ws->pong_end && ws->pong_end == ws->out.len)
        ws->out.len = ws->pong_at;
    ws->pong_at = ws->out.len;
    add_control(ws, WSLAY_PONG, ws->control, ws->control_len);
    ws->pong_end = ws->out.len;
}

/* Section 7.4.2 and the registry of close codes: 1012 to 1014 were added after the RFC. */
static bool code_is_valid(int code)
{
    return (code >= 1000 && code <= 1003) || (code >= 1007 && code <= 1014) || (code >= 3000 && code <= 4999);
}

static int take_close(struct websocket *ws, struct err *err)
{
    size_t n = ws->control_len;
    int code = n >= 2 ? ws->control[0] << 8 | ws->control[1] : WEBSOCKET_NO_CODE;

    if (n == 1 || (n >= 2 && !code_is_valid(code)))
        return fail(ws, WEBSOCKET_PROTOCOL_ERROR, "a Close with an invalid code", err);
    if (n > 2 && !is_utf8((const char *)ws->control + 2, n - 2))
        return fail(ws, WEBSOCKET_BAD_TEXT, "a Close whose reason is not UTF-8", err);
    if (ws->state == OPEN)
        add_control(ws, WSLAY_CONNECTION_CLOSE, ws->control, n < 2 ? 0 : 2);
    if (!ws->close_code)
        ws->close_code = code;
    ws->state = ENDED;
    return WEBSOCKET_CLOSED;
}

static int end_control(struct websocket *ws, uint8_t opcode, struct err *err)
{
    if (opcode == WSLAY_CONNECTION_CLOSE)
        return take_close(ws, err);
    if (opcode == WSLAY_PONG)
        return WEBSOCKET_PONG;
    answer_ping(ws);
    return WEBSOCKET_NOTHING;
}

static int take_piece(struct websocket *ws, const struct wslay_frame_iocb *f,
                      struct websocket_message *ret_message, struct err *err)
{
    if (!ws->in_frame) {
        int r = start_frame(ws, f, err);
        if (r < 0)
            return r;
    }
    ws->frame_left -= f->data_length;
    if (is_control(f->opcode)) {
        memcpy(ws->control + ws->control_len, f->data, f->data_length);
        ws->control_len += f->data_length;
    } else if (ws->state == OPEN) {
        buf_add(&ws->message, f->data, f->data_length);
    }
    if (ws->frame_left > 0)
        return WEBSOCKET_NOTHING;
    ws->in_frame = false;
    if (is_control(f->opcode))
        return end_control(ws, f->opcode, err);
    return f->fin ? end_message(ws, ret_message, err) : WEBSOCKET_NOTHING;
}

int websocket_read(struct websocket *ws, const void *data, size_t n, size_t *ret_used,
                   struct websocket_message *ret_message, struct err *err)
{
    int r = WEBSOCKET_NOTHING;

    ws->in = data;
    ws->in_left = n;
    while (r == WEBSOCKET_NOTHING && ws->state != ENDED) {
        struct wslay_frame_iocb f = {0};
        if (ws->handed_out)
            drop_message(ws);
        ssize_t got = wslay_frame_recv(ws->frames, &f);
        if (got == WSLAY_ERR_WANT_READ)
            break;
        r = got < 0 ? fail(ws, WEBSOCKET_PROTOCOL_ERROR, "a frame with an invalid header", err)
                    : take_piece(ws, &f, ret_message, err);
    }
    if (r == WEBSOCKET_NOTHING && ws->state == ENDED)
        r = WEBSOCKET_CLOSED;
    *ret_used = ws->state == ENDED ? n : n - ws->in_left;
    ws->in = NULL; /* the caller's */
    ws->in_left = 0;
    return r;
}
