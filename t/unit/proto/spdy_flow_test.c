#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <errno.h>
#include <malloc.h>
#include <string.h>

#include "spdy_owner.h"

/* ---- flow control ------------------------------------------------------------------------------------------------ */

static void test_send_window(void **state)
{
    static const char bytes[200000];
    struct spdy_limits l = spdy_limits_default;
    struct owner o;
    struct err err;
    size_t taken;

    (void)state;
    l.session_window = SPDY_WINDOW_INITIAL;
    l.output_max = 1 << 20;
    owner_init(&o, &l);
    client_syn(&o.c, 1, SPDY_FIN, "a=b");
    client_syn(&o.c, 3, SPDY_FIN, "a=b");
    owner_ok(&o);
    assert_int_equal(spdy_room(o.s, 1), 65536);
    assert_int_equal(spdy_data(o.s, 1, bytes, sizeof(bytes), true, &taken, &err), 0);
    assert_int_equal(taken, 65536);
    /* the session has no window left: stream 3 waits, too */
    assert_int_equal(spdy_data(o.s, 3, bytes, 10, false, &taken, &err), 0);
    assert_int_equal(taken, 0);
    expect_sent(&o, "SYN_REPLY 1\nSYN_REPLY 3\nDATA 1 65536\n");
    o.log.len = 0;

    client_control(&o.c, SPDY_WINDOW_UPDATE, 0, 100000);
    owner_ok(&o);
    expect_log(&o, "W 0\n");
    assert_int_equal(spdy_room(o.s, 1), 0);
    assert_int_equal(spdy_room(o.s, 3), 65536);
    client_control(&o.c, SPDY_WINDOW_UPDATE, 1, 5000);
    client_control(&o.c, SPDY_SETTINGS, 1, 7, 60000);
    owner_ok(&o);
    expect_log(&o, "W 1\n");
    assert_int_equal(spdy_room(o.s, 1), 0); /* 5000 - 5536: a window may be negative */
    client_control(&o.c, SPDY_SETTINGS, 1, 7, 100000);
    owner_ok(&o);
    assert_int_equal(spdy_room(o.s, 1), 39464);

    assert_int_equal(spdy_data(o.s, 1, bytes, 30000, true, &taken, &err), 0);
    assert_int_equal(taken, 30000);
    expect_sent(&o, "DATA 1 FIN 30000\n");
    assert_false(spdy_stream_open(o.s, 1));
    assert_int_equal(spdy_data(o.s, 1, "x", 1, true, &taken, &err), -ENOENT);
    /* a FIN alone needs no window */
    assert_int_equal(spdy_data(o.s, 3, bytes, 70000, false, &taken, &err), 0);
    assert_int_equal(taken, 70000);
    assert_int_equal(spdy_room(o.s, 3), 0);
    assert_int_equal(spdy_data(o.s, 3, NULL, 0, true, &taken, &err), 0);
    expect_sent(&o, "DATA 3 65536\nDATA 3 4464\nDATA 3 FIN 0\n");
    assert_int_equal(spdy_streams(o.s), 0);
    owner_done(&o);
}

static void test_flow_ignored(void **state)
{
    static const char bytes[100000];
    struct spdy_limits l = spdy_limits_default;
    struct owner o;
    struct err err;
    size_t taken, sent = 0;

    (void)state;
    l.flow_ignored = true;
    l.session_window = SPDY_WINDOW_INITIAL;
    owner_init(&o, &l);
    o.keep = true;
    client_syn(&o.c, 1, 0, "a=b");
    client_data(&o.c, 1, bytes, sizeof(bytes), false);
    client_data(&o.c, 1, bytes, sizeof(bytes), false);
    owner_ok(&o);
    assert_int_equal(spdy_unread(o.s), 200000);
    expect_sent(&o, "SYN_REPLY 1\n");
    spdy_consumed(o.s, 1, 200000);
    expect_sent(&o, "WINDOW_UPDATE 0 200000\nWINDOW_UPDATE 1 200000\n");
    while (sent < 1000000) {
        assert_int_equal(spdy_data(o.s, 1, bytes, sizeof(bytes), false, &taken, &err), 0);
        assert_true(taken > 0);
        sent += taken;
        expect_sent(&o, NULL);
    }
    client_control(&o.c, SPDY_WINDOW_UPDATE, 0, 0x7fffffff); /* ignored, like all of them */
    owner_ok(&o);
    owner_done(&o);
}

