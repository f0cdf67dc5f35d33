#include "core/utf8.c"
#include "core/cleanup.h"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

static const struct {
    const char *text, *repaired; /* the same: valid */
} rows[] = {
    {"", ""},
    {"plain", "plain"},
    {"\x7f", "\x7f"},
    {"\xc2\x80\xdf\xbf", "\xc2\x80\xdf\xbf"},
    {"\xe0\xa0\x80\xed\x9f\xbf\xee\x80\x80\xef\xbf\xbf", "\xe0\xa0\x80\xed\x9f\xbf\xee\x80\x80\xef\xbf\xbf"},
    {"\xf0\x90\x80\x80\xf4\x8f\xbf\xbf", "\xf0\x90\x80\x80\xf4\x8f\xbf\xbf"},
    {"a\x80z", "a?z"},  /* continuation alone */
    {"\xc0\xaf", "??"}, /* overlong '/' */
    {"\xe0\x80\xaf", "???"},
    {"\xf0\x80\x80\xaf", "????"},
    {"\xed\xa0\x80", "???"},      /* surrogate */
    {"\xf4\x90\x80\x80", "????"}, /* above U+10FFFF */
    {"\xf5\x80\x80\x80", "????"},
    {"\xfe\xff", "??"},
    {"\xc3", "?"}, /* cut short */
    {"x\xe2\x82", "x??"},
    {"\xf0\x9f\x98", "???"},
    {"\xe2\x82z", "??z"},
    {"\xc3\xa9\xc3", "\xc3\xa9?"},
    {"eight by", "eight by"},
    {"eight by eight\x80", "eight by eight?"}, /* behind what is looked at eight bytes at a time */
    {"seven b\xc3\xa9", "seven b\xc3\xa9"},
    {"sixteen in all, \xff and more", "sixteen in all, ? and more"},
};

static void test_rows(void **state)
{
    (void)state;
    for (size_t i = 0; i < countof(rows); i++) {
        cleanup_free char *s = strdup(rows[i].text);
        assert_int_equal(utf8_is_valid(s), strcmp(rows[i].text, rows[i].repaired) == 0);
        utf8_repair(s);
        assert_string_equal(s, rows[i].repaired);
        assert_true(utf8_is_valid(s));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_rows)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
