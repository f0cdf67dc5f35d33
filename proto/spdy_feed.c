#include "proto/spdy_conn.h"
#include "core/mem.h"

#include <errno.h>
#include <string.h>

int spdy_fault(struct err *err, const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    char *cleanup_free text = mem_vprintf(fmt, ap);
    va_end(ap);
    return err_set(err, GRPC_INVALID_ARGUMENT, EPROTO, "SPDY: %s", text);
}

void spdy_stream_fault(struct spdy *s, uint32_t id, enum spdy_status status, const struct err *why)
{
    struct spdy_stream *st = spdy_find(s, id);
    void *data = st ? st->data : NULL;

    spdy_put_rst(&s->output, id, status);
    spdy_reset_remember(s, id);
    if (st)
        spdy_stream_gone(s, st);
    s->events.on_rst(s->ctx, id, data, status, why);
}

void spdy_stream_unknown(struct spdy *s, uint32_t id)
{
    if (spdy_reset_recently(s, id) || (s->gone && id > s->last_id))
        return;
    spdy_put_rst(&s->output, id, SPDY_INVALID_STREAM);
    spdy_reset_remember(s, id);
}

/* ---- data ---------------------------------------------------------------------------------------------------- */

/* Closes their half before the owner hears of it, so that a FIN of its own from within the event ends the stream. */
void spdy_data_give(struct spdy *s, struct spdy_stream *st, const uint8_t *p, size_t n, bool fin)
{
    uint32_t id = st->id;

    if (n == 0 && !fin)
        return;
    st->theirs_closed = fin;
    s->unread += n;
    s->events.on_data(s->ctx, id, p, n, fin);
    if (fin && (st = spdy_find(s, id)))
        spdy_stream_settle(s, st);
}

/* The first reason not to take this frame's data, which resets the stream. */
bool spdy_data_refused(struct spdy *s, struct spdy_stream *st, const struct spdy_head *h)
{
    struct err why;
    enum spdy_status status;

    if (st->theirs_closed) {
        status = SPDY_STREAM_ALREADY_CLOSED;
        spdy_fault(&why, "stream %u: a frame of %u bytes came behind its FIN", st->id, h->len);
    } else if (h->len > s->limits.data_max) {
        status = SPDY_FRAME_TOO_LARGE;
        spdy_fault(&why, "stream %u: a data frame of %u bytes, at most %u are accepted", st->id, h->len,
                   s->limits.data_max);
    } else if (!s->limits.flow_ignored && h->len > st->recv_window) {
        status = SPDY_FLOW_CONTROL_ERROR;
        spdy_fault(&why, "stream %u: a data frame of %u bytes, but its window has %lld left", st->id, h->len,
                   (long long)st->recv_window);
    } else {
        return false;
    }
    spdy_stream_fault(s, st->id, status, &why);
    return true;
}

static int data_begin(struct spdy *s, struct err *err)
{
    const struct spdy_head *h = &s->head;
    struct spdy_stream *st = spdy_find(s, h->stream);

    if (h->stream == 0)
        return spdy_fault(err, "data frame of stream 0, which does not exist");
    if (!s->limits.flow_ignored && h->len > s->recv_window)
        return spdy_fault(err,
                          "data frame of %u bytes, but the session's window has %lld left: heed WINDOW_UPDATE",
                          h->len, (long long)s->recv_window);
    s->recv_window -= h->len;
    if (!st)
        spdy_stream_unknown(s, h->stream);
    s->skip = !st || spdy_data_refused(s, st, h);
    if (!s->skip)
        st->recv_window -= h->len;
    return 0;
}

/* Looks the stream up each time: the owner may have reset it between two pieces of a frame. */
static void data_piece(struct spdy *s, const uint8_t *p, size_t n, bool last)
{
    struct spdy_stream *st = s->skip ? NULL : spdy_find(s, s->head.stream);

    if (st)
        spdy_data_give(s, st, p, n, last && (s->head.flags & SPDY_FIN));
    else
        spdy_session_credit(s, n);
}

/* ---- frames -------------------------------------------------------------------------------------------------- */

static int frame_begin(struct spdy *s, struct err *err)
{
    spdy_head_parse(s->head_bytes, &s->head);
    return s->head.control ? spdy_control_begin(s, err) : data_begin(s, err);
}

static int frame_piece(struct spdy *s, const uint8_t *p, size_t n, bool last, struct err *err)
{
    if (!s->head.control)
        data_piece(s, p, n, last);
    else if (!s->skip)
        buf_add(&s->payload, p, n);
    if (!last)
        return 0;
    s->have = 0;
    return s->head.control ? spdy_control_end(s, err) : 0;
}

/* Takes a part of a head, or a part of a payload; a frame without payload ends with its head. */
static int feed_some(struct spdy *s, const uint8_t *p, size_t n, size_t *ret_used, struct err *err)
{
    size_t want = s->have < SPDY_HEAD_SIZE ? SPDY_HEAD_SIZE - s->have : SPDY_HEAD_SIZE + s->head.len - s->have;
    size_t used = n < want ? n : want;
    int rc;

    *ret_used = used;
    s->have += (uint32_t)used;
    if (s->have > SPDY_HEAD_SIZE)
        return frame_piece(s, p, used, used == want, err);
    memcpy(s->head_bytes + s->have - used, p, used);
    if (s->have < SPDY_HEAD_SIZE)
        return 0;
    if ((rc = frame_begin(s, err)) < 0)
        return rc;
    return s->head.len ? 0 : frame_piece(s, p, 0, true, err);
}

static int output_check(const struct spdy *s, struct err *err)
{
    if (spdy_queued(s) <= s->limits.output_max + s->limits.answers_max)
        return 0;
    return err_set(err, GRPC_RESOURCE_EXHAUSTED, ENOBUFS,
                   "SPDY: %zu bytes wait to be sent, and the client makes more without reading them",
                   spdy_queued(s));
}

static int session_fail(struct spdy *s, const struct err *why)
{
    bool limit = why->grpc == GRPC_RESOURCE_EXHAUSTED;

    spdy_goaway(s, limit ? SPDY_GOAWAY_INTERNAL_ERROR : SPDY_GOAWAY_PROTOCOL_ERROR);
    s->failed = mem_dup(why, sizeof(*why));
    buf_done(&s->payload);
    buf_done(&s->inflated);
    spdy_seal(s);
    return err_errno(why);
}

int spdy_feed(struct spdy *s, const void *bytes, size_t n, struct err *err)
{
    const uint8_t *p = bytes;
    struct err why = {0};
    size_t used = 0;

    s->inflate_left = s->limits.header.inflated_max + n * SPDY_INFLATE_RATIO;
    for (; n > 0 && !s->failed; p += used, n -= used)
        if (feed_some(s, p, n, &used, &why) < 0 || output_check(s, &why) < 0)
            (void)!session_fail(s, &why);
    if (!s->failed)
        return 0;
    if (err)
        *err = *s->failed;
    return err_errno(s->failed);
}
