#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <errno.h>
#include <string.h>

#include "spdy_owner.h"

/* ---- a whole session --------------------------------------------------------------------------------------------- */

static void session_write(struct client *c)
{
    client_control(c, SPDY_SETTINGS, 2, 0x01000004, 100, 7, 70000);
    client_syn(c, 1, 0, "streamtype=error");
    client_syn(c, 3, 0, "streamtype=stdin;x-multi=a|b");
    client_control(c, SPDY_PING, 1);
    client_control(c, SPDY_PING, 2);
    client_data(c, 3, "hello", 5, false);
    client_syn(c, 5, SPDY_FIN, "streamtype=stdout");
    client_control(c, SPDY_WINDOW_UPDATE, 5, 1000);
    client_control(c, SPDY_WINDOW_UPDATE, 0, 1000);
    client_data(c, 3, "", 0, false);
    client_headers(c, SPDY_HEADERS, 3, 0, "later=yes");
    client_frame(c, 77, 0, "ignored", 7);
    client_data(c, 3, "bye", 3, true);
    client_headers(c, SPDY_HEADERS, 1, SPDY_FIN, "trailer=yes");
    client_syn(c, 7, 0, "Streamtype=Upper");
    client_syn(c, 9, 0, "streamtype=resize");
    client_control(c, SPDY_RST_STREAM, 9, SPDY_CANCEL);
    client_control(c, SPDY_RST_STREAM, 9, SPDY_CANCEL);
    client_data(c, 11, "unknown", 7, false);
    client_data(c, 11, "unknown", 7, false);
    client_control(c, SPDY_GOAWAY, 0, 0);
}

static const char session_log[] = "W 0\n+1 streamtype=error,\n+3 streamtype=stdin, x-multi=a,b,\n"
                                  "3:h\n3:e\n3:l\n3:l\n3:o\n+5 streamtype=stdout, FIN\nW 5\nW 0\n"
                                  "3:b\n3:y\n3:e\n3.\n1.\n!7 1 refused\n+9 streamtype=resize,\n!9 5\nG 0\n";
static const char session_sent[] =
    "SYN_REPLY 1\nSYN_REPLY 3\nPING 1\nSYN_REPLY 5\nRST_STREAM 7 1\nSYN_REPLY 9\n"
    "RST_STREAM 11 2\n";

static void test_session(void **state)
{
    struct owner o;

    (void)state;
    owner_init(&o, NULL);
    session_write(&o.c);
    owner_ok(&o);
    expect_log(&o, session_log);
    expect_sent(&o, session_sent);
    assert_int_equal(spdy_streams(o.s), 3);
    owner_done(&o);
}

static void feed_part(struct owner *o, const char *p, size_t n, size_t step)
{
    struct err err;

    for (size_t at = 0; at < n; at += step) {
        size_t k = n - at < step ? n - at : step;
        cleanup_free char *exact = mem_dup(p + at, k); /* ASan sees a read behind the piece */
        assert_int_equal(spdy_feed(o->s, exact, k, &err), 0);
    }
}

static void test_every_split(void **state)
{
    struct client c;
    size_t variants = 0;

    (void)state;
    client_init(&c);
    session_write(&c);
    for (size_t cut = 0; cut <= c.wire.len; cut++, variants++) {
        struct owner o;
        owner_init(&o, NULL);
        feed_part(&o, c.wire.data, cut, cut ? cut : 1);
        feed_part(&o, c.wire.data + cut, c.wire.len - cut, c.wire.len);
        expect_log(&o, session_log);
        expect_sent(&o, session_sent);
        owner_done(&o);
    }
    for (size_t step = 1; step < 40; step++, variants++) {
        struct owner o;
        owner_init(&o, NULL);
        feed_part(&o, c.wire.data, c.wire.len, step);
        expect_log(&o, session_log);
        expect_sent(&o, session_sent);
        owner_done(&o);
    }
    print_message("# %zu ways to cut a session of %zu bytes\n", variants, c.wire.len);
    client_done(&c);
}

