/* Frames with proto/websocket.c as the server at the other end, and a server that breaks the rules. */
#include "cli/frames.c"
#include "core/mem.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#define BYTES(s) (s), sizeof(s) - 1

/* What the server's bytes mean, read in pieces of `step`: "1:hello. PING(x) CLOSE ERR". */
static void read_in_steps(const char *p, size_t n, size_t step, struct buf *log, struct err *err)
{
    struct frames f = {0};
    unsigned channel = UINT16_MAX;
    int r = 0;

    for (size_t used = 0; n > 0 && r >= 0; p += used, n -= used) {
        struct frames_piece piece = {0};
        r = frames_read(&f, p, step < n ? step : n, &used, &piece, err);
        if (r == FRAMES_DATA) {
            if (channel != piece.channel)
                buf_addf(log, "%u:", channel = piece.channel);
            buf_add(log, piece.data, piece.len);
            if (piece.ends) {
                buf_adds(log, ". ");
                channel = UINT16_MAX;
            }
        } else if (r == FRAMES_PING) {
            buf_addf(log, "PING(%.*s) ", (int)f.control_len, (const char *)f.control);
        } else if (r == FRAMES_CLOSE) {
            buf_addf(log, "CLOSE(%zu) ", f.control_len);
        }
    }
    if (r < 0)
        buf_adds(log, "ERR");
}

static void means(const char *p, size_t n, const char *want)
{
    for (size_t step = 1; step <= n; step++) {
        cleanup_buf struct buf log = {0};
        struct err err = {0};
        read_in_steps(p, n, step, &log, &err);
        assert_string_equal(log.data ? log.data : "", want);
    }
}

static void reads_the_server(void **state)
{
    struct websocket *ws = websocket_new(0);
    cleanup_free char *out = NULL, *big = mem_alloc(70000);
    cleanup_buf struct buf log = {0};
    struct err err = {0};
    size_t n;
    (void)state;

    websocket_send(ws, WEBSOCKET_BINARY, BYTES("\1hello"));
    websocket_send(ws, WEBSOCKET_BINARY, BYTES(""));
    websocket_send(ws, WEBSOCKET_BINARY, BYTES("\2"));
    websocket_ping(ws, BYTES("there?"));
    websocket_send(ws, WEBSOCKET_BINARY, BYTES("\3{}"));
    websocket_close(ws, WEBSOCKET_NORMAL, "bye");
    websocket_take(ws, &out, &n);
    means(out, n, "1:hello. 2:. PING(there?) 3:{}. CLOSE(5) ");
    websocket_free(ws);

    ws = websocket_new(0);
    memset(big, 'x', 70000);
    big[0] = 1;
    big[69999] = '!';
    websocket_send(ws, WEBSOCKET_BINARY, big, 300);
    websocket_send(ws, WEBSOCKET_BINARY, big, 70000);
    free_ptr(&out);
    websocket_take(ws, &out, &n);
    read_in_steps(out, n, 4096, &log, &err);
    assert_int_equal(log.len, 2 * strlen("1:. ") + 299 + 69999);
    assert_string_equal(log.data + log.len - 4, "x!. ");
    websocket_free(ws);
}

static void reads_fragments(void **state)
{
    (void)state;
    means(BYTES("\x02\x00\x00\x02\x01"
                "a\x89\x01p\x00\x00\x80\x01"
                "b\x82\x00"),
          "1:aPING(p) b. ");
    means(BYTES("\x02\x02\x01x\x80\x00"), "1:x. ");
}

static void refuses(void **state)
{
    static const struct {
        const char *bytes;
        size_t n;
        const char *why;
    } rows[] = {
        {BYTES("\x82\x81mmmm\1"), "masked"},
        {BYTES("\xc2\x01\1"), "reserved bits"},
        {BYTES("\x81\x01x"), "text"},
        {BYTES("\x83\x01x"), "unknown opcode"},
        {BYTES("\x8b\x00"), "unknown opcode"},
        {BYTES("\x80\x01x"), "continuation of no message"},
        {BYTES("\x02\x01\1\x82\x01\1"), "within an unfinished"},
        {BYTES("\x09\x00"), "control frame"},
        {BYTES("\x89\x7e\x00\x7e"), "control frame"},
        {BYTES("\x88\x01\x03"), "half a code"},
        {BYTES("\x82\x7e\x00\x7d"), "invalid length"},
        {BYTES("\x82\x7f\0\0\0\0\0\0\xff\xff"), "invalid length"},
        {BYTES("\x82\x7f\x80\0\0\0\0\0\0\0"), "invalid length"},
    };
    (void)state;

    for (size_t i = 0; i < countof(rows); i++)
        for (size_t step = 1; step <= rows[i].n; step++) {
            cleanup_buf struct buf log = {0};
            struct err err = {0};
            read_in_steps(rows[i].bytes, rows[i].n, step, &log, &err);
            if (!err.grpc || !strstr(err.msg, rows[i].why))
                fail_msg("row %zu: %s, %s", i, log.data, err.msg);
        }
}

/* All lengths at which the header's form changes, as the server reads them. */
static void writes_what_the_server_reads(void **state)
{
    static const size_t lengths[] = {0, 1, 124, 125, 126, 65534, 65535, 65536, 200000};
    struct websocket *ws = websocket_new(0);
    cleanup_buf struct buf out = {0};
    (void)state;

    for (size_t i = 0; i < countof(lengths); i++) {
        cleanup_free uint8_t *data = mem_alloc(lengths[i]);
        struct websocket_message m = {0};
        struct err err = {0};
        size_t used;
        memset(data, (int)(i + 1), lengths[i]);
        out.len = 0;
        frames_put_data(&out, 4, data, lengths[i]);
        assert_int_equal(websocket_read(ws, out.data, out.len, &used, &m, &err), WEBSOCKET_MESSAGE);
        assert_int_equal(used, out.len);
        assert_int_equal(m.kind, WEBSOCKET_BINARY);
        assert_int_equal(m.len, lengths[i] + 1);
        assert_int_equal(m.data[0], 4);
        assert_memory_equal(m.data + 1, data, lengths[i]);
    }
    websocket_free(ws);
}

static void writes_control_frames(void **state)
{
    struct websocket *ws = websocket_new(0);
    cleanup_buf struct buf out = {0};
    struct websocket_message m;
    struct err err = {0};
    size_t used;
    (void)state;

    frames_put_control(&out, FRAMES_OP_PONG, BYTES("there?"));
    assert_int_equal(websocket_read(ws, out.data, out.len, &used, &m, &err), WEBSOCKET_PONG);
    out.len = 0;
    frames_put_close(&out, WEBSOCKET_NORMAL);
    assert_int_equal(websocket_read(ws, out.data, out.len, &used, &m, &err), WEBSOCKET_CLOSED);
    assert_int_equal(websocket_close_code(ws), 1000);
    websocket_free(ws);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_the_server),
        cmocka_unit_test(reads_fragments),
        cmocka_unit_test(refuses),
        cmocka_unit_test(writes_what_the_server_reads),
        cmocka_unit_test(writes_control_frames),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
