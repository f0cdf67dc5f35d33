#include "core/caps.c"

#include <errno.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#define LIST(...) ((const char *const[]){__VA_ARGS__, NULL})
#define B(n)      CAP_BIT(CAP_##n)

static void names_and_numbers(void **state)
{
    (void)state;
    assert_int_equal(cap_number("CAP_CHOWN"), 0);
    assert_int_equal(cap_number("sys_admin"), 21);
    assert_int_equal(cap_number("cap_Checkpoint_Restore"), 40);
    assert_int_equal(cap_number("CAP_"), -1);
    assert_int_equal(cap_number(""), -1);
    assert_int_equal(cap_number("ALL"), -1);
    assert_int_equal(cap_number("CAP_CAP_CHOWN"), -1);
    assert_null(cap_name(-1));
    assert_null(cap_name(41));
    for (int i = 0; i <= CAP_LAST_CAP; i++) /* a header with more capabilities than the table fails here */
        assert_int_equal(cap_number(cap_name(i)), i);
}

static void sets(void **state)
{
    static const char *const base[] = {"CAP_CHOWN", "CAP_KILL", NULL};
    const struct {
        const char *const *add, *const *drop, *const *ambient;
        bool privileged;
        uint64_t not_ours, permitted, raised;
    } rows[] = {
        {NULL, NULL, NULL, false, 0, B(CHOWN) | B(KILL), 0},
        {LIST("NET_ADMIN"), LIST("cap_kill"), NULL, false, 0, B(CHOWN) | B(NET_ADMIN), 0},
        {LIST("NET_ADMIN"), LIST("NET_ADMIN"), NULL, false, 0, B(CHOWN) | B(KILL), 0},
        {LIST("ALL"), LIST("SYS_ADMIN"), NULL, false, B(BPF),
         (B(CHECKPOINT_RESTORE) * 2 - 1) & ~B(SYS_ADMIN) & ~B(BPF), 0},
        {LIST("NET_RAW"), LIST("all"), NULL, false, 0, B(NET_RAW), 0},
        {LIST("ALL"), LIST("ALL"), NULL, false, 0, 0, 0},
        {LIST("SYS_RESOURCE"), NULL, NULL, false, B(SYS_RESOURCE), B(CHOWN) | B(KILL), 0},
        {NULL, LIST("ALL"), LIST("NET_RAW"), false, 0, B(NET_RAW), B(NET_RAW)},
        {NULL, LIST("ALL"), NULL, true, B(SYS_TIME), (B(CHECKPOINT_RESTORE) * 2 - 1) & ~B(SYS_TIME), 0},
    };

    (void)state;
    for (size_t i = 0; i < countof(rows); i++) {
        const struct caps_request r = {
            base, rows[i].add, rows[i].drop, rows[i].ambient, ~rows[i].not_ours, rows[i].privileged};
        struct caps_sets s;
        struct err err = {0};
        assert_int_equal(caps_resolve(&r, &s, &err), 0);
        if (s.permitted != rows[i].permitted || s.ambient != rows[i].raised)
            fail_msg("row %zu: %llx %llx", i, (unsigned long long)s.permitted, (unsigned long long)s.ambient);
    }
}

static void unknown_ones_are_named(void **state)
{
    const struct caps_request r = {.drop = LIST("CHOWN", "CAP_FOO"), .bounding = ~UINT64_C(0)};
    struct caps_sets s;
    struct err err = {0};

    (void)state;
    assert_int_equal(caps_resolve(&r, &s, &err), -EINVAL);
    assert_int_equal(err.grpc, GRPC_INVALID_ARGUMENT);
    assert_non_null(strstr(err.msg, "CAP_FOO (drop)"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_and_numbers),
        cmocka_unit_test(sets),
        cmocka_unit_test(unknown_ones_are_named),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
