#include "core/err.c"

#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

static void set_and_wrapped(void **state)
{
    struct err e;

    (void)state;
    assert_int_equal(err_set(&e, GRPC_NOT_FOUND, 0, "pod %s not found", "x"), -ENOENT);
    assert_string_equal(e.msg, "pod x not found");
    assert_int_equal(err_wrap(&e, "container %s", "y"), -ENOENT);
    assert_string_equal(e.msg, "container y: pod x not found");
    assert_int_equal(e.grpc, GRPC_NOT_FOUND);
    assert_int_equal(err_set(&e, GRPC_INVALID_ARGUMENT, EPERM, "open"), -EPERM); /* the errno first */
    assert_string_equal(e.msg, "open: Operation not permitted");
    assert_int_equal(e.grpc, GRPC_INVALID_ARGUMENT);
    assert_int_equal(err_set(NULL, GRPC_INTERNAL, 0, "nobody asks"), -EIO);
}

static void every_code_is_negative(void **state)
{
    struct err e;

    (void)state;
    for (int code = GRPC_CANCELLED; code <= GRPC_UNAUTHENTICATED; code++) {
        assert_true(err_set(&e, code, 0, "x") < 0);
        assert_int_equal(err_errno(&e), err_set(&e, code, 0, "x"));
        assert_true(strlen(grpc_code_name(code)) > 4);
    }
    assert_int_equal(err_set(&e, 99, 0, "x"), -EIO); /* as a peer may send it */
    assert_string_equal(grpc_code_name(99), "UNKNOWN");
    assert_string_equal(grpc_code_name(-1), "UNKNOWN");
    assert_int_equal(err_errno(&(struct err){0}), 0);
}

static void codes_of_errnos(void **state)
{
    static const struct {
        int sys, grpc;
    } rows[] = {{ENOENT, GRPC_NOT_FOUND},
                {EEXIST, GRPC_ALREADY_EXISTS},
                {ENOSPC, GRPC_RESOURCE_EXHAUSTED},
                {EMFILE, GRPC_RESOURCE_EXHAUSTED},
                {ETIMEDOUT, GRPC_DEADLINE_EXCEEDED},
                {EIO, GRPC_INTERNAL}};
    struct err e;

    (void)state;
    for (size_t i = 0; i < countof(rows); i++) {
        assert_int_equal(err_sys(&e, rows[i].sys, "do"), -rows[i].sys);
        assert_int_equal(e.grpc, rows[i].grpc);
        assert_int_equal(e.sys, rows[i].sys);
    }
}

static void too_long(void **state)
{
    char word[2 * ERR_MSG_SIZE];
    struct err e;

    (void)state;
    memset(word, 'x', sizeof(word) - 1);
    word[sizeof(word) - 1] = '\0';
    (void)!err_set(&e, GRPC_INTERNAL, EIO, "%s", word);
    assert_int_equal(strlen(e.msg), ERR_MSG_SIZE - 1);
    (void)!err_wrap(&e, "head");
    assert_int_equal(strlen(e.msg), ERR_MSG_SIZE - 1);
    assert_memory_equal(e.msg, "head: xxx", 9);
    (void)!err_wrap(&e, "%s", word); /* no room for both: what was there is worth more than a cut head */
    assert_true(strlen(e.msg) < ERR_MSG_SIZE);
    for (int i = 0; i < 200; i++)
        (void)!err_wrap(&e, "layer %d", i);
    assert_true(strlen(e.msg) < ERR_MSG_SIZE);
    assert_memory_equal(e.msg, "layer 199: ", 11);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(set_and_wrapped),
                                       cmocka_unit_test(every_code_is_negative),
                                       cmocka_unit_test(codes_of_errnos), cmocka_unit_test(too_long)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
