#include "proto/websocket.c"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#define BYTES(s) (s), sizeof(s) - 1

/* A frame as a client sends it; first is the byte with FIN, RSV and opcode. */
static void add_frame(struct buf *b, uint8_t first, const void *p, size_t n)
{
    static const uint8_t mask[4] = {0x37, 0xfa, 0x21, 0x3d};
    uint8_t h[14] = {first, (uint8_t)(0x80 | (n < 126 ? n : n <= UINT16_MAX ? 126 : 127))};
    size_t extended = n < 126 ? 0 : n <= UINT16_MAX ? 2 : 8;

    for (size_t i = 0; i < extended; i++)
        h[2 + i] = (uint8_t)(n >> 8 * (extended - 1 - i));
    memcpy(h + 2 + extended, mask, 4);
    buf_add(b, h, 2 + extended + 4);
    for (size_t i = 0; i < n; i++) {
        char c = (char)(((const uint8_t *)p)[i] ^ mask[i % 4]);
        buf_add(b, &c, 1);
    }
}

/* What happened, as text: "T:Hello B:.. PONG CLOSED(1000) ERR(1002)". */
static void note(struct buf *log, const struct websocket *ws, int r, const struct websocket_message *m)
{
    if (r == WEBSOCKET_MESSAGE) {
        buf_addf(log, "%c%zu:", m->kind == WEBSOCKET_TEXT ? 'T' : 'B', m->len);
        buf_add(log, m->data, m->len < 32 ? m->len : 32);
        buf_adds(log, " ");
    } else if (r == WEBSOCKET_PONG) {
        buf_adds(log, "PONG ");
    } else if (r == WEBSOCKET_CLOSED) {
        buf_addf(log, "CLOSED(%d) ", websocket_close_code(ws));
    } else if (r < 0) {
        buf_addf(log, "ERR(%d) ", websocket_close_code(ws));
    }
}

/* Gives n bytes; returns whether the websocket has ended. */
static bool give(struct websocket *ws, const char *p, size_t n, struct buf *log)
{
    for (;;) {
        struct websocket_message m = {0};
        struct err err = {0};
        size_t used = 0;
        int r = websocket_read(ws, p, n, &used, &m, &err);
        assert_true(used <= n && (r < 0) == (err.grpc != 0));
        p += used;
        n -= used;
        note(log, ws, r, &m);
        if (r < 0 || r == WEBSOCKET_CLOSED)
            return true;
        if (r == WEBSOCKET_NOTHING) {
            assert_int_equal(n, 0);
            return false;
        }
    }
}

static void run(size_t max, const struct buf *in, size_t split, struct buf *log, struct buf *out)
{
    struct websocket *ws = websocket_new(max);
    char *data;
    size_t n;

    if (!give(ws, in->data, split, log))
        give(ws, in->data + split, in->len - split, log);
    websocket_take(ws, &data, &n);
    buf_add(out, data, n);
    free(data);
    websocket_free(ws);
}

struct frame {
    int first;
    const char *p;
    size_t n;
};

