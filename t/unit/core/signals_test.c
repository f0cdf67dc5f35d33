#include "core/signals.c"

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <cmocka.h>

static void names(void **state)
{
    static const struct {
        const char *text;
        int number;
    } rows[] = {
        {"SIGTERM", SIGTERM},
        {"TERM", SIGTERM},
        {"term", SIGTERM},
        {"15", 15},
        {"sigkill", SIGKILL},
        {"SIGCLD", SIGCHLD},
        {"POLL", SIGIO},
        {"IOT", SIGABRT},
        {"SIGRTMIN", 34},
        {"SIGRTMIN+3", 37},
        {"rtmin+3", 37},
        {"SIGRTMIN+20", 54},
        {"SIGRTMAX", 64},
        {"SIGRTMAX-1", 63},
        {"RTMAX-30", 34},
        {"64", 64},
        {"1", 1},
        {"WINCH", SIGWINCH},
        {"32", 32},
    };

    (void)state;
    for (size_t i = 0; i < countof(rows); i++) {
        struct err err = {0};
        int number = 0;
        if (signal_parse(rows[i].text, &number, &err) < 0)
            fail_msg("%s: %s", rows[i].text, err.msg);
        assert_int_equal(number, rows[i].number);
    }
}

static void not_signals(void **state)
{
    static const char *const rows[] = {
        NULL,    "",      "0",           "65",          "-1",     "SIG",     "SIGSIGTERM",
        "TERM ", " TERM", "SIGRTMIN+31", "SIGRTMAX-31", "RTMIN+", "RTMIN-1", "99999999999999999999",
        "SIG15", "QUUX",  "1.5",
    };

    (void)state;
    for (size_t i = 0; i < countof(rows); i++) {
        struct err err = {0};
        int number = -7;
        assert_int_equal(signal_parse(rows[i], &number, &err), -22);
        assert_int_equal(number, -7);
        assert_int_equal(err.grpc, GRPC_INVALID_ARGUMENT);
        assert_non_null(strstr(err.msg, "SIGRTMIN+3"));
        if (rows[i])
            assert_non_null(strstr(err.msg, rows[i]));
    }
}

/* Every number of the enum is there exactly once, and comes back, but for the second names of one signal. */
static void cri_numbers(void **state)
{
    int aliases = 0;

    (void)state;
    assert_int_equal(signal_of_cri(0), 0);
    assert_int_equal(signal_of_cri(66), -1);
    assert_int_equal(signal_of_cri(-1), -1);
    for (int cri = 1; cri <= 65; cri++) {
        int number = signal_of_cri(cri);
        assert_in_range(number, 1, 64);
        aliases += signal_to_cri(number) != cri;
    }
    assert_int_equal(aliases, 3); /* SIGCLD, SIGIOT, SIGPOLL */
    assert_int_equal(signal_of_cri(23), SIGTERM);
    assert_int_equal(signal_to_cri(SIGTERM), 23);
    assert_int_equal(signal_to_cri(32), 0);
    assert_int_equal(signal_to_cri(0), 0);
    assert_string_equal(signal_name(SIGKILL), "SIGKILL");
    assert_string_equal(signal_name(37), "SIGRTMIN+3");
    assert_null(signal_name(33));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names),
        cmocka_unit_test(not_signals),
        cmocka_unit_test(cri_numbers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
