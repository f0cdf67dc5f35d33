/* Memory of all kinds: growing buffers, pools, lists of pairs. */
#include "core/buf.c"
#include "core/kv.c"
#include "core/pool.c"

#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

static void it_grows(void **state)
{
    cleanup_buf struct buf b = {0};

    (void)state;
    assert_null(b.data);
    buf_add(&b, "x", 0);
    assert_null(b.data);
    for (int i = 0; i < 10000; i++)
        buf_addf(&b, "%d ", i % 10);
    assert_int_equal(b.len, 20000);
    assert_int_equal(b.data[b.len], '\0'); /* text can be read as a string */
    assert_false(b.truncated);
    buf_done(&b);
    buf_adds(&b, "again");
    assert_string_equal(b.data, "again");
}

static void it_has_a_limit(void **state)
{
    cleanup_buf struct buf b = {.max = 5};

    (void)state;
    buf_adds(&b, "123");
    assert_false(b.truncated);
    buf_adds(&b, "456");
    assert_true(b.truncated);
    assert_string_equal(b.data, "12345");
    buf_add(&b, "x", SIZE_MAX); /* no more is looked at than has room */
    assert_int_equal(b.len, 5);
    buf_done(&b);
    assert_false(b.truncated);
    buf_adds(&b, "1234567"); /* the limit stays */
    assert_int_equal(b.len, 5);
}

static void it_is_stolen(void **state)
{
    struct buf b = {0};
    char *s = buf_steal(&b);

    (void)state;
    assert_string_equal(s, ""); /* never NULL */
    free(s);
    buf_adds(&b, "text");
    s = buf_steal(&b);
    assert_string_equal(s, "text");
    assert_null(b.data);
    free(s);
}

static void a_pool(void **state)
{
    struct pool p = {0};

    (void)state;
    assert_null(pool_strdup(&p, NULL));
    char *first = pool_strdup(&p, "first");
    for (int i = 0; i < 1000; i++)
        assert_int_equal(*(char *)pool_alloc(&p, 16), 0);
    char *kept = pool_keep(&p, mem_strdup("kept"));
    assert_string_equal(pool_printf(&p, "%s and %s", first, kept), "first and kept");
    assert_string_equal(first, "first"); /* blocks never move */
    pool_done(&p);                       /* all of it: the leak check tells */
    pool_done(&p);
    assert_string_equal(pool_strdup(&p, "anew"), "anew");
    pool_done(&p);
}

static void pairs(void **state)
{
    struct kv_list l = {0}, want = {0};

    (void)state;
    assert_true(kv_contains_all(&l, &want));
    kv_set(&l, "b", "1");
    kv_set(&l, "a", "2");
    kv_set(&l, "b", "3");
    assert_int_equal(l.n, 2);
    assert_string_equal(l.items[0].key, "b"); /* in the order of the first mention */
    assert_string_equal(kv_get(&l, "b"), "3");
    assert_null(kv_get(&l, "c"));
    kv_set(&l, "b", kv_get(&l, "b")); /* its own value */
    assert_string_equal(kv_get(&l, "b"), "3");
    kv_set(&want, "a", "2");
    assert_true(kv_contains_all(&l, &want));
    kv_set(&want, "b", "other");
    assert_false(kv_contains_all(&l, &want));
    kv_done(&want);
    kv_set(&want, "c", "");
    assert_false(kv_contains_all(&l, &want)); /* absent is not empty */
    kv_done(&want);
    kv_done(&l);
    kv_done(&l);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(it_grows), cmocka_unit_test(it_has_a_limit),
                                       cmocka_unit_test(it_is_stolen), cmocka_unit_test(a_pool),
                                       cmocka_unit_test(pairs)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
