#include "core/cpu_rate.c"
#include "core/cleanup.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <cmocka.h>

enum { S = 1000 * 1000 };

static void looks(void **state)
{
    static const struct {
        int64_t at_us;
        uint64_t cpu_ns;
        bool known;
        uint64_t rate;
    } rows[] = {
        {1 * (int64_t)S, 1000, false, 0},                   /* the first one */
        {1 * (int64_t)S + 999999, 500001000, false, 0},     /* too soon */
        {3 * (int64_t)S, 1000001000, true, 500000000},      /* one second of CPU in two */
        {3 * (int64_t)S + 10, 9000000000, true, 500000000}, /* too soon: the last one stands */
        {13 * (int64_t)S, 1000001000, true, 0},             /* idle since */
        {400 * (int64_t)S, 2000001000, false, 0},           /* too long ago */
        {402 * (int64_t)S, 6000001000, true, 2000000000},   /* two cores */
        {404 * (int64_t)S, 1000, false, 0},                 /* the counter began anew */
        {406 * (int64_t)S, 2000001000, true, 1000000000},
    };
    struct cpu_rate r = {0};

    (void)state;
    for (size_t i = 0; i < countof(rows); i++) {
        uint64_t rate = 77;
        if (cpu_rate_take(&r, rows[i].at_us, rows[i].cpu_ns, &rate) != rows[i].known ||
            rate != (rows[i].known ? rows[i].rate : 77))
            fail_msg("row %zu: %lu", i, (unsigned long)rate);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(looks)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
