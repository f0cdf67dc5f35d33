#include "core/token_cache.c"
#include "core/cleanup.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>

enum { S = 1000 * 1000 };

static void how_long(void **state)
{
    struct token_cache c = {0};

    (void)state;
    assert_null(token_cache_find(&c, "a", 0));
    token_cache_keep(&c, "a", "Bearer 1", 100, 0);
    token_cache_keep(&c, "b", "Bearer 2", 300, 0);
    assert_string_equal(token_cache_find(&c, "a", 89 * S), "Bearer 1");
    assert_null(token_cache_find(&c, "a", 90 * S));
    assert_null(token_cache_find(&c, "a", 0)); /* it is gone */
    assert_string_equal(token_cache_find(&c, "b", 90 * S), "Bearer 2");
    token_cache_keep(&c, "b", "Bearer 3", 10, 100 * S);
    assert_string_equal(token_cache_find(&c, "b", 100 * S), "Bearer 3");
    assert_null(token_cache_find(&c, "b", 109 * S)); /* the longer one was replaced */
    token_cache_done(&c);
    assert_null(c.first);
}

static void how_many(void **state)
{
    struct token_cache c = {0};
    char key[16];
    size_t n = 0;

    (void)state;
    for (int i = 0; i < TOKENS_MAX + 10; i++) {
        snprintf(key, sizeof(key), "%d", i);
        token_cache_keep(&c, key, key, 100, 0);
        assert_string_equal(token_cache_find(&c, key, 0), key);
    }
    for (const struct cached_token *t = c.first; t; t = t->next)
        n++;
    assert_int_equal(n, TOKENS_MAX);
    assert_null(token_cache_find(&c, "9", 0)); /* the oldest make room */
    assert_string_equal(token_cache_find(&c, "10", 0), "10");
    token_cache_done(&c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(how_long), cmocka_unit_test(how_many)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
