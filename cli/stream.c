/*
 *                         not 101, and its text has come
 *                    .--------------------------------------.
 *                    |                                      v
 *   CONNECTING -> ANSWERING --> OPEN ----------> ENDED    (error)
 *     TCP, TLS     request      |  Close, end     ^
 *                  and head     v                 |
 *                             CLOSING ------------'
 *                          stream_close()   Close, end
 *
 * Until it is OPEN there is a deadline.
 */
#include "cli/stream.h"
#include "cli/frames.h"
#include "cli/http_answer.h"
#include "cli/stream_socket.h"
#include "cli/stream_url.h"
#include "core/base64.h"
#include "core/buf.h"
#include "core/mem.h"
#include "proto/channel.h"

#include <errno.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>

enum {
    IN_SIZE = 32 * 1024,
    BODY_MAX = 1024, /* of a refusal */
    KEY_BYTES = 16,
};

enum state { CONNECTING, ANSWERING, OPEN, CLOSING, ENDED };

struct stream {
    enum state state;
    struct stream_socket *socket;
    struct stream_url url;
    char key[BASE64_LEN(KEY_BYTES) + 1];
    struct http_answer answer;
    int timeout_ms;
    int64_t deadline_ms; /* until it is OPEN */
    struct frames frames;
    struct stream_end end;
    struct buf out;
    size_t out_at;      /* of out: written */
    size_t in_at, in_n; /* of in: not looked at yet */
    bool deaf;          /* the server takes no more */
    bool refused;       /* ANSWERING: the head was not 101, its text is read */
    uint8_t in[IN_SIZE];
};