/* The client goes away, or lies, at each byte: nothing crashes or leaks (ASan), and what fails says why and GOAWAY. */
static void test_broken_at_every_byte(void **state)
{
    struct client c;
    size_t variants = 0, failed = 0;

    (void)state;
    client_init(&c);
    session_write(&c);
    for (size_t at = 0; at < c.wire.len; at++) {
        static const uint8_t flips[] = {0, 1, 0x80, 0xff};
        for (size_t f = 0; f < countof(flips); f++, variants++) {
            struct owner o;
            struct err err = {0}, again = {0};
            size_t n;

            owner_init(&o, NULL);
            cleanup_free char *copy = mem_dup(c.wire.data, c.wire.len);
            copy[at] = (char)(copy[at] ^ flips[f]);
            int rc = spdy_feed(o.s, copy, flips[f] ? c.wire.len : at, &err);
            if (!flips[f])
                assert_int_equal(rc, 0);
            if (rc < 0) {
                failed++;
                assert_true(err.grpc == GRPC_INVALID_ARGUMENT || err.grpc == GRPC_RESOURCE_EXHAUSTED);
                assert_int_equal(spdy_feed(o.s, "x", 1, &again), rc);
                assert_string_equal(again.msg, err.msg);
                const uint8_t *out = spdy_output(o.s, &n);
                assert_int_equal(out[n - 13], SPDY_GOAWAY);
            }
            owner_done(&o);
        }
    }
    assert_true(failed > 100);
    print_message("# %zu broken sessions, %zu refused\n", variants, failed);
    client_done(&c);
}

/* ---- faults ------------------------------------------------------------------------------------------------------ */

static void write_bomb(struct client *c)
{
    cleanup_free char *zeros = mem_alloc(200000);
    client_raw(c, SPDY_SYN_STREAM, 3, 0, zeros, 200000);
}

/* Each is within the limits; all of them in one call are not. */
static void write_small_bombs(struct client *c)
{
    cleanup_free char *pairs = mem_alloc(16001);
    memset(pairs, 'v', 16000);
    pairs[1] = '=';
    for (uint32_t id = 3; id < 203; id += 2)
        client_syn(c, id, 0, pairs);
}

static void write_long_name(struct client *c)
{
    char pairs[300] = {0};
    memset(pairs, 'n', 257);
    pairs[257] = '=';
    client_syn(c, 3, 0, pairs);
}

static void write_long_value(struct client *c)
{
    cleanup_free char *pairs = mem_alloc(17000);
    memset(pairs, 'v', 16999);
    pairs[1] = '=';
    client_syn(c, 3, 0, pairs);
}

static void write_many_headers(struct client *c)
{
    struct buf cleanup_buf b = {0};
    for (int i = 0; i < 65; i++)
        buf_addf(&b, "n%d=v;", i);
    client_syn(c, 3, 0, b.data);
}

static void write_long_block(struct client *c)
{
    spdy_put_head(&c->wire, SPDY_SYN_STREAM, 0, 10 + 16 * 1024 + 1);
}

static void write_wrong_dictionary(struct client *c)
{
    client_frame(c, SPDY_SYN_STREAM, 0, "\0\0\0\3\0\0\0\0\0\0\x78\xbb\1\2\3\4\0\0\0\377\377", 21);
}

static void write_no_zlib(struct client *c)
{
    client_frame(c, SPDY_SYN_STREAM, 0, "\0\0\0\3\0\0\0\0\0\0nonsense", 18);
}

static void write_stream_end(struct client *c)
{
    static const uint8_t end[] = {0x78, 0xbb, 0xe3, 0xc6, 0xa7, 0xc2, 1, 4, 0, 0xfb,
                                  0xff, 0,    0,    0,    0,    0,    4, 0, 1};
    uint8_t payload[10 + sizeof(end)] = {0, 0, 0, 3};
    memcpy(payload + 10, end, sizeof(end));
    client_frame(c, SPDY_SYN_STREAM, 0, payload, sizeof(payload));
}

static void write_version(struct client *c)
{
    buf_add(&c->wire, "\x80\2\0\6\0\0\0\4\0\0\0\1", 12);
}

static void write_even(struct client *c)
{
    client_syn(c, 2, 0, "a=b");
}

static void write_zero(struct client *c)
{
    client_syn(c, 0, 0, "a=b");
}

static void write_down(struct client *c)
{
    client_syn(c, 5, 0, "a=b");
    client_syn(c, 3, 0, "a=b");
}

static void write_reply(struct client *c)
{
    client_frame(c, SPDY_SYN_REPLY, 0, "\0\0\0\1", 4);
}

static void write_stream_0(struct client *c)
{
    client_data(c, 0, "x", 1, false);
}

static void write_window_0(struct client *c)
{
    client_control(c, SPDY_WINDOW_UPDATE, 0, 0);
}

static void write_window_over(struct client *c)
{
    client_control(c, SPDY_WINDOW_UPDATE, 0, 0x7fffffff);
}

static void write_settings_count(struct client *c)
{
    client_control(c, SPDY_SETTINGS, 2, 7, 1000);
}

static void write_settings_many(struct client *c)
{
    spdy_put_head(&c->wire, SPDY_SETTINGS, 0, 4 + 257 * 8);
}

static void write_settings_window(struct client *c)
{
    client_control(c, SPDY_SETTINGS, 1, 7, 0x80000000);
}

static void write_short_rst(struct client *c)
{
    client_control(c, SPDY_RST_STREAM, 1);
}