static void test_receive_window(void **state)
{
    static const char bytes[40000];
    struct owner o;

    (void)state;
    owner_init(&o, NULL);
    o.keep = true;
    client_syn(&o.c, 1, 0, "a=b");
    client_data(&o.c, 1, bytes, 40000, false);
    owner_ok(&o);
    expect_sent(&o, "SYN_REPLY 1\n");
    spdy_consumed(o.s, 1, 30000);
    expect_sent(&o, "");
    spdy_consumed(o.s, 1, 10000);
    expect_sent(&o, "WINDOW_UPDATE 0 40000\nWINDOW_UPDATE 1 40000\n");
    client_data(&o.c, 1, bytes, 40000, true);
    owner_ok(&o);
    spdy_consumed(o.s, 1, 40000); /* no more comes on the stream: only the session gets room */
    expect_sent(&o, "WINDOW_UPDATE 0 40000\n");
    /* dropped bytes give the session its room back by themselves */
    for (int i = 0; i < 4; i++)
        client_data(&o.c, 9, bytes, 20000, false);
    owner_ok(&o);
    expect_sent(&o, "RST_STREAM 9 2\nWINDOW_UPDATE 0 40000\nWINDOW_UPDATE 0 40000\n");
    assert_int_equal(spdy_unread(o.s), 0);
    owner_done(&o);
}

static void test_windows_announced(void **state)
{
    struct spdy_limits l = spdy_limits_default;
    struct owner o;

    (void)state;
    l.window = 1 << 20;
    l.session_window = 1 << 21;
    owner_init(&o, &l);
    expect_sent(&o, "SETTINGS 1 7 1048576\nWINDOW_UPDATE 0 2031616\n");
    owner_done(&o);
}

/* ---- sending ----------------------------------------------------------------------------------------------------- */

static void test_reply(void **state)
{
    const struct spdy_header h[] = {{"x-a", "one", 3}, {"x-b", "", 0}};
    struct owner o;
    struct err err;
    size_t taken;

    (void)state;
    owner_init(&o, NULL);
    o.mute = true;
    for (uint32_t id = 1; id <= 7; id += 2)
        client_syn(&o.c, id, 0, "a=b");
    owner_ok(&o);
    assert_int_equal(spdy_data(o.s, 1, "x", 1, false, &taken, &err), -EINVAL);
    assert_int_equal(spdy_room(o.s, 1), 0);
    assert_int_equal(spdy_reply(o.s, 1, h, 2, false, &err), 0);
    assert_int_equal(spdy_reply(o.s, 1, h, 2, false, &err), -EINVAL);
    assert_int_equal(spdy_reply(o.s, 3, NULL, 0, true, &err), 0);
    assert_int_equal(spdy_data(o.s, 3, "x", 1, false, &taken, &err), -EINVAL);
    assert_int_equal(spdy_reply(o.s, 99, NULL, 0, true, &err), -ENOENT);
    cleanup_free char *big = mem_alloc(65536);
    memset(big, 'b', 65535);
    assert_int_equal(spdy_reply(o.s, 5, &(struct spdy_header){"x", big, 65535}, 1, false, &err), -EINVAL);
    assert_int_equal(spdy_reply(o.s, 5, &(struct spdy_header){"x", big, 65535 - 13}, 1, false, &err), 0);
    spdy_rst(o.s, 7, SPDY_INTERNAL_ERROR);
    spdy_rst(o.s, 7, SPDY_INTERNAL_ERROR);
    assert_int_equal(spdy_data(o.s, 1, "x", 1, true, &taken, &err), 0);
    cleanup_free char *want = mem_printf("SYN_REPLY 1 x-a=one x-b=\nSYN_REPLY 3 FIN\nSYN_REPLY 5 x=%.*s\n"
                                         "RST_STREAM 7 6\nDATA 1 FIN 1\n",
                                         65535 - 13, big);
    expect_sent(&o, want);
    owner_done(&o);
}

