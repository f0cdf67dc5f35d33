#include "proto/channel.c"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#define BYTES(s) (s), sizeof(s) - 1

static const struct stream_protocol *protocol(enum stream_use use, const char *name)
{
    const struct stream_protocol *p = NULL;
    struct err err;

    assert_int_equal(stream_protocol_choose(STREAM_WEBSOCKET, use, name, &p, &err), 0);
    return p;
}

static void assert_out(struct websocket *ws, const char *bytes, size_t n)
{
    char *cleanup_free out = NULL;
    size_t got;

    websocket_take(ws, &out, &got);
    assert_int_equal(got, n);
    assert_memory_equal(out, bytes, n);
}

static const struct channel_streams all_streams = {true, true, true}, only_out = {false, true, false};
#define ALL                                                                                                    \
    {                                                                                                          \
        true, true, true                                                                                       \
    }
#define ONLY_OUT                                                                                               \
    {                                                                                                          \
        false, true, false                                                                                     \
    }

static void test_opening(void **state)
{
    static const struct {
        const char *name;
        struct channel_streams streams;
        const char *out;
        size_t n;
    } rows[] = {
        {"v5.channel.k8s.io", {true, true, true}, BYTES("\x82\x01\x01")},
        {"v4.channel.k8s.io", {true, false, true}, BYTES("\x82\x01\x02")},
        {"channel.k8s.io", {true, false, false}, BYTES("\x82\x01\x03")},
        {"", {true, true, false}, BYTES("\x82\x01\x01")},
        {"v4.base64.channel.k8s.io",
         {true, true, true},
         BYTES("\x81\x01"
               "1")},
        {"base64.channel.k8s.io",
         {true, false, false},
         BYTES("\x81\x01"
               "3")},
    };
    (void)state;

    for (size_t i = 0; i < countof(rows); i++) {
        struct websocket *ws = websocket_new(0);
        struct channels channels;
        channels_open_command(&channels, protocol(STREAM_COMMAND, rows[i].name), rows[i].streams, ws);
        assert_out(ws, rows[i].out, rows[i].n);
        websocket_free(ws);
    }
}

static void test_reading(void **state)
{
    static const struct {
        const char *name;
        struct channel_streams streams;
        const char *message;
        size_t n;
        int kind; /* enum channel_event_kind; -1: refused */
        unsigned channel;
        const char *data;
        size_t len;
    } rows[] = {
        {"v4.channel.k8s.io", ALL, BYTES("\0abc"), CHANNEL_DATA, 0, BYTES("abc")},
        {"v4.channel.k8s.io", ALL, BYTES("\4{}"), CHANNEL_DATA, 4, BYTES("{}")},
        {"v4.channel.k8s.io", ALL, BYTES("\1abc"), CHANNEL_NOTHING, 0, "", 0},
        {"v4.channel.k8s.io", ALL, BYTES("\3abc"), CHANNEL_NOTHING, 0, "", 0},
        {"v4.channel.k8s.io", ALL, BYTES("\5abc"), CHANNEL_NOTHING, 0, "", 0},
        {"v4.channel.k8s.io", ALL, BYTES("\xff\0"), CHANNEL_NOTHING, 0, "", 0},
        {"v4.channel.k8s.io", ALL, BYTES("\0"), CHANNEL_NOTHING, 0, "", 0},
        {"v4.channel.k8s.io", ALL, BYTES(""), CHANNEL_NOTHING, 0, "", 0},
        {"v4.channel.k8s.io", ONLY_OUT, BYTES("\0abc"), CHANNEL_NOTHING, 0, "", 0},
        {"", ALL, BYTES("\0abc"), CHANNEL_DATA, 0, BYTES("abc")},
        {"v5.channel.k8s.io", ALL, BYTES("\xff\0"), CHANNEL_CLOSED, 0, "", 0},
        {"v5.channel.k8s.io", ALL, BYTES("\xff\4"), CHANNEL_CLOSED, 4, "", 0},
        {"v5.channel.k8s.io", ALL, BYTES("\xff\1"), CHANNEL_NOTHING, 1, "", 0},
        {"v5.channel.k8s.io", ONLY_OUT, BYTES("\xff\0"), CHANNEL_NOTHING, 0, "", 0},
        {"v5.channel.k8s.io", ALL, BYTES("\xff"), -1, 0, "", 0},
        {"v5.channel.k8s.io", ALL, BYTES("\xff\0\0"), -1, 0, "", 0},
        {"v5.channel.k8s.io", ALL, BYTES("\xff\5"), -1, 0, "", 0},
        {"v5.channel.k8s.io", ALL, BYTES("\xff\xff"), -1, 0, "", 0},
        {"base64.channel.k8s.io", ALL, BYTES("0YWJj"), CHANNEL_DATA, 0, BYTES("abc")},
        {"v4.base64.channel.k8s.io", ALL, BYTES("0YQ=="), CHANNEL_DATA, 0, BYTES("a")},
        {"v4.base64.channel.k8s.io", ALL, BYTES("4e30="), CHANNEL_DATA, 4, BYTES("{}")},
        {"v4.base64.channel.k8s.io", ALL, BYTES("0"), CHANNEL_NOTHING, 0, "", 0},
        {"v4.base64.channel.k8s.io", ALL, BYTES("1YWJj"), CHANNEL_NOTHING, 0, "", 0},
        {"v4.base64.channel.k8s.io", ALL, BYTES("\0YWJj"), CHANNEL_NOTHING, 0, "", 0},
        {"v4.base64.channel.k8s.io", ALL, BYTES("0YWJ"), -1, 0, "", 0},
        {"v4.base64.channel.k8s.io", ALL, BYTES("0YWJ!"), -1, 0, "", 0},
        {"v4.base64.channel.k8s.io", ALL, BYTES("0===="), -1, 0, "", 0},
    };
    (void)state;

    for (size_t i = 0; i < countof(rows); i++) {
        struct websocket *ws = websocket_new(0);
        struct channels channels;
        struct channel_event event;
        uint8_t data[16];
        struct err err = {0};
        memcpy(data, rows[i].message, rows[i].n);
        channels_open_command(&channels, protocol(STREAM_COMMAND, rows[i].name), rows[i].streams, ws);
        int r = channel_read(&channels, &(struct websocket_message){WEBSOCKET_BINARY, data, rows[i].n}, &event,
                             &err);
        assert_int_equal(r < 0, rows[i].kind < 0);
        assert_int_equal(err.grpc, r < 0 ? GRPC_INVALID_ARGUMENT : 0);
        assert_int_equal(websocket_is_open(ws), r == 0);
        if (r == 0) {
            assert_int_equal(event.kind, rows[i].kind);
            assert_int_equal(event.channel, rows[i].channel);
            assert_int_equal(event.len, rows[i].len);
            if (event.len)
                assert_memory_equal(event.data, rows[i].data, event.len);
        }
        websocket_free(ws);
    }
}

