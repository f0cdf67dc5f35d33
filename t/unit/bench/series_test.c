#include "bench/series.c"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <cmocka.h>

static void test_quantiles_are_by_nearest_rank(void **state)
{
    struct series_set set = {0};
    struct series *s = series_get(&set, "ms", "%s", "x");
    (void)state;

    assert_true(series_quantile(s, 0.5) == 0);
    for (int i = 100; i >= 1; i--)
        series_add(s, i);
    assert_true(series_quantile(s, 0.5) == 50);
    assert_true(series_quantile(s, 0.99) == 99);
    assert_true(series_quantile(s, 1) == 100);
    assert_true(series_quantile(s, 0) == 1);
    series_add(s, 0.5); /* behind sorted ones */
    assert_true(series_quantile(s, 0) == 0.5);
    series_set_done(&set);
}

static void test_a_name_is_one_series_and_pointers_stay(void **state)
{
    struct series_set set = {0};
    struct series *first = series_get(&set, "ms", "call %d", 0);
    (void)state;

    for (int i = 1; i < 100; i++)
        assert_ptr_not_equal(series_get(&set, "ms", "call %d", i), first);
    assert_ptr_equal(series_get(&set, "ms", "call %d", 0), first);
    assert_int_equal(set.n, 100);
    series_set_done(&set);
    assert_int_equal(set.n, 0);
}

static void test_the_first_error_stays_and_all_are_counted(void **state)
{
    struct series_set set = {0};
    struct series *s = series_get(&set, "ms", "x");
    (void)state;

    series_fail(s, "first");
    series_fail(s, "second");
    assert_int_equal(s->errors, 2);
    assert_string_equal(s->error, "first");
    json_t *list = series_json(&set), *o = json_array_get(list, 0);
    assert_int_equal(json_integer_value(json_object_get(o, "errors")), 2);
    assert_string_equal(json_string_value(json_object_get(o, "error")), "first");
    assert_null(json_object_get(o, "p50"));
    assert_int_equal(json_array_size(json_object_get(o, "samples")), 0);
    json_decref(list);
    series_set_done(&set);
}

static void test_more_samples_than_fit_are_counted(void **state)
{
    struct series_set set = {0};
    struct series *s = series_get(&set, "ms", "x");
    (void)state;

    series_reserve(s, SERIES_SAMPLES_MAX);
    for (int i = 0; i < SERIES_SAMPLES_MAX + 3; i++)
        series_add(s, 1);
    assert_int_equal(s->n, SERIES_SAMPLES_MAX);
    assert_int_equal(s->dropped, 3);
    json_t *list = series_json(&set);
    assert_int_equal(json_integer_value(json_object_get(json_array_get(list, 0), "count")),
                     SERIES_SAMPLES_MAX + 3);
    json_decref(list);
    series_set_done(&set);
}

static void test_json_has_the_figures(void **state)
{
    struct series_set set = {0};
    struct series *s = series_get(&set, "ms", "x");
    (void)state;

    for (int i = 1; i <= 10; i++)
        series_add(s, i / 10.0);
    json_t *list = series_json(&set), *o = json_array_get(list, 0);
    assert_true(json_real_value(json_object_get(o, "p50")) == 0.5);
    assert_true(json_real_value(json_object_get(o, "p90")) == 0.9);
    assert_true(json_real_value(json_object_get(o, "max")) == 1.0);
    assert_string_equal(json_string_value(json_object_get(o, "unit")), "ms");
    json_decref(list);
    series_set_done(&set);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_quantiles_are_by_nearest_rank),
        cmocka_unit_test(test_a_name_is_one_series_and_pointers_stay),
        cmocka_unit_test(test_the_first_error_stays_and_all_are_counted),
        cmocka_unit_test(test_more_samples_than_fit_are_counted),
        cmocka_unit_test(test_json_has_the_figures),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