static void test_data_start(void **state)
{
    uint8_t head[SPDY_HEAD_SIZE];
    struct spdy_head h;
    struct owner o;
    struct err err;
    size_t taken, n;

    (void)state;
    owner_init(&o, NULL);
    client_syn(&o.c, 1, 0, "a=b");
    owner_ok(&o);
    expect_sent(&o, "SYN_REPLY 1\n");
    assert_int_equal(spdy_data_start(o.s, 1, 60000, true, head, &n, &taken, &err), 0);
    spdy_head_parse(head, &h);
    assert_int_equal(h.len, 60000);
    assert_int_equal(h.flags, SPDY_FIN);
    assert_int_equal(taken, 60000);
    assert_int_equal(spdy_data_start(o.s, 1, 1, false, head, &n, &taken, &err), -EINVAL);

    client_syn(&o.c, 3, 0, "a=b");
    owner_ok(&o);
    assert_int_equal(spdy_data_start(o.s, 3, 60000, true, head, &n, &taken, &err), 0);
    spdy_head_parse(head, &h);
    assert_int_equal(taken, 5536);
    assert_int_equal(h.flags, 0);
    assert_int_equal(spdy_data_start(o.s, 3, 60000, true, head, &n, &taken, &err), 0);
    assert_int_equal(n, 0);
    assert_int_equal(taken, 0);
    owner_done(&o);
}

/* The output is what was queued, in order, in whatever pieces it is sent; and it never grows above its limit. */
static void test_output(void **state)
{
    struct spdy_limits l = spdy_limits_default;
    struct owner o;
    struct err err;
    struct buf all = {0}, want = {0};
    char chunk[997];
    size_t taken, n, peak = 0;

    (void)state;
    l.flow_ignored = true;
    l.output_max = 5000;
    owner_init(&o, &l);
    o.mute = true;
    client_syn(&o.c, 1, 0, "a=b");
    owner_ok(&o);
    assert_int_equal(spdy_reply(o.s, 1, NULL, 0, false, &err), 0);
    expect_sent(&o, NULL);
    for (int i = 0; i < 2000; i++) {
        memset(chunk, 'a' + i % 26, sizeof(chunk));
        assert_int_equal(spdy_data(o.s, 1, chunk, sizeof(chunk), false, &taken, &err), 0);
        if (taken) {
            uint8_t head[SPDY_HEAD_SIZE];
            spdy_data_head(head, 1, 0, (uint32_t)taken);
            buf_add(&want, head, sizeof(head));
            buf_add(&want, chunk, taken);
        }
        const uint8_t *p = spdy_output(o.s, &n);
        peak = n > peak ? n : peak;
        n = n < 777 ? n : 777;
        buf_add(&all, p, n);
        spdy_output_sent(o.s, n);
        assert_true(o.s->output.cap <= 32768);
    }
    const uint8_t *p = spdy_output(o.s, &n);
    buf_add(&all, p, n);
    assert_true(peak >= 5000 && peak <= 5000 + SPDY_HEAD_SIZE);
    assert_int_equal(all.len, want.len);
    assert_memory_equal(all.data, want.data, all.len);
    buf_done(&all);
    buf_done(&want);
    owner_done(&o);
}

/* ---- the owner's say --------------------------------------------------------------------------------------------- */

