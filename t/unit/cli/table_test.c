/* Columns, ages, sizes, ids and times as people see them. */
#include "cli/table.c"
#include "cli/format.c"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

static void columns_line_up(void **state)
{
    static const char *const titles[] = {"NAME", "STATE", "LAST"};
    cleanup_table struct table t = {0};
    cleanup_buf struct buf b = {0};
    (void)state;

    table_init(&t, 3, titles);
    table_row(&t, (const char *[]){"a-long-name", "Up", "x"});
    table_row(&t, (const char *[]){"caf\xc3\xa9", NULL, ""});
    table_row(&t, (const char *[]){"evil\x1b[31m", "a\nb", "y"});
    table_text(&t, &b);
    assert_string_equal(b.data, "NAME          STATE   LAST\n"
                                "a-long-name   Up      x\n"
                                "caf\xc3\xa9          -       -\n"
                                "evil?[31m     a?b     y\n");
}

static void ages(void **state)
{
    static const struct {
        int64_t s;
        const char *want;
    } rows[] = {{0, "Less than a second ago"}, {1, "1 second ago"},       {59, "59 seconds ago"},
                {60, "1 minute ago"},          {300, "5 minutes ago"},    {3600, "1 hour ago"},
                {86400 * 3, "3 days ago"},     {86400 * 7, "1 week ago"}, {86400 * 40, "1 month ago"},
                {86400 * 800, "2 years ago"},  {-5, "in the future"}};
    int64_t now = 1800000000000000000;
    char s[AGE_SIZE];
    (void)state;

    for (size_t i = 0; i < countof(rows); i++) {
        format_age(now - rows[i].s * 1000000000, now, s);
        assert_string_equal(s, rows[i].want);
    }
    format_age(0, now, s);
    assert_string_equal(s, "-");
}

static void sizes(void **state)
{
    static const struct {
        uint64_t n;
        const char *want;
    } rows[] = {{0, "0B"},
                {999, "999B"},
                {1000, "1.00kB"},
                {4261550, "4.26MB"},
                {12345678, "12.3MB"},
                {999499999, "999MB"},
                {999500000, "1.00GB"},
                {UINT64_MAX, "18.4EB"}};
    char s[SIZE_TEXT_SIZE];
    (void)state;

    for (size_t i = 0; i < countof(rows); i++) {
        format_size(rows[i].n, s);
        assert_string_equal(s, rows[i].want);
    }
}

static void ids_and_times(void **state)
{
    char id[SHORT_ID_SIZE], t[TIME_TEXT_SIZE];
    (void)state;

    format_short_id("sha256:0123456789abcdef0123", id);
    assert_string_equal(id, "0123456789abc");
    format_short_id("abc", id);
    assert_string_equal(id, "abc");
    format_time(-1, t);
    assert_string_equal(t, "1969-12-31T23:59:59.999999999Z");
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(columns_line_up), cmocka_unit_test(ages),
                                       cmocka_unit_test(sizes), cmocka_unit_test(ids_and_times)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
