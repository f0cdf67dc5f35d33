#include "proto/spdy_conn.h"
#include "core/mem.h"

#include <assert.h>
#include <errno.h>
#include <string.h>

/* A frame of more would only make the client hold more at once. */
enum { DATA_FRAME_SENT = 64 * 1024, OUTPUT_KEPT = 16 * 1024 };

const struct spdy_limits spdy_limits_default = {
    .streams_max = 2048,
    .block_max = 16 * 1024,
    .header = {.inflated_max = 64 * 1024, .headers_max = 64, .name_max = 256, .value_max = 16 * 1024},
    .data_max = SPDY_FRAME_MAX,
    .window = SPDY_WINDOW_INITIAL,
    .session_window = 256 * 1024,
    .output_max = 256 * 1024,
    .answers_max = 64 * 1024,
};

struct spdy *spdy_new(const struct spdy_limits *limits, const struct spdy_events *events, void *ctx)
{
    struct spdy *s = mem_new(struct spdy);

    assert(limits->window > 0 && limits->window <= SPDY_WINDOW_MAX);
    assert(limits->session_window >= SPDY_WINDOW_INITIAL && limits->session_window <= SPDY_WINDOW_MAX);
    s->limits = *limits;
    s->events = *events;
    s->ctx = ctx;
    s->recv_window = limits->session_window;
    s->send_window = s->send_window_initial = SPDY_WINDOW_INITIAL;
    if (limits->window != SPDY_WINDOW_INITIAL)
        spdy_put_setting(&s->output, SPDY_SETTING_INITIAL_WINDOW, limits->window);
    if (limits->session_window != SPDY_WINDOW_INITIAL)
        spdy_put_window_update(&s->output, 0, limits->session_window - SPDY_WINDOW_INITIAL);
    return s;
}

void spdy_free(struct spdy *s)
{
    struct spdy_stream *st, *next;

    if (!s)
        return;
    st = s->streams;
    HASH_CLEAR(hh, s->streams); /* which leaves the elements, and their order */
    for (; st; st = next) {
        next = st->hh.next;
        free(st);
    }
    spdy_inflater_free(s->inflater);
    buf_done(&s->payload);
    buf_done(&s->inflated);
    buf_done(&s->output);
    free(s->failed);
    free(s);
}

/* ---- streams ------------------------------------------------------------------------------------------------ */

struct spdy_stream *spdy_find(const struct spdy *s, uint32_t id)
{
    struct spdy_stream *st;

    HASH_FIND(hh, s->streams, &id, sizeof(id), st);
    return st;
}

void spdy_stream_new(struct spdy *s, uint32_t id, bool fin)
{
    struct spdy_stream *st = mem_new(struct spdy_stream);

    st->id = id;
    st->theirs_closed = fin;
    st->recv_window = s->limits.window;
    HASH_ADD(hh, s->streams, id, sizeof(st->id), st);
}

void spdy_stream_gone(struct spdy *s, struct spdy_stream *st)
{
    HASH_DEL(s->streams, st);
    free(st);
}

void spdy_stream_settle(struct spdy *s, struct spdy_stream *st)
{
    if (st->theirs_closed && st->ours == OURS_CLOSED)
        spdy_stream_gone(s, st);
}

void spdy_reset_remember(struct spdy *s, uint32_t id)
{
    s->reset[s->reset_n++ % SPDY_RESET_KEPT] = id;
}

bool spdy_reset_recently(const struct spdy *s, uint32_t id)
{
    for (size_t i = 0; i < SPDY_RESET_KEPT; i++)
        if (s->reset[i] == id)
            return true;
    return false;
}

size_t spdy_streams(const struct spdy *s)
{
    return HASH_COUNT(s->streams);
}

bool spdy_stream_open(const struct spdy *s, uint32_t id)
{
    return spdy_find(s, id) != NULL;
}

uint32_t spdy_stream_next(const struct spdy *s, uint32_t id)
{
    const struct spdy_stream *st = id ? spdy_find(s, id) : NULL;

    st = st ? st->hh.next : id ? NULL : s->streams;
    return st ? st->id : 0;
}