static void write_long_ping(struct client *c)
{
    client_control(c, SPDY_PING, 1, 1);
}

static void write_long_unknown(struct client *c)
{
    spdy_put_head(&c->wire, 99, 0, 16 * 1024 + 1);
}

static void write_session_overrun(struct client *c)
{
    uint8_t head[SPDY_HEAD_SIZE];
    spdy_data_head(head, 1, 0, 65537);
    buf_add(&c->wire, head, sizeof(head));
}

static void write_pings(struct client *c)
{
    for (int i = 0; i < 40000; i++)
        client_control(c, SPDY_PING, 1);
}

static void test_session_faults(void **state)
{
    static const struct {
        void (*write)(struct client *c);
        int rc;
        const char *says;
        int status;
    } rows[] = {
        {write_bomb, -EMSGSIZE, "inflates to more than 65536", 2},
        {write_small_bombs, -EMSGSIZE, "inflates to more than", 2},
        {write_long_name, -EMSGSIZE, "header name of 257 bytes: at most 256", 2},
        {write_long_value, -EMSGSIZE, "header value of 16997 bytes: at most 16384", 2},
        {write_many_headers, -EMSGSIZE, "65 headers: at most 64", 2},
        {write_long_block, -EMSGSIZE, "SYN_STREAM frame (type 1) of 16395 bytes: at most 16394", 2},
        {write_no_zlib, -EPROTO, "zlib finds", 1},
        {write_version, -EPROTO, "version 2: only 3", 1},
        {write_even, -EPROTO, "stream 2: a client's ids are odd", 1},
        {write_zero, -EPROTO, "stream 0: a client's ids are odd", 1},
        {write_down, -EPROTO, "stream 3 after that of 5", 1},
        {write_reply, -EPROTO, "SYN_REPLY of stream 1", 1},
        {write_stream_0, -EPROTO, "stream 0, which does not exist", 1},
        {write_window_0, -EPROTO, "by 0", 1},
        {write_window_over, -EPROTO, "at most 2147483647", 1},
        {write_settings_count, -EPROTO, "SETTINGS of 12 bytes cannot have 2 entries", 1},
        {write_settings_many, -EMSGSIZE, "SETTINGS frame", 2},
        {write_settings_window, -EPROTO, "initial window of 2147483648", 1},
        {write_short_rst, -EPROTO, "RST_STREAM frame of 4 bytes: it has at least 8", 1},
        {write_long_ping, -EMSGSIZE, "PING frame (type 6) of 8 bytes: at most 4", 2},
        {write_long_unknown, -EMSGSIZE, "? frame (type 99) of 16385 bytes", 2},
        {write_session_overrun, -EPROTO, "session's window has 65536 left", 1},
        {write_pings, -ENOBUFS, "wait to be sent", 2},
    };

    (void)state;
    for (size_t i = 0; i < countof(rows); i++) {
        struct owner o;
        struct err err = {0};
        struct buf cleanup_buf text = {0};
        size_t n;

        owner_init(&o, NULL);
        client_syn(&o.c, 1, 0, "a=b");
        owner_ok(&o);
        rows[i].write(&o.c);
        int rc = owner_feed(&o, &err);
        if (rc != rows[i].rc || !strstr(err.msg, rows[i].says))
            fail_msg("row %zu: %d, %s", i, rc, err.msg);
        const uint8_t *p = spdy_output(o.s, &n);
        read_frames(&o.c, p, n, &text);
        cleanup_free char *goaway = mem_printf("GOAWAY %u %d\n", o.s->last_id, rows[i].status);
        assert_true(text.len >= strlen(goaway));
        assert_string_equal(text.data + text.len - strlen(goaway), goaway);
        /* it stays so, and takes nothing more */
        size_t taken;
        assert_int_equal(spdy_feed(o.s, "x", 1, NULL), rc);
        assert_int_equal(spdy_data(o.s, 1, "x", 1, true, &taken, &err), -ENOENT);
        assert_int_equal(spdy_reply(o.s, 1, NULL, 0, true, &err), -ENOENT);
        spdy_rst(o.s, 1, SPDY_CANCEL);
        assert_int_equal(spdy_room(o.s, 1), 0);
        assert_int_equal(spdy_queued(o.s), n);
        owner_done(&o);
    }
}

/* The first block of a connection says which dictionary it is for, and that it goes on. */
static void test_first_block_faults(void **state)
{
    static const struct {
        void (*write)(struct client *c);
        const char *says;
    } rows[] = {
        {write_wrong_dictionary, "another dictionary"}, {write_stream_end, "its end"}, {write_no_zlib, "zlib"}};

    (void)state;
    for (size_t i = 0; i < countof(rows); i++) {
        struct owner o;
        struct err err = {0};

        owner_init(&o, NULL);
        rows[i].write(&o.c);
        assert_int_equal(owner_feed(&o, &err), -EPROTO);
        if (!strstr(err.msg, rows[i].says))
            fail_msg("row %zu: %s", i, err.msg);
        owner_done(&o);
    }
}