static void test_nothing_comes_after_a_close(void **state)
{
    struct websocket *ws = websocket_new(0);
    struct channels channels;
    struct channel_event event;
    uint8_t close_stdin[] = {CHANNEL_CLOSE, CHANNEL_STDIN}, more[] = {CHANNEL_STDIN, 'x'};
    struct websocket_message close = {WEBSOCKET_BINARY, close_stdin, 2}, data = {WEBSOCKET_BINARY, more, 2};
    struct err err;
    (void)state;

    channels_open_command(&channels, protocol(STREAM_COMMAND, "v5.channel.k8s.io"), all_streams, ws);
    assert_int_equal(channel_read(&channels, &close, &event, &err), 0);
    assert_int_equal(event.kind, CHANNEL_CLOSED);
    assert_int_equal(channel_read(&channels, &data, &event, &err), 0);
    assert_int_equal(event.kind, CHANNEL_NOTHING);
    assert_int_equal(channel_read(&channels, &close, &event, &err), 0);
    assert_int_equal(event.kind, CHANNEL_NOTHING);
    assert_true(websocket_is_open(ws));
    websocket_free(ws);
}

static void test_writing(void **state)
{
    struct websocket *ws = websocket_new(0);
    struct channels channels;
    (void)state;

    channels_open_command(&channels, protocol(STREAM_COMMAND, "v4.channel.k8s.io"), only_out, ws);
    channel_write(&channels, CHANNEL_STDOUT, "abc", 3);
    channel_write(&channels, CHANNEL_STDERR, "not asked for", 13);
    channel_write(&channels, CHANNEL_STDIN, "never", 5);
    channel_write(&channels, 5, "never", 5);
    channel_write(&channels, CHANNEL_ERROR, "", 0);
    assert_out(ws, BYTES("\x82\x01\x01"
                         "\x82\x04\x01"
                         "abc"
                         "\x82\x01\x03"));
    channels_open_command(&channels, protocol(STREAM_COMMAND, "base64.channel.k8s.io"), only_out, ws);
    channel_write(&channels, CHANNEL_STDOUT, "abcd", 4);
    assert_out(ws, BYTES("\x81\x01"
                         "1"
                         "\x81\x09"
                         "1YWJjZA=="));
    websocket_free(ws);
}

