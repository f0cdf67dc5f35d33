/* [LOCAL:]REMOTE */
#include "cli/forward_port.c"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

static void parses(void **state)
{
    static const struct {
        const char *text;
        uint16_t local, remote;
    } rows[] = {
        {"80", 80, 80}, {"8080:80", 8080, 80}, {":80", 0, 80}, {"0:80", 0, 80}, {"65535:65535", 65535, 65535}};
    (void)state;

    for (size_t i = 0; i < countof(rows); i++) {
        struct forward_port p;
        struct err err;
        assert_int_equal(forward_port_parse(rows[i].text, &p, &err), 0);
        assert_int_equal(p.local, rows[i].local);
        assert_int_equal(p.remote, rows[i].remote);
    }
}

static void refuses(void **state)
{
    static const char *const rows[] = {"",     "0",     "65536", "123456", "80:",    "80:0", ":",
                                       "-1:1", "65616", "a:80",  "80a",    "1:2:80", " 80",  "65536:80"};
    (void)state;

    for (size_t i = 0; i < countof(rows); i++) {
        struct forward_port p;
        struct err err = {0};
        if (forward_port_parse(rows[i], &p, &err) != -EINVAL)
            fail_msg("%s is taken", rows[i]);
        assert_non_null(strstr(err.msg, "[LOCAL:]REMOTE"));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(parses),
        cmocka_unit_test(refuses),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
