#include "core/base64.c"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <string.h>

/* RFC 4648 section 10, and bytes outside ASCII */
static void test_both_ways(void **state)
{
    static const struct {
        const char *plain, *text;
    } rows[] = {
        {"", ""},
        {"f", "Zg=="},
        {"fo", "Zm8="},
        {"foo", "Zm9v"},
        {"foob", "Zm9vYg=="},
        {"fooba", "Zm9vYmE="},
        {"foobar", "Zm9vYmFy"},
        {"\xff\xfe\xfb", "//77"},
        {"\xfb\xef\xbe", "++++"},
    };
    (void)state;

    for (size_t i = 0; i < countof(rows); i++) {
        char text[16] = "", plain[16] = "";
        size_t n = 99;
        base64_encode(rows[i].plain, strlen(rows[i].plain), text);
        assert_string_equal(text, rows[i].text);
        assert_int_equal(base64_decode(rows[i].text, strlen(rows[i].text), plain, &n), 0);
        assert_int_equal(n, strlen(rows[i].plain));
        assert_memory_equal(plain, rows[i].plain, n);
        assert_int_equal(base64_decode(text, strlen(text), text, &n), 0); /* in place */
        assert_memory_equal(text, rows[i].plain, n);
    }
}

static void test_every_byte(void **state)
{
    (void)state;
    for (unsigned a = 0; a < 256; a++) {
        for (unsigned b = 0; b < 256; b += 5) {
            uint8_t in[3] = {(uint8_t)a, (uint8_t)b, (uint8_t)(a ^ b)}, out[3];
            char text[4];
            size_t n = 0;
            base64_encode(in, 3, text);
            assert_int_equal(base64_decode(text, 4, out, &n), 0);
            assert_int_equal(n, 3);
            assert_memory_equal(in, out, 3);
        }
    }
}

static void test_refused(void **state)
{
    static const char *const rows[] = {"Z",     "Zg",   "Zg=",        "Zg==Zg==", "=",    "====",
                                       "Z===",  "Zh==", "Zm9=",       "Zm 9v",    "Z-9v", "Zm9v\n",
                                       "Zm\n9", "Zm=v", "\xc3\xa4zz", "Zm9vZm9"};
    (void)state;

    for (size_t i = 0; i < countof(rows); i++) {
        char out[16];
        size_t n = 77;
        assert_int_equal(base64_decode(rows[i], strlen(rows[i]), out, &n), -EINVAL);
        assert_int_equal(n, 77);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_both_ways),
        cmocka_unit_test(test_every_byte),
        cmocka_unit_test(test_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