static void test_stream_faults(void **state)
{
    struct owner o;

    (void)state;
    owner_init(&o, NULL);
    client_syn(&o.c, 1, SPDY_FIN, "a=b");
    client_data(&o.c, 1, "late", 4, false);
    owner_ok(&o);
    expect_log(&o, "+1 a=b, FIN\n!1 9 refused\n");
    assert_non_null(strstr(o.refused, "came behind its FIN"));
    expect_sent(&o, "SYN_REPLY 1\nRST_STREAM 1 9\n");

    client_syn(&o.c, 3, SPDY_FIN, "a=b");
    client_headers(&o.c, SPDY_HEADERS, 3, 0, "late=1");
    client_syn(&o.c, 5, 0, "a=b");
    client_syn(&o.c, 5, 0, "a=b");
    client_data(&o.c, 5, "in flight", 9, true);
    client_syn(&o.c, 7, SPDY_UNIDIRECTIONAL, "a=b");
    client_syn(&o.c, 9, 0, "a=b");
    client_headers(&o.c, SPDY_HEADERS, 9, 0, "a=1;a=2");
    client_headers(&o.c, SPDY_HEADERS, 99, 0, "a=1");
    client_syn(&o.c, 11, 0, "a=b");
    client_control(&o.c, SPDY_WINDOW_UPDATE, 11, 0);
    client_syn(&o.c, 13, 0, "a=b");
    client_control(&o.c, SPDY_WINDOW_UPDATE, 13, 0x7fffffff);
    client_control(&o.c, SPDY_WINDOW_UPDATE, 13, 10);
    owner_ok(&o);
    expect_log(&o, "+3 a=b, FIN\n!3 9 refused\n+5 a=b,\n!5 1 refused\n!7 3 refused\n+9 a=b,\n!9 1 refused\n"
                   "+11 a=b,\n!11 1 refused\n+13 a=b,\n!13 7 refused\n");
    expect_sent(
        &o, "SYN_REPLY 3\nRST_STREAM 3 9\nSYN_REPLY 5\nRST_STREAM 5 1\nRST_STREAM 7 3\nSYN_REPLY 9\n"
            "RST_STREAM 9 1\nRST_STREAM 99 2\nSYN_REPLY 11\nRST_STREAM 11 1\nSYN_REPLY 13\nRST_STREAM 13 7\n");
    assert_int_equal(spdy_streams(o.s), 0);
    owner_done(&o);
}

static void test_limits_of_a_stream(void **state)
{
    struct spdy_limits l = spdy_limits_default;
    struct owner o;

    (void)state;
    l.streams_max = 2;
    l.data_max = 10;
    l.window = 100;
    l.session_window = SPDY_WINDOW_INITIAL;
    owner_init(&o, &l);
    expect_sent(&o, "SETTINGS 1 7 100\n");
    o.mute = true;
    client_syn(&o.c, 1, 0, "a=b");
    client_syn(&o.c, 3, 0, "a=b");
    client_syn(&o.c, 5, 0, "a=b");
    client_data(&o.c, 1, "0123456789", 10, false);
    client_data(&o.c, 1, "0123456789A", 11, false);
    client_syn(&o.c, 7, 0, "a=b");
    owner_ok(&o);
    expect_log(&o, "+1 a=b,\n+3 a=b,\n!5 3 refused\n1:0\n1:1\n1:2\n1:3\n1:4\n1:5\n1:6\n1:7\n1:8\n1:9\n"
                   "!1 11 refused\n+7 a=b,\n");
    expect_sent(&o, "RST_STREAM 5 3\nRST_STREAM 1 11\n");
    o.keep = true;
    for (int i = 0; i < 11; i++)
        client_data(&o.c, 3, "0123456789", 10, false);
    owner_ok(&o);
    expect_sent(&o, "RST_STREAM 3 7\n");
    assert_non_null(strstr(o.refused, "its window has 0 left"));
    assert_int_equal(spdy_unread(o.s), 100);
    spdy_consumed(o.s, 3, 100);
    expect_sent(&o, "");
    owner_done(&o);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_session),
        cmocka_unit_test(test_every_split),
        cmocka_unit_test(test_broken_at_every_byte),
        cmocka_unit_test(test_session_faults),
        cmocka_unit_test(test_first_block_faults),
        cmocka_unit_test(test_stream_faults),
        cmocka_unit_test(test_limits_of_a_stream),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
