#include "core/net_dev.c"
#include "core/cleanup.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <cmocka.h>

static const char head[] =
    "Inter-|   Receive                                                |  Transmit\n"
    " face |bytes    packets errs drop fifo frame compressed multicast|bytes    packets errs drop fifo colls\n";
static const char body[] = "    lo: 228177993181 7154756    0    0    0     0          0         0 "
                           "228177993181 7154756    0    0    0     0\n"
                           "  eth0: 281237185   11137    1    2    3     4          5         6   752361    "
                           "7749    8    9   10    11\n"
                           "fifteen-letters:18446744073709551615 1 2 3 4 5 6 7 9 10 11 12\n";

static void interfaces(void **state)
{
    char text[1024];
    struct net_dev d[4];

    (void)state;
    snprintf(text, sizeof(text), "%s%s", head, body);
    assert_int_equal(net_dev_parse(text, d, countof(d)), 2);
    assert_string_equal(d[0].name, "eth0");
    assert_int_equal(d[0].rx_bytes, 281237185);
    assert_int_equal(d[0].rx_errors, 1);
    assert_int_equal(d[0].tx_bytes, 752361);
    assert_int_equal(d[0].tx_errors, 8);
    assert_string_equal(d[1].name, "fifteen-letters");
    assert_true(d[1].rx_bytes == UINT64_MAX);
    assert_int_equal(d[1].rx_errors, 2);
    assert_int_equal(d[1].tx_bytes, 9);
    assert_int_equal(d[1].tx_errors, 11);
    assert_int_equal(net_dev_parse(text, d, 1), 1);
    assert_int_equal(net_dev_parse(text, d, 0), 0);
}

static void broken(void **state)
{
    static const char *const rows[] = {
        "",
        "\n\n",
        ":",
        " : 1 2 3 4 5 6 7 8 9 10 11\n",
        "eth0 1 2 3 4 5 6 7 8 9 10 11\n",
        "eth0: 1 2 3\n",
        "eth0: 1 2 3 4 5 6 7 8 9 x 11\n",
        "sixteen-letters-: 1 2 3 4 5 6 7 8 9 10 11\n",
        "eth0: 1 2 3 4 5\n6 7 8 9 10 11\n",
    };
    struct net_dev d[2];

    (void)state;
    for (size_t i = 0; i < countof(rows); i++)
        if (net_dev_parse(rows[i], d, countof(d)) != 0)
            fail_msg("\"%s\" was taken", rows[i]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(interfaces), cmocka_unit_test(broken)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
