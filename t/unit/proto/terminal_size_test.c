#include "proto/terminal_size.c"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

static const struct {
    const char *text;
    int there; /* -1: an error */
    struct terminal_size size;
} rows[] = {
    {"{\"Width\":80,\"Height\":24}", 1, {80, 24}},
    {"{\"Width\":80,\"Height\":24}\n", 1, {80, 24}},
    {" \r\n\t{ \"height\" : 1 , \"WIDTH\" : 65535 }", 1, {65535, 1}},
    {"{\"Width\":1,\"Height\":2}{\"Width\":3,\"Height\":4}", 1, {3, 4}}, /* the last one counts */
    {"{}", 1, {0, 0}},
    {"{\"Width\":7,\"Depth\":9}", 1, {7, 0}},
    {"{\"Width\":null}", 1, {0, 0}},
    {"", 0, {0, 0}},
    {"{\"Width\":80", 0, {0, 0}},
    {"{\"Width\":65536}", -1, {0, 0}},
    {"{\"Height\":-1}", -1, {0, 0}},
    {"{\"Height\":1.5}", -1, {0, 0}},
    {"{\"Height\":\"24\"}", -1, {0, 0}},
    {"{\"Width\":{\"x\":1}}", -1, {0, 0}},
    {"{\"Width\":99999999999999999999}", -1, {0, 0}},
    {"80x24}", -1, {0, 0}},
    {"}", -1, {0, 0}},
    {"[{}", -1, {0, 0}},
    {"{\"Width\":1,\"Width\":2}", -1, {0, 0}},
};

static void test_every_split(void **state)
{
    (void)state;
    for (size_t i = 0; i < countof(rows); i++) {
        size_t n = strlen(rows[i].text);
        for (size_t split = 0; split <= n; split++) {
            struct terminal_size_reader reader = {0};
            struct terminal_size size = {0};
            bool first = false, second = false;
            struct err err = {0};
            int r = terminal_size_read(&reader, rows[i].text, split, &first, &size, &err);
            if (r == 0)
                r = terminal_size_read(&reader, rows[i].text + split, n - split, &second, &size, &err);
            assert_int_equal(r < 0 ? -1 : first || second, rows[i].there);
            assert_int_equal(err.grpc, r < 0 ? GRPC_INVALID_ARGUMENT : 0);
            if (rows[i].there > 0)
                assert_true(size.width == rows[i].size.width && size.height == rows[i].size.height);
        }
    }
}

static void test_too_long_and_after_an_error(void **state)
{
    struct terminal_size_reader reader = {0};
    struct terminal_size size;
    char long_text[TERMINAL_SIZE_BYTES_MAX + 1];
    struct err err;
    bool there = false;
    (void)state;

    memset(long_text, '{', sizeof(long_text));
    assert_int_equal(terminal_size_read(&reader, long_text, sizeof(long_text) - 1, &there, &size, &err), 0);
    assert_true(terminal_size_read(&reader, long_text, 1, &there, &size, &err) < 0);
    assert_int_equal(terminal_size_read(&reader, "{\"Width\":5}", 11, &there, &size, &err), 0);
    assert_true(there && size.width == 5);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_split),
        cmocka_unit_test(test_too_long_and_after_an_error),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
