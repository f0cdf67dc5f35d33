/* The keys' names, and typing in any split: what is held back, given back, and the detach. */
#include "cli/detach_keys.c"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

static void parses(void **state)
{
    static const struct {
        const char *text, *keys;
    } rows[] = {{DETACH_KEYS_DEFAULT, "\x10\x11"},
                {"", ""},
                {"a", "a"},
                {"Ctrl-A,x", "\x01x"},
                {"ctrl-[", "\x1b"},
                {"ctrl-\\,ctrl-],ctrl-^,ctrl-_", "\x1c\x1d\x1e\x1f"}};
    struct detach_keys k;
    struct err err;
    (void)state;

    for (size_t i = 0; i < countof(rows); i++) {
        assert_int_equal(detach_keys_parse(rows[i].text, &k, &err), 0);
        assert_int_equal(k.n, strlen(rows[i].keys));
        assert_memory_equal(k.keys, rows[i].keys, k.n);
    }
    assert_int_equal(detach_keys_parse("ctrl-@", &k, &err), 0);
    assert_true(k.n == 1 && k.keys[0] == 0);
}

static void refuses(void **state)
{
    static const char *const rows[] = {
        "ctrl-", "ctrl-1", "ctrl-ab", "ab", ",", "a,", "a,,b", "shift-a", "a,a,a,a,a,a,a,a,a,a,a,a,a,a,a,a,a"};
    (void)state;

    for (size_t i = 0; i < countof(rows); i++) {
        struct detach_keys k;
        struct err err = {0};
        if (detach_keys_parse(rows[i], &k, &err) != -EINVAL)
            fail_msg("%s is taken", rows[i]);
        assert_non_null(strstr(err.msg, "--detach-keys"));
    }
}

/* Types `typed` in pieces of `step`; returns whether it detached, and what came through. */
static bool type(const char *keys, const char *typed, size_t step, char *ret)
{
    unsigned char out[64 + DETACH_KEYS_MAX];
    struct detach_keys k;
    struct err err;
    size_t at = 0, len;

    assert_int_equal(detach_keys_parse(keys, &k, &err), 0);
    for (size_t n = strlen(typed); at < n; at += step) {
        bool detached = detach_keys_filter(&k, typed + at, step < n - at ? step : n - at, out, &len);
        memcpy(ret, out, len);
        ret += len;
        *ret = '\0';
        if (detached)
            return true;
    }
    return false;
}

static void filters(void **state)
{
    static const struct {
        const char *keys, *typed, *through;
        bool detaches;
    } rows[] = {
        {"a,b", "xaby", "x", true},
        {"a,b", "xaxb", "xaxb", false},
        {"a,b", "aab", "a", true},
        {"a,b", "xa", "x", false},
        {"a,a,b", "aaab", "a", true},
        {"a,a,b", "aacaab", "aac", true},
        {"a,b,a,c", "ababac", "ab", true},
        {"a,b,a,c", "abax", "abax", false},
        {"a", "xa", "x", true},
        {"", "abc", "abc", false},
        {"ctrl-p,ctrl-q", "\x10\x10\x11", "\x10", true},
    };
    char through[64];
    (void)state;

    for (size_t i = 0; i < countof(rows); i++)
        for (size_t step = 1; step <= 6; step++) {
            through[0] = '\0';
            assert_int_equal(type(rows[i].keys, rows[i].typed, step, through), rows[i].detaches);
            assert_string_equal(through, rows[i].through);
        }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(parses),
        cmocka_unit_test(refuses),
        cmocka_unit_test(filters),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