/* Longer than what is encoded at a time: no padding within, and the way back gives the same. */
static void test_long_base64(void **state)
{
    enum { N = 10000 };
    static uint8_t plain[N];
    struct websocket *ws = websocket_new(0);
    struct channels channels;
    char *cleanup_free out = NULL;
    size_t n, len;
    (void)state;

    for (size_t i = 0; i < N; i++)
        plain[i] = (uint8_t)(i * 7 + i / 256);
    channels_open_command(&channels, protocol(STREAM_COMMAND, "v4.base64.channel.k8s.io"), only_out, ws);
    channel_write(&channels, CHANNEL_STDOUT, plain, N);
    websocket_take(ws, &out, &n);
    assert_int_equal(n, 3 + 4 + 1 + BASE64_LEN(N));
    assert_int_equal(base64_decode(out + 8, n - 8, out, &len), 0);
    assert_int_equal(len, N);
    assert_memory_equal(out, plain, N);
    websocket_free(ws);
}

static void test_ports(void **state)
{
    static const uint16_t ports[] = {80, 65535};
    struct websocket *ws = websocket_new(0);
    struct channels channels;
    struct channel_event event;
    uint8_t data[] = {2, 'x'}, error[] = {3, 'x'}, none[] = {4, 'x'};
    struct err err;
    (void)state;

    channels_open_ports(&channels, protocol(STREAM_PORTS, "v4.channel.k8s.io"), ports, 2, ws);
    assert_out(ws, BYTES("\x82\x03\x00\x50\x00"
                         "\x82\x03\x01\x50\x00"
                         "\x82\x03\x02\xff\xff"
                         "\x82\x03\x03\xff\xff"));
    assert_int_equal(
        channel_read(&channels, &(struct websocket_message){WEBSOCKET_BINARY, data, 2}, &event, &err), 0);
    assert_true(event.kind == CHANNEL_DATA && event.channel == 2);
    assert_int_equal(
        channel_read(&channels, &(struct websocket_message){WEBSOCKET_BINARY, error, 2}, &event, &err), 0);
    assert_int_equal(event.kind, CHANNEL_NOTHING);
    assert_int_equal(
        channel_read(&channels, &(struct websocket_message){WEBSOCKET_BINARY, none, 2}, &event, &err), 0);
    assert_int_equal(event.kind, CHANNEL_NOTHING);
    channels_open_ports(&channels, protocol(STREAM_PORTS, "v4.base64.channel.k8s.io"), ports, 1, ws);
    assert_out(ws, BYTES("\x81\x05"
                         "0UAA="
                         "\x81\x05"
                         "1UAA="));
    websocket_free(ws);
}

static void test_port_queries(void **state)
{
    static const struct {
        const char *query;
        size_t n; /* 0: refused */
        uint16_t ports[4];
    } rows[] = {
        {"port=80", 1, {80}},
        {"port=80&port=443,8080", 3, {80, 443, 8080}},
        {"a=1&port=65535&xport=2&port", 1, {65535}},
        {"port=1,1", 2, {1, 1}},
        {"port=00080", 1, {80}},
        {"", 0, {0}},
        {"ports=80", 0, {0}},
        {"port=", 0, {0}},
        {"port=0", 0, {0}},
        {"port=65536", 0, {0}},
        {"port=4294967376", 0, {0}},
        {"port=80,", 0, {0}},
        {"port=,80", 0, {0}},
        {"port=-1", 0, {0}},
        {"port=%2080", 0, {0}},
        {"port=80&port=x", 0, {0}},
        {"port=1,2,3,4,5,6,7,8,9,1,2,3,4,5,6,7,8,9,1,2,3,4,5,6,7,8,9,1,2,3,4,5,6", 0, {0}},
    };
    (void)state;

    for (size_t i = 0; i < countof(rows); i++) {
        uint16_t ports[CHANNEL_PORTS_MAX];
        size_t n = 0;
        struct err err = {0};
        int r = channel_ports_parse(rows[i].query, ports, &n, &err);
        assert_int_equal(r == 0, rows[i].n > 0);
        assert_int_equal(err.grpc, r < 0 ? GRPC_INVALID_ARGUMENT : 0);
        assert_int_equal(n, rows[i].n);
        assert_memory_equal(ports, rows[i].ports, n * sizeof(*ports));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_opening),
        cmocka_unit_test(test_reading),
        cmocka_unit_test(test_nothing_comes_after_a_close),
        cmocka_unit_test(test_writing),
        cmocka_unit_test(test_long_base64),
        cmocka_unit_test(test_ports),
        cmocka_unit_test(test_port_queries),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