int64_t stream_now_ms(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

/* ---- opening ---- */

static void put_request(struct stream *s)
{
    uint8_t key[KEY_BYTES];

    if (getrandom(key, sizeof(key), 0) != sizeof(key))
        abort(); /* the kernel gives so few bytes always, once it has booted */
    base64_encode(key, sizeof(key), s->key);
    buf_addf(&s->out,
             "GET %s HTTP/1.1\r\nHost: %s%s%s:%s\r\nUser-Agent: cricket/" CRICKET_VERSION
             "\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
             "Sec-WebSocket-Key: %s\r\nSec-WebSocket-Protocol: " STREAM_PROTOCOLS "\r\n\r\n",
             s->url.target, s->url.v6 ? "[" : "", s->url.host, s->url.v6 ? "]" : "", s->url.port, s->key);
}

int stream_open(const struct stream_options *options, struct stream **ret, struct err *err)
{
    struct stream *s = mem_new(struct stream);
    int rc = stream_url_parse(options->url, &s->url, err);

    if (!rc && options->query)
        rc = stream_url_add_query(&s->url, options->query, err);
    if (!rc)
        rc = stream_socket_open(&s->url, options->ca_file, &s->socket, err);
    if (rc < 0) {
        stream_free(s);
        return rc;
    }
    s->timeout_ms = options->timeout_ms ? options->timeout_ms : STREAM_OPEN_MS;
    s->deadline_ms = stream_now_ms() + s->timeout_ms;
    *ret = s;
    return 0;
}

void stream_free(struct stream *s)
{
    if (!s)
        return;
    stream_socket_free(s->socket);
    buf_done(&s->out);
    free(s);
}

/* ---- bytes ---- */

/* A server that ended while we wrote has said how, and that is still to be read: from then on it is deaf, no more. */
int stream_flush(struct stream *s, struct err *err)
{
    if (s->state == CONNECTING || s->state == ENDED)
        return 0;
    while (s->out_at < s->out.len) {
        ssize_t n = stream_socket_write(s->socket, s->out.data + s->out_at, s->out.len - s->out_at, err);
        if (n == -EAGAIN)
            break;
        if (n < 0 && s->state < OPEN)
            return (int)n;
        if (n < 0)
            s->deaf = true;
        s->out_at = n < 0 ? s->out.len : s->out_at + (size_t)n;
    }
    if (s->out_at == s->out.len || s->out_at > STREAM_MARK) {
        if (s->out_at < s->out.len)
            memmove(s->out.data, s->out.data + s->out_at, s->out.len - s->out_at);
        s->out.len -= s->out_at;
        s->out_at = 0;
    }
    return 0;
}

/* 1: there are more bytes than before; 0: not now; -ENODATA without err: the end. */
static int fill(struct stream *s, struct err *err)
{
    if (s->in_at > 0)
        memmove(s->in, s->in + s->in_at, s->in_n);
    s->in_at = 0;
    ssize_t n = stream_socket_read(s->socket, s->in + s->in_n, IN_SIZE - s->in_n, err);
    if (n <= 0)
        return n == 0 ? -ENODATA : n == -EAGAIN ? 0 : (int)n;
    s->in_n += (size_t)n;
    return 1;
}

static void use(struct stream *s, size_t n)
{
    s->in_at += n;
    s->in_n -= n;
}

/* ---- the answer ---- */

static int check_head(struct stream *s, size_t head, struct err *err)
{
    int rc;

    use(s, head);
    if (s->answer.status != 101) {
        s->refused = true;
        return STREAM_NOTHING;
    }
    if ((rc = http_answer_check(&s->answer, s->key, STREAM_PROTOCOLS, err)) < 0)
        return rc;
    s->state = OPEN;
    return STREAM_OPENED;
}

static int refusal(const struct stream *s, struct err *err)
{
    return http_answer_refusal(&s->answer, (const char *)s->in + s->in_at, s->in_n, err);
}

static bool body_is_whole(const struct stream *s)
{
    return http_answer_body_is_whole(&s->answer, (const char *)s->in + s->in_at, s->in_n);
}

static int read_answer(struct stream *s, struct err *err)
{
    for (;;) {
        if (!s->refused && s->in_n) {
            size_t n = s->in_n < HTTP_HEAD_MAX ? s->in_n : HTTP_HEAD_MAX;
            ssize_t head = http_answer_parse((const char *)s->in + s->in_at, n, &s->answer, err);
            if (head < 0)
                return (int)head;
            int rc = head ? check_head(s, (size_t)head, err) : STREAM_NOTHING;
            if (rc != STREAM_NOTHING)
                return rc;
        }
        if (s->refused && (s->in_n >= BODY_MAX || body_is_whole(s)))
            return refusal(s, err);
        int rc = fill(s, err);
        if (s->refused && rc < 0)
            return refusal(s, err);
        if (rc == -ENODATA)
            return err_set(err, GRPC_UNAVAILABLE, 0,
                           "the runtime's streaming server closed the connection without an answer");
        if (rc <= 0)
            return rc;
    }
}

static int check_deadline(const struct stream *s, struct err *err)
{
    if (stream_now_ms() < s->deadline_ms)
        return STREAM_NOTHING;
    if (s->refused)
        return refusal(s, err);
    return err_set(err, GRPC_DEADLINE_EXCEEDED, 0,
                   "the runtime's streaming server %s:%s gave no answer within %d.%d s: try a longer --timeout",
                   s->url.host, s->url.port, s->timeout_ms / 1000, s->timeout_ms % 1000 / 100);
}

/* ---- messages ---- */

/* The server's Close: it is answered, unless it answers ours. */
static int take_close(struct stream *s, struct err *err)
{
    const struct frames *f = &s->frames;
    size_t n = f->control_len;

    s->end.code = n < 2 ? WEBSOCKET_NO_CODE : f->control[0] << 8 | f->control[1];
    for (size_t i = 2; i < n; i++) {
        char c = (char)f->control[i];
        s->end.reason[i - 2] = (char)(c < ' ' || c > '~' ? ' ' : c);
    }
    if (s->state == OPEN)
        frames_put_control(&s->out, FRAMES_OP_CLOSE, f->control, n < 2 ? 0 : 2);
    int rc = stream_flush(s, err); /* as far as it goes: the server need not wait for it any more */
    s->state = ENDED;
    return rc < 0 ? rc : STREAM_ENDED;
}

/* As much as the bytes that are here tell. */
static int read_frames(struct stream *s, struct stream_piece *ret_piece, struct err *err)
{
    struct frames_piece piece;
    size_t used;

    while (s->in_n) {
        int r = frames_read(&s->frames, s->in + s->in_at, s->in_n, &used, &piece, err);
        use(s, used);
        if (r == FRAMES_CLOSE)
            return take_close(s, err);
        if (r == FRAMES_PING && s->state == OPEN && stream_pending(s) < STREAM_MARK)
            frames_put_control(&s->out, FRAMES_OP_PONG, s->frames.control, s->frames.control_len);
        if (r == FRAMES_DATA && s->state == OPEN) {
            *ret_piece = (struct stream_piece){piece.channel, piece.data, piece.len, piece.ends};
            return STREAM_DATA;
        }
        if (r < 0)
            return r;
    }
    return STREAM_NOTHING;
}

static int read_messages(struct stream *s, struct stream_piece *ret_piece, struct err *err)
{
    for (;;) {
        int r = read_frames(s, ret_piece, err);
        if (r != STREAM_NOTHING)
            return r;
        r = fill(s, err);
        if (r == -ENODATA || (r < 0 && s->state == CLOSING)) {
            s->state = ENDED;
            return STREAM_ENDED;
        }
        if (r <= 0)
            return r;
    }
}

int stream_next(struct stream *s, struct stream_piece *ret_piece, struct err *err)
{
    int rc = STREAM_NOTHING;

    if (s->state == CONNECTING && (rc = stream_socket_connect(s->socket, err)) > 0) {
        put_request(s);
        s->state = ANSWERING;
    }
    if (rc < 0 || (rc = stream_flush(s, err)) < 0)
        return rc;
    switch (s->state) {
    case CONNECTING:
        return check_deadline(s, err);
    case ANSWERING:
        rc = read_answer(s, err);
        return rc == STREAM_NOTHING ? check_deadline(s, err) : rc;
    case OPEN:
    case CLOSING:
        rc = read_messages(s, ret_piece, err);
        break;
    case ENDED:
        return STREAM_ENDED;
    }
    if (rc == STREAM_NOTHING) /* a Pong */
        rc = stream_flush(s, err);
    return rc;
}

void stream_send(struct stream *s, unsigned channel, const void *p, size_t n)
{
    if (s->state == OPEN && !s->deaf)
        frames_put_data(&s->out, channel, p, n);
}

bool stream_close_channel(struct stream *s, unsigned channel)
{
    const uint8_t number = (uint8_t)channel;

    if (s->state != OPEN || strncmp(s->answer.protocol, "v5.", 3) != 0)
        return false;
    frames_put_data(&s->out, CHANNEL_CLOSE, &number, 1);
    return true;
}

void stream_close(struct stream *s)
{
    if (s->state == OPEN) {
        frames_put_close(&s->out, WEBSOCKET_NORMAL);
        s->state = CLOSING;
    } else if (s->state < OPEN) {
        s->state = ENDED;
    }
}

size_t stream_pending(const struct stream *s)
{
    return s->out.len - s->out_at;
}

const char *stream_protocol_name(const struct stream *s)
{
    return s->answer.protocol;
}

const struct stream_end *stream_end(const struct stream *s)
{
    return &s->end;
}

int stream_fd(const struct stream *s)
{
    return stream_socket_fd(s->socket);
}

short stream_events(const struct stream *s, bool takes)
{
    return stream_socket_events(s->socket, takes || s->state<OPEN, stream_pending(s)> 0);
}

int stream_wait_ms(const struct stream *s)
{
    int64_t left = s->deadline_ms - stream_now_ms();

    if (s->state >= OPEN)
        return -1;
    return left > 0 ? (int)left : 0;
}
