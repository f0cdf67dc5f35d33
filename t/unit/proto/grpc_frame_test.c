#include "proto/grpc_frame.c"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <string.h>

static int parse(const void *body, size_t n, size_t *ret_len, struct err *err)
{
    const uint8_t *message = NULL;
    int rc = grpc_frame_parse(body, n, &message, ret_len, err);

    if (rc == 0)
        assert_ptr_equal(message, (const uint8_t *)body + GRPC_FRAME_PREFIX);
    return rc;
}

static void test_frames(void **state)
{
    static const struct {
        const char *bytes;
        size_t n;
        int grpc; /* 0: accepted */
        size_t len;
    } rows[] = {
        {"\0\0\0\0\0", 5, 0, 0},
        {"\0\0\0\0\3abc", 8, 0, 3},
        {"", 0, GRPC_UNIMPLEMENTED, 0},
        {"\0", 1, GRPC_INTERNAL, 0},
        {"\0\0\0\0", 4, GRPC_INTERNAL, 0},
        {"\1\0\0\0\3abc", 8, GRPC_UNIMPLEMENTED, 0},
        {"\2\0\0\0\3abc", 8, GRPC_INTERNAL, 0},
        {"\0\0\0\0\4abc", 8, GRPC_INTERNAL, 0},
        {"\0\0\0\0\2abc", 8, GRPC_UNIMPLEMENTED, 0},
        {"\0\1\0\0\1abc", 8, GRPC_RESOURCE_EXHAUSTED, 0},
        {"\0\1\0\0\0abc", 8, GRPC_INTERNAL, 0},
        {"\0\377\377\377\377abc", 8, GRPC_RESOURCE_EXHAUSTED, 0},
    };

    (void)state;
    for (size_t i = 0; i < countof(rows); i++) {
        struct err err = {0};
        size_t len = 0;
        int rc = parse(rows[i].bytes, rows[i].n, &len, &err);
        assert_int_equal(err.grpc, rows[i].grpc);
        assert_int_equal(rc < 0, rows[i].grpc != 0);
        assert_int_equal(len, rows[i].len);
    }
}

static void test_the_largest_message_is_accepted(void **state)
{
    size_t n = GRPC_FRAME_PREFIX + (size_t)GRPC_MESSAGE_MAX, len;
    cleanup_free uint8_t *body = calloc(1, n);
    struct err err = {0};

    (void)state;
    grpc_frame_prefix(body, GRPC_MESSAGE_MAX);
    assert_memory_equal(body, "\0\1\0\0\0", 5);
    assert_int_equal(parse(body, n, &len, &err), 0);
    assert_int_equal(len, GRPC_MESSAGE_MAX);
}

static void test_timeouts(void **state)
{
    static const struct {
        const char *s;
        int64_t us; /* -1: refused */
    } rows[] = {
        {"100m", 100000},
        {"1S", 1000000},
        {"2M", 120000000},
        {"1H", 3600000000},
        {"99999999H", 359999996400000000},
        {"5u", 5},
        {"1n", 1},
        {"1000n", 1},
        {"1001n", 2},
        {"0m", 0},
        {"", -1},
        {"m", -1},
        {"100", -1},
        {"100x", -1},
        {"100mm", -1},
        {"123456789m", -1},
        {"-1m", -1},
        {"+1m", -1},
        {" 1m", -1},
        {"1 m", -1},
        {"1.5S", -1},
    };

    (void)state;
    for (size_t i = 0; i < countof(rows); i++) {
        int64_t us = -1;
        assert_int_equal(grpc_timeout_parse(rows[i].s, &us), rows[i].us < 0 ? -EINVAL : 0);
        assert_int_equal(us, rows[i].us);
    }
}

static void test_messages_are_encoded(void **state)
{
    static const struct {
        const char *plain, *encoded;
    } rows[] = {
        {"", ""},
        {"pod web not found", "pod web not found"},
        {"100%", "100%25"},
        {"a\nb\r\t", "a%0Ab%0D%09"},
        {"caf\xc3\xa9", "caf%C3%A9"},
        {"\x7f\x01\xff", "%7F%01%FF"},
        {"\"~ !", "\"~ !"},
    };

    (void)state;
    for (size_t i = 0; i < countof(rows); i++) {
        cleanup_free char *encoded = grpc_message_encode(rows[i].plain);
        cleanup_free char *plain = grpc_message_decode(rows[i].encoded);
        assert_string_equal(encoded, rows[i].encoded);
        assert_string_equal(plain, rows[i].plain);
    }
}

static void test_odd_encodings_stay(void **state)
{
    static const char *const rows[] = {"%", "%4", "%zz", "a%", "%%%", "%4g"};

    (void)state;
    for (size_t i = 0; i < countof(rows); i++) {
        cleanup_free char *plain = grpc_message_decode(rows[i]);
        assert_string_equal(plain, rows[i]);
    }
    cleanup_free char *mixed = grpc_message_decode("%%41%4%42%c3%A9");
    assert_string_equal(mixed, "%A%4B\xc3\xa9");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_frames),
        cmocka_unit_test(test_the_largest_message_is_accepted),
        cmocka_unit_test(test_timeouts),
        cmocka_unit_test(test_messages_are_encoded),
        cmocka_unit_test(test_odd_encodings_stay),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