static void test_events_that_reset(void **state)
{
    struct owner o;

    (void)state;
    owner_init(&o, NULL);
    o.rst_in_stream = 1;
    o.rst_in_data = 3;
    client_syn(&o.c, 1, 0, "a=b");
    client_data(&o.c, 1, "gone", 4, true);
    client_syn(&o.c, 3, 0, "a=b");
    owner_ok(&o);
    uint8_t head[SPDY_HEAD_SIZE];
    spdy_data_head(head, 3, SPDY_FIN, 4);
    buf_add(&o.c.wire, head, sizeof(head));
    buf_add(&o.c.wire, "a", 1);
    owner_ok(&o); /* reset within the frame, whose rest is dropped */
    buf_add(&o.c.wire, "bcd", 3);
    client_control(&o.c, SPDY_PING, 5);
    owner_ok(&o);
    expect_log(&o, "+1 a=b,\n+3 a=b,\n3:a\n");
    expect_sent(&o, "RST_STREAM 1 3\nSYN_REPLY 3\nRST_STREAM 3 5\nPING 5\n");
    owner_done(&o);
}

static void test_stream_data(void **state)
{
    struct owner o;

    (void)state;
    owner_init(&o, NULL);
    client_syn(&o.c, 1, 0, "a=b");
    owner_ok(&o);
    assert_null(spdy_stream_data(o.s, 1));
    spdy_set_stream_data(o.s, 1, &o);
    spdy_set_stream_data(o.s, 3, &o);
    assert_ptr_equal(spdy_stream_data(o.s, 1), &o);
    assert_null(spdy_stream_data(o.s, 3));
    assert_int_equal(spdy_stream_next(o.s, 0), 1);
    assert_int_equal(spdy_stream_next(o.s, 1), 0);
    client_syn(&o.c, 7, 0, "a=b");
    client_syn(&o.c, 9, 0, "a=b");
    client_control(&o.c, SPDY_RST_STREAM, 7, SPDY_CANCEL);
    owner_ok(&o);
    assert_int_equal(spdy_stream_next(o.s, 1), 9);
    assert_int_equal(spdy_stream_next(o.s, 9), 0);
    assert_int_equal(spdy_stream_next(o.s, 7), 0);
    client_control(&o.c, SPDY_RST_STREAM, 1, SPDY_CANCEL);
    client_control(&o.c, SPDY_RST_STREAM, 9, SPDY_CANCEL);
    owner_ok(&o);
    assert_int_equal(spdy_stream_next(o.s, 0), 0);
    expect_log(&o, "+1 a=b,\n+7 a=b,\n+9 a=b,\n!7 5\n!1 5\n!9 5\n");
    owner_done(&o);
}

static void test_goaway(void **state)
{
    struct owner o;
    struct err err;
    size_t taken;

    (void)state;
    owner_init(&o, NULL);
    client_syn(&o.c, 1, 0, "a=b");
    owner_ok(&o);
    spdy_goaway(o.s, SPDY_GOAWAY_OK);
    spdy_goaway(o.s, SPDY_GOAWAY_OK);
    client_syn(&o.c, 3, 0, "a=b");
    client_data(&o.c, 3, "dropped", 7, true);
    client_data(&o.c, 1, "x", 1, true);
    owner_ok(&o);
    assert_int_equal(spdy_data(o.s, 1, "y", 1, true, &taken, &err), 0);
    expect_log(&o, "+1 a=b,\n1:x\n1.\n");
    expect_sent(&o, "SYN_REPLY 1\nGOAWAY 1 0\nDATA 1 FIN 1\n");
    assert_int_equal(spdy_streams(o.s), 0);
    owner_done(&o);
}