/* Each row is one session; its frames end where p is NULL. */
static const struct {
    const char *name;
    struct frame frames[6];
    const char *log;
    const char *out;
    size_t out_len;
} sessions[] = {
    {"text", {{0x81, BYTES("Hello")}}, "T5:Hello ", BYTES("")},
    {"binary", {{0x82, BYTES("a\0b")}}, "B3:a", BYTES("")},
    {"nothing in it", {{0x82, BYTES("")}, {0x81, BYTES("")}}, "B0: T0: ", BYTES("")},
    {"fragments", {{0x01, BYTES("Hel")}, {0x80, BYTES("lo")}}, "T5:Hello ", BYTES("")},
    {"ping within fragments",
     {{0x01, BYTES("Hel")}, {0x89, BYTES("Hello")}, {0x00, BYTES("")}, {0x8a, BYTES("x")}, {0x80, BYTES("lo")}},
     "PONG T5:Hello ",
     BYTES("\x8a\x05Hello")},
    {"pings in a row: the last is answered",
     {{0x89, BYTES("1")}, {0x89, BYTES("")}, {0x89, BYTES("333")}},
     "",
     BYTES("\x8a\x03"
           "333")},
    {"close",
     {{0x88, BYTES("\x03\xe8"
                   "bye")},
      {0x81, BYTES("after")}},
     "CLOSED(1000) ",
     BYTES("\x88\x02\x03\xe8")},
    {"close without a code", {{0x88, BYTES("")}}, "CLOSED(1005) ", BYTES("\x88\x00")},
    {"private code", {{0x88, BYTES("\x0f\xa0")}}, "CLOSED(4000) ", BYTES("\x88\x02\x0f\xa0")},
    {"half a code",
     {{0x88, BYTES("\x03")}},
     "ERR(1002) ",
     BYTES("\x88\x1e\x03\xea"
           "a Close with an invalid code")},
    {"code 1005 sent",
     {{0x88, BYTES("\x03\xed")}},
     "ERR(1002) ",
     BYTES("\x88\x1e\x03\xea"
           "a Close with an invalid code")},
    {"code 999 sent",
     {{0x88, BYTES("\x03\xe7")}},
     "ERR(1002) ",
     BYTES("\x88\x1e\x03\xea"
           "a Close with an invalid code")},
    {"reason not UTF-8",
     {{0x88, BYTES("\x03\xe8\xff")}},
     "ERR(1007) ",
     BYTES("\x88\x23\x03\xef"
           "a Close whose reason is not UTF-8")},
    {"text not UTF-8",
     {{0x81, BYTES("twelve bytes\xc3(")}},
     "ERR(1007) ",
     BYTES("\x88\x18\x03\xef"
           "text that is not UTF-8")},
    {"half a character",
     {{0x81, BYTES("eight by\xc3")}},
     "ERR(1007) ",
     BYTES("\x88\x18\x03\xef"
           "text that is not UTF-8")},
    {"a character in two fragments",
     {{0x01, BYTES("\xe2\x82")}, {0x80, BYTES("\xac")}},
     "T3:\xe2\x82\xac ",
     BYTES("")},
    {"not UTF-8, but binary", {{0x82, BYTES("\xff")}}, "B1:\xff ", BYTES("")},
    {"reserved bit",
     {{0xc1, BYTES("x")}},
     "ERR(1002) ",
     BYTES("\x88\x24\x03\xea"
           "reserved bits without an extension")},
    {"opcode 3",
     {{0x83, BYTES("x")}},
     "ERR(1002) ",
     BYTES("\x88\x13\x03\xea"
           "an unknown opcode")},
    {"opcode 15",
     {{0x8f, BYTES("x")}},
     "ERR(1002) ",
     BYTES("\x88\x13\x03\xea"
           "an unknown opcode")},
    {"ping in fragments",
     {{0x09, BYTES("x")}},
     "ERR(1002) ",
     BYTES("\x88\x20\x03\xea"
           "a frame with an invalid header")},
    {"continues nothing",
     {{0x80, BYTES("x")}},
     "ERR(1002) ",
     BYTES("\x88\x1e\x03\xea"
           "a continuation of no message")},
    {"new within old",
     {{0x01, BYTES("x")}, {0x81, BYTES("y")}},
     "ERR(1002) ",
     BYTES("\x88\x28\x03\xea"
           "a message within an unfinished message")},
    {"too big",
     {{0x82, BYTES("0123456789abcdef0")}},
     "ERR(1009) ",
     BYTES("\x88\x1b\x03\xf1"
           "a message above the limit")},
    {"too big in fragments",
     {{0x02, BYTES("0123456789")}, {0x89, BYTES("")}, {0x80, BYTES("0123456")}},
     "ERR(1009) ",
     BYTES("\x8a\x00\x88\x1b\x03\xf1"
           "a message above the limit")},
    {"as big as allowed",
     {{0x02, BYTES("0123456789")}, {0x80, BYTES("012345")}, {0x82, BYTES("0123456789abcdef")}},
     "B16:0123456789012345 B16:0123456789abcdef ",
     BYTES("")},
};

static void test_sessions_in_every_split(void **state)
{
    size_t variants = 0;
    (void)state;

    for (size_t i = 0; i < countof(sessions); i++) {
        struct buf cleanup_buf in = {0};
        for (const struct frame *f = sessions[i].frames; f->p; f++)
            add_frame(&in, (uint8_t)f->first, f->p, f->n);
        for (size_t split = 0; split <= in.len; split++, variants++) {
            struct buf cleanup_buf log = {0}, cleanup_buf out = {0};
            run(16, &in, split, &log, &out);
            if (strcmp(log.data ? log.data : "", sessions[i].log) != 0 || out.len != sessions[i].out_len ||
                memcmp(out.data ? out.data : "", sessions[i].out, out.len) != 0)
                fail_msg("%s, split at %zu: got %s, %zu bytes out: %s", sessions[i].name, split, log.data,
                         out.len, out.data ? out.data : "");
        }
    }
    print_message("# %zu sessions, %zu splits\n", countof(sessions), variants);
}