void spdy_set_stream_data(struct spdy *s, uint32_t id, void *data)
{
    struct spdy_stream *st = spdy_find(s, id);

    if (st)
        st->data = data;
}

void *spdy_stream_data(const struct spdy *s, uint32_t id)
{
    const struct spdy_stream *st = spdy_find(s, id);
    return st ? st->data : NULL;
}

static int stream_get(const struct spdy *s, uint32_t id, struct spdy_stream **ret, struct err *err)
{
    *ret = s->failed ? NULL : spdy_find(s, id);
    if (!*ret)
        return err_set(err, GRPC_NOT_FOUND, ENOENT, "SPDY stream %u is closed", id);
    return 0;
}

/* ---- output ------------------------------------------------------------------------------------------------- */

const uint8_t *spdy_output(const struct spdy *s, size_t *ret_n)
{
    *ret_n = spdy_queued(s);
    return *ret_n ? (const uint8_t *)s->output.data + s->output_sent : NULL;
}

size_t spdy_queued(const struct spdy *s)
{
    return s->output.len - s->output_sent;
}

/* Moves what is left to the front only once that is the smaller half, so that each byte moves once at most. */
void spdy_output_sent(struct spdy *s, size_t n)
{
    size_t left = spdy_queued(s) - n;

    assert(n <= spdy_queued(s));
    s->output_sent += n;
    if (left == 0 && s->output.cap > OUTPUT_KEPT) {
        buf_done(&s->output);
        s->output_sent = 0;
    } else if (left <= s->output_sent) {
        if (left)
            memmove(s->output.data, s->output.data + s->output_sent, left);
        s->output.len = left;
        s->output_sent = 0;
    }
}

/* ---- sending ------------------------------------------------------------------------------------------------ */

int spdy_reply(struct spdy *s, uint32_t id, const struct spdy_header *headers, size_t n, bool fin,
               struct err *err)
{
    struct buf cleanup_buf block = {0};
    struct spdy_stream *st;
    int rc = stream_get(s, id, &st, err);

    if (rc < 0)
        return rc;
    if (st->ours != OURS_UNREPLIED)
        return err_set(err, GRPC_INTERNAL, EINVAL, "SPDY stream %u has its reply already", id);
    if (spdy_headers_size(headers, n) > SPDY_STORED_MAX)
        return err_set(err, GRPC_INTERNAL, EINVAL,
                       "the reply of SPDY stream %u has %zu bytes of headers: at most %d", id,
                       spdy_headers_size(headers, n), SPDY_STORED_MAX);
    spdy_headers_put(&block, headers, n, !s->block_sent);
    s->block_sent = true;
    spdy_put_head(&s->output, SPDY_SYN_REPLY, fin ? SPDY_FIN : 0, (uint32_t)(4 + block.len));
    spdy_put32(&s->output, id);
    buf_add(&s->output, block.data, block.len);
    st->ours = fin ? OURS_CLOSED : OURS_OPEN;
    spdy_stream_settle(s, st);
    return 0;
}

int64_t spdy_stream_window(const struct spdy *s, const struct spdy_stream *st)
{
    return s->send_window_initial + st->send_credit;
}

static size_t stream_room(const struct spdy *s, const struct spdy_stream *st)
{
    size_t queued = spdy_queued(s);
    int64_t room = queued < s->limits.output_max ? (int64_t)(s->limits.output_max - queued) : 0;

    if (!s->limits.flow_ignored) {
        int64_t window = spdy_stream_window(s, st);
        room = window < room ? window : room;
        room = s->send_window < room ? s->send_window : room;
    }
    return room > 0 ? (size_t)room : 0;
}

size_t spdy_room(const struct spdy *s, uint32_t id)
{
    const struct spdy_stream *st = spdy_find(s, id);
    return st && st->ours == OURS_OPEN && !s->failed ? stream_room(s, st) : 0;
}

