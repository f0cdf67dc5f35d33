#include "core/unpack_result.c"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <cmocka.h>

#define HEX "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

static void reads_what_it_writes(void **state)
{
    struct unpack_result r = {"sha256:" HEX, "sha256:" HEX, 1, (uint64_t)1 << 40, 3, 4}, back;
    char line[UNPACK_RESULT_SIZE];
    size_t n = unpack_result_format(&r, NULL, line);

    (void)state;
    assert_int_equal(line[n - 1], '\n');
    assert_int_equal(unpack_result_parse(line, n, &back, NULL), 0);
    assert_memory_equal(&r, &back, sizeof(r));
}

static void carries_an_error(void **state)
{
    struct err err = {0}, back = {0};
    char line[UNPACK_RESULT_SIZE];
    struct unpack_result unused;

    (void)state;
    (void)err_set(&err, GRPC_RESOURCE_EXHAUSTED, ENOSPC, "write %0450d", 7);
    size_t n = unpack_result_format(NULL, &err, line);
    assert_int_equal(unpack_result_parse(line, n, &unused, &back), -ENOSPC);
    assert_string_equal(back.msg, err.msg);
    assert_int_equal(back.grpc, GRPC_RESOURCE_EXHAUSTED);
    assert_int_equal(back.sys, ENOSPC);
}

static void refuses_the_rest(void **state)
{
    static const char *const bad[] = {
        "",
        "\n",
        "ok",
        "ok\n",
        "error \n",
        "error 0 0 fine\n",
        "error 99 0 x\n",
        "error 13 -5 x\n",
        "error x\n",
        "ok digest=sha256:" HEX " diff_id=sha256:" HEX " compressed=1 unpacked=2 files=3\n",
        "ok digest=sha256:" HEX " diff_id=sha256:" HEX " compressed=1 unpacked=2 files=3 implied=4 more\n",
        "ok digest=sha256:" HEX " diff_id=sha256:" HEX " compressed=1 unpacked=2 files=3 implied=4",
        "ok digest=sha256:" HEX " diff_id=sha256:" HEX " compressed=-1 unpacked=2 files=3 implied=4\n",
        "ok digest=sha512:" HEX " diff_id=sha256:" HEX " compressed=1 unpacked=2 files=3 implied=4\n",
        "ok digest=sha256:" HEX "0 diff_id=sha256:" HEX " compressed=1 unpacked=2 files=3 implied=4\n",
        "ok digest=sha256:" HEX " diff_id=sha256:" HEX " compressed=x unpacked=2 files=3 implied=4\n",
    };
    struct unpack_result unused;

    (void)state;
    for (size_t i = 0; i < countof(bad); i++) {
        struct err err = {0};
        assert_true(unpack_result_parse(bad[i], strlen(bad[i]), &unused, &err) < 0);
        assert_int_equal(err.grpc, GRPC_INTERNAL);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_what_it_writes),
        cmocka_unit_test(carries_an_error),
        cmocka_unit_test(refuses_the_rest),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