static void test_byte_by_byte(void **state)
{
    struct buf cleanup_buf in = {0}, cleanup_buf log = {0};
    static char big[70000];
    struct websocket *ws = websocket_new(0);
    (void)state;

    memset(big, 'b', sizeof(big));
    add_frame(&in, 0x02, big, 200);
    add_frame(&in, 0x89, "p", 1);
    add_frame(&in, 0x80, big, sizeof(big));
    add_frame(&in, 0x81, "end", 3);
    for (size_t i = 0; i < in.len; i++)
        assert_false(give(ws, in.data + i, 1, &log));
    assert_string_equal(log.data, "B70200:bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb T3:end ");
    assert_int_equal(websocket_pending(ws), 3);
    websocket_free(ws);
}

/* RFC 6455 section 5.7 and headers that no add_frame() makes */
static void test_raw_bytes(void **state)
{
    static const struct {
        const char *bytes;
        size_t n;
        const char *log;
    } rows[] = {
        {BYTES("\x81\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58"), "T5:Hello "},
        {BYTES("\x81\x05Hello"), "ERR(1002) "},                        /* no mask */
        {BYTES("\x89\x05Hello"), "ERR(1002) "},                        /* nor in a Ping */
        {BYTES("\x82\xfe\x00\x05\0\0\0\0Hello"), "ERR(1002) "},        /* length not in its shortest form */
        {BYTES("\x82\xff\0\0\0\0\0\0\x01\x00\0\0\0\0"), "ERR(1002) "}, /* nor here */
        {BYTES("\x82\xff\xff\xff\xff\xff\xff\xff\xff\xff\0\0\0\0x"), "ERR(1002) "},
        {BYTES("\x82\xff\x7f\xff\xff\xff\xff\xff\xff\xff\0\0\0\0x"), "ERR(1009) "},
        {BYTES("\x82\xff\0\0\0\0\0\x10\0\x01\0\0\0\0x"), "ERR(1009) "}, /* 1 MiB and 1 */
        {BYTES("\x82\xff\0\0\0\0\0\x10\0\0\0\0\0\0x"), NULL},           /* 1 MiB: waits */
        {BYTES("\x89\xfe\x00\x7e\0\0\0\0"), "ERR(1002) "},              /* a Ping of 126 */
        {BYTES("\x81"), NULL},
        {BYTES(""), NULL},
    };
    (void)state;

    for (size_t i = 0; i < countof(rows); i++) {
        struct buf in = {.data = (char *)rows[i].bytes, .len = rows[i].n};
        struct buf cleanup_buf log = {0}, cleanup_buf out = {0};
        run(0, &in, 0, &log, &out);
        if (rows[i].log)
            assert_string_equal(log.data, rows[i].log);
        else
            assert_null(log.data);
    }
}

static void test_stops_at_each_message(void **state)
{
    struct websocket *ws = websocket_new(0);
    struct websocket_message m;
    struct buf cleanup_buf in = {0};
    size_t used, got = 0, total = 0;
    struct err err;
    (void)state;

    for (int i = 0; i < 3000; i++)
        add_frame(&in, 0x82, "x", 1);
    /* the rest is given again, as an owner does that could not take the first message */
    while (websocket_read(ws, in.data + total, in.len - total, &used, &m, &err) == WEBSOCKET_MESSAGE) {
        assert_int_equal(m.len, 1);
        total += used;
        got++;
        assert_true(total <= got * 7 + 4096);
    }
    assert_int_equal(got, 3000);
    websocket_free(ws);
}

static void test_closing_first(void **state)
{
    struct websocket *ws = websocket_new(0);
    struct buf cleanup_buf in = {0}, cleanup_buf log = {0};
    char *cleanup_free out = NULL, *cleanup_free more = NULL;
    size_t n;
    (void)state;

    assert_true(websocket_is_open(ws));
    assert_int_equal(websocket_close_code(ws), 0);
    websocket_send(ws, WEBSOCKET_BINARY, "last", 4);
    websocket_close(ws, WEBSOCKET_GOING_AWAY, "stop");
    assert_false(websocket_is_open(ws));
    websocket_close(ws, WEBSOCKET_INTERNAL, "again");
    websocket_send(ws, WEBSOCKET_BINARY, "never", 5);
    websocket_ping(ws, "never", 5);
    websocket_take(ws, &out, &n);
    assert_int_equal(n, 6 + 8);
    assert_memory_equal(out, "\x82\x04last\x88\x06\x03\xe9stop", n);

    add_frame(&in, 0x81, "dropped", 7);
    add_frame(&in, 0x89, "not answered", 12);
    assert_false(give(ws, in.data, in.len, &log));
    assert_null(log.data);
    in.len = 0;
    add_frame(&in, 0x88, "\x03\xe8", 2);
    add_frame(&in, 0x81, "unseen", 6);
    assert_true(give(ws, in.data, in.len, &log));
    assert_string_equal(log.data, "CLOSED(1001) ");
    websocket_take(ws, &more, &n);
    assert_int_equal(n, 0);
    assert_string_equal(more, "");
    assert_true(give(ws, in.data, in.len, &log));
    assert_string_equal(log.data, "CLOSED(1001) CLOSED(1001) ");
    websocket_free(ws);
}