static void test_seal(void **state)
{
    struct owner o;

    (void)state;
    owner_init(&o, NULL);
    client_syn(&o.c, 1, 0, "a=b");
    owner_ok(&o);
    assert_non_null(o.s->inflater);
    spdy_seal(o.s);
    assert_null(o.s->inflater);
    client_syn(&o.c, 3, 0, "a=b");
    client_frame(&o.c, SPDY_HEADERS, SPDY_FIN, "\0\0\0\1not even zlib", 17);
    owner_ok(&o);
    expect_log(&o, "+1 a=b,\n!3 3 refused\n1.\n");
    expect_sent(&o, "SYN_REPLY 1\nRST_STREAM 3 3\n");
    assert_null(o.s->inflater);
    owner_done(&o);
}

/* ---- many -------------------------------------------------------------------------------------------------------- */

/* How one of many streams ends: by both FINs, by the client's reset, by ours. */
static void end_one(struct owner *o, uint32_t id, int how)
{
    struct err err;
    size_t taken;

    if (how == 0) {
        client_data(&o->c, id, "some bytes", 10, true);
        owner_ok(o);
        assert_int_equal(spdy_data(o->s, id, "back", 4, true, &taken, &err), 0);
    } else if (how == 1) {
        client_control(&o->c, SPDY_RST_STREAM, id, SPDY_CANCEL);
        owner_ok(o);
    } else {
        spdy_rst(o->s, id, SPDY_CANCEL);
        client_data(&o->c, id, "in flight", 9, true);
        owner_ok(o);
    }
}

static void test_many_streams(void **state)
{
    struct spdy_limits l = spdy_limits_default;
    struct owner o;
    size_t held = 0;

    (void)state;
    l.flow_ignored = true;
    owner_init(&o, &l);
    for (uint32_t i = 0; i < 10000; i++) {
        uint32_t id = i * 2 + 1;
        char pairs[64];

        snprintf(pairs, sizeof(pairs), "streamtype=data;port=80;requestid=%u", i);
        client_syn(&o.c, id, 0, pairs);
        owner_ok(&o);
        assert_int_equal(spdy_streams(o.s), 1);
        end_one(&o, id, (int)(i % 3));
        assert_int_equal(spdy_streams(o.s), 0);
        o.log.len = 0;
        expect_sent(&o, NULL);
        if (i == 100)
            held = mallinfo2().uordblks;
    }
    assert_true(mallinfo2().uordblks <= held + 4096); /* ASan's malloc says 0, and finds the leak itself */
    owner_done(&o);
}

/* All at once: what is above the limit is refused, the others work, and all memory comes back. */
static void test_many_at_once(void **state)
{
    struct owner o;
    size_t taken, n;

    (void)state;
    owner_init(&o, NULL);
    o.mute = true;
    for (uint32_t i = 0; i < 10000; i++) {
        client_syn(&o.c, i * 2 + 1, SPDY_FIN, "a=b");
        owner_ok(&o);
        spdy_output(o.s, &n);
        spdy_output_sent(o.s, n);
    }
    assert_int_equal(spdy_streams(o.s), 2048);
    for (uint32_t i = 0; i < 2048; i++) {
        struct err err;
        assert_int_equal(spdy_reply(o.s, i * 2 + 1, NULL, 0, false, &err), 0);
        assert_int_equal(spdy_data(o.s, i * 2 + 1, "x", 1, true, &taken, &err), 0);
        expect_sent(&o, NULL);
    }
    assert_int_equal(spdy_streams(o.s), 0);
    owner_done(&o);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_send_window),    cmocka_unit_test(test_flow_ignored),
        cmocka_unit_test(test_receive_window), cmocka_unit_test(test_windows_announced),
        cmocka_unit_test(test_reply),          cmocka_unit_test(test_data_start),
        cmocka_unit_test(test_output),         cmocka_unit_test(test_events_that_reset),
        cmocka_unit_test(test_stream_data),    cmocka_unit_test(test_goaway),
        cmocka_unit_test(test_seal),           cmocka_unit_test(test_many_streams),
        cmocka_unit_test(test_many_at_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
