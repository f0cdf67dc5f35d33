#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <string.h>

#include "core/stream_tokens.c"

static int dropped;

static void drop(void *value)
{
    (void)value;
    dropped++;
}

static int values[STREAM_TOKENS_MAX + 1];

static int set_up(void **state)
{
    dropped = 0;
    *state = stream_tokens_new(drop);
    return 0;
}

static int tear_down(void **state)
{
    stream_tokens_free(*state);
    return 0;
}

static void test_once(void **state)
{
    struct stream_tokens *t = *state;
    char a[STREAM_TOKEN_SIZE], b[STREAM_TOKEN_SIZE];
    struct err err;

    assert_int_equal(stream_tokens_add(t, 0, &values[0], a, &err), 0);
    assert_int_equal(stream_tokens_add(t, 0, &values[1], b, &err), 0);
    assert_int_equal(strlen(a), STREAM_TOKEN_LEN);
    assert_string_not_equal(a, b);
    assert_ptr_equal(stream_tokens_take(t, 1, b, strlen(b)), &values[1]);
    assert_null(stream_tokens_take(t, 1, b, strlen(b)));
    assert_ptr_equal(stream_tokens_take(t, 1, a, strlen(a)), &values[0]);
    assert_int_equal(dropped, 0);
    assert_int_equal(stream_tokens_expire(t, 1), 0);
}

static void test_unknown(void **state)
{
    struct stream_tokens *t = *state;
    char a[STREAM_TOKEN_SIZE];
    struct err err;

    assert_int_equal(stream_tokens_add(t, 0, &values[0], a, &err), 0);
    assert_null(stream_tokens_take(t, 0, "", 0));
    assert_null(stream_tokens_take(t, 0, a, STREAM_TOKEN_LEN - 1));
    a[STREAM_TOKEN_LEN - 1] ^= 1;
    assert_null(stream_tokens_take(t, 0, a, STREAM_TOKEN_LEN));
    assert_int_equal(stream_tokens_expire(t, 0), 1);
}

static void test_a_minute(void **state)
{
    struct stream_tokens *t = *state;
    const int64_t minute = STREAM_TOKEN_S * 1000000LL;
    char a[STREAM_TOKEN_SIZE], b[STREAM_TOKEN_SIZE];
    struct err err;

    assert_int_equal(stream_tokens_add(t, 5, &values[0], a, &err), 0);
    assert_int_equal(stream_tokens_add(t, 10, &values[1], b, &err), 0);
    assert_null(stream_tokens_take(t, 5 + minute, a, strlen(a)));
    assert_int_equal(dropped, 1);
    assert_ptr_equal(stream_tokens_take(t, 9 + minute, b, strlen(b)), &values[1]);
}

static void test_many(void **state)
{
    struct stream_tokens *t = *state;
    char a[STREAM_TOKEN_SIZE], last[STREAM_TOKEN_SIZE];
    struct err err;

    for (int i = 0; i < STREAM_TOKENS_MAX; i++)
        assert_int_equal(stream_tokens_add(t, i, &values[i], last, &err), 0);
    assert_true(stream_tokens_add(t, STREAM_TOKENS_MAX, &values[STREAM_TOKENS_MAX], a, &err) < 0);
    assert_int_equal(err.grpc, GRPC_RESOURCE_EXHAUSTED);
    assert_non_null(strstr(err.msg, "1000"));
    /* the oldest one has gone when its minute is over */
    assert_int_equal(stream_tokens_add(t, STREAM_TOKEN_S * 1000000LL, &values[STREAM_TOKENS_MAX], a, &err), 0);
    assert_int_equal(dropped, 1);
    assert_ptr_equal(stream_tokens_take(t, STREAM_TOKEN_S * 1000000LL, last, strlen(last)),
                     &values[STREAM_TOKENS_MAX - 1]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_once, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_unknown, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_a_minute, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_many, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