static void test_sent_headers(void **state)
{
    static const struct {
        size_t len, header_len;
        const char *header;
    } rows[] = {
        {0, 2, "\x82\x00"},
        {125, 2, "\x82\x7d"},
        {126, 4, "\x82\x7e\x00\x7e"},
        {65535, 4, "\x82\x7e\xff\xff"},
        {65536, 10, "\x82\x7f\0\0\0\0\0\x01\0\0"},
    };
    static char zeros[65536];
    (void)state;

    for (size_t i = 0; i < countof(rows); i++) {
        struct websocket *ws = websocket_new(0);
        char *cleanup_free out = NULL;
        size_t n;
        websocket_send(ws, WEBSOCKET_BINARY, zeros, rows[i].len);
        websocket_take(ws, &out, &n);
        assert_int_equal(n, rows[i].header_len + rows[i].len);
        assert_memory_equal(out, rows[i].header, rows[i].header_len);
        websocket_free(ws);
    }
}

static void test_long_reason_is_cut_between_characters(void **state)
{
    struct websocket *ws = websocket_new(0);
    char reason[200] = "", *cleanup_free out = NULL;
    size_t n;
    (void)state;

    for (int i = 0; i < 66; i++)
        strcat(reason, "\xe2\x82\xac");
    websocket_close(ws, WEBSOCKET_INTERNAL, reason);
    websocket_take(ws, &out, &n);
    assert_int_equal(n, 2 + 2 + 123);
    websocket_free(ws);

    ws = websocket_new(0);
    free_ptr(&out);
    reason[0] = 'x'; /* breaks the first character, so that nothing after it is text */
    websocket_close(ws, WEBSOCKET_INTERNAL, reason);
    websocket_take(ws, &out, &n);
    assert_int_equal(n, 2 + 2 + 1);
    websocket_free(ws);
}

/* 100,000 Pings that nobody reads the answers of, with messages between: one Pong for each thing sent. */
static void test_ping_flood_needs_no_memory(void **state)
{
    struct websocket *ws = websocket_new(0);
    struct buf cleanup_buf in = {0}, cleanup_buf log = {0};
    (void)state;

    add_frame(&in, 0x89, "0123456789", 10);
    for (int i = 0; i < 100000; i++) {
        if (i % 10000 == 0)
            websocket_send(ws, WEBSOCKET_BINARY, "x", 1);
        assert_false(give(ws, in.data, in.len, &log));
    }
    assert_int_equal(websocket_pending(ws), 10 * (3 + 12));
    websocket_free(ws);
}

/* A fragment costs nothing beyond its payload. */
static void test_many_small_fragments(void **state)
{
    struct websocket *ws = websocket_new(4096);
    struct buf cleanup_buf in = {0}, cleanup_buf log = {0};
    (void)state;

    add_frame(&in, 0x02, "x", 1);
    assert_false(give(ws, in.data, in.len, &log));
    in.len = 0;
    add_frame(&in, 0x00, "", 0);
    for (int i = 0; i < 100000; i++)
        assert_false(give(ws, in.data, in.len, &log));
    assert_true(ws->message.cap < 4096);
    websocket_free(ws);
    websocket_free(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_sessions_in_every_split),
        cmocka_unit_test(test_byte_by_byte),
        cmocka_unit_test(test_raw_bytes),
        cmocka_unit_test(test_stops_at_each_message),
        cmocka_unit_test(test_closing_first),
        cmocka_unit_test(test_sent_headers),
        cmocka_unit_test(test_long_reason_is_cut_between_characters),
        cmocka_unit_test(test_ping_flood_needs_no_memory),
        cmocka_unit_test(test_many_small_fragments),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