/* A frame of no bytes is sent for its FIN alone, which no window holds back. */
int spdy_data_start(struct spdy *s, uint32_t id, size_t n, bool fin, uint8_t ret_head[static SPDY_HEAD_SIZE],
                    size_t *ret_head_len, size_t *ret_taken, struct err *err)
{
    struct spdy_stream *st;
    int rc = stream_get(s, id, &st, err);

    if (rc < 0)
        return rc;
    if (st->ours != OURS_OPEN)
        return err_set(err, GRPC_INTERNAL, EINVAL, "SPDY stream %u takes no data: %s", id,
                       st->ours == OURS_CLOSED ? "its end has been sent" : "it has had no reply yet");
    size_t room = stream_room(s, st), taken = n < room ? n : room;
    taken = taken < DATA_FRAME_SENT ? taken : DATA_FRAME_SENT;
    fin = fin && taken == n;
    *ret_taken = taken;
    *ret_head_len = taken || fin ? SPDY_HEAD_SIZE : 0;
    if (*ret_head_len == 0)
        return 0;
    spdy_data_head(ret_head, id, fin ? SPDY_FIN : 0, (uint32_t)taken);
    st->send_credit -= (int64_t)taken;
    s->send_window -= (int64_t)taken;
    if (fin) {
        st->ours = OURS_CLOSED;
        spdy_stream_settle(s, st);
    }
    return 0;
}

int spdy_data(struct spdy *s, uint32_t id, const void *p, size_t n, bool fin, size_t *ret_taken,
              struct err *err)
{
    uint8_t head[SPDY_HEAD_SIZE];
    size_t done = 0, head_n, taken;

    do {
        int rc = spdy_data_start(s, id, n - done, fin, head, &head_n, &taken, err);
        if (rc < 0)
            return rc;
        buf_add(&s->output, head, head_n);
        if (taken)
            buf_add(&s->output, (const uint8_t *)p + done, taken);
        done += taken;
    } while (taken && done < n);
    *ret_taken = done;
    return 0;
}

void spdy_rst(struct spdy *s, uint32_t id, enum spdy_status status)
{
    struct spdy_stream *st = spdy_find(s, id);

    if (!st || s->failed)
        return;
    spdy_put_rst(&s->output, id, status);
    spdy_reset_remember(s, id);
    spdy_stream_gone(s, st);
}

void spdy_ping(struct spdy *s)
{
    if (s->failed)
        return;
    s->ping_id += 2; /* even ones are the server's */
    spdy_put_ping(&s->output, s->ping_id);
}

void spdy_goaway(struct spdy *s, enum spdy_goaway_status status)
{
    if (s->gone)
        return;
    s->gone = true;
    spdy_put_goaway(&s->output, s->last_id, status);
}

void spdy_seal(struct spdy *s)
{
    s->sealed = true;
    spdy_inflater_free(s->inflater);
    s->inflater = NULL;
}

/* ---- the client's room --------------------------------------------------------------------------------------- */

/*
 * What to give back of a credit now: all of it, from half a window on. With flow_ignored more may have come than a
 * window holds, and be given back at once.
 */
static uint32_t credit_take(uint64_t *credit, uint32_t window)
{
    uint64_t delta = *credit;

    if (delta == 0 || delta < window / 2)
        return 0;
    if (delta > SPDY_WINDOW_MAX)
        delta = SPDY_WINDOW_MAX;
    *credit -= delta;
    return (uint32_t)delta;
}

void spdy_session_credit(struct spdy *s, size_t n)
{
    uint32_t delta;

    s->credit += n;
    if (s->failed || !(delta = credit_take(&s->credit, s->limits.session_window)))
        return;
    spdy_put_window_update(&s->output, 0, delta);
    s->recv_window += delta;
}

void spdy_consumed(struct spdy *s, uint32_t id, size_t n)
{
    struct spdy_stream *st = spdy_find(s, id);
    uint32_t delta;

    assert(n <= s->unread);
    s->unread -= n;
    spdy_session_credit(s, n);
    if (!st || st->theirs_closed || s->failed)
        return;
    st->credit += n;
    if (!(delta = credit_take(&st->credit, s->limits.window)))
        return;
    spdy_put_window_update(&s->output, id, delta);
    st->recv_window += delta;
}

size_t spdy_unread(const struct spdy *s)
{
    return s->unread;
}
