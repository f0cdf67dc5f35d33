/* What a person types, to one of the candidates: ids, unique starts, names, the live one of several. */
#include "cli/resolve.c"
#include "cli/format.c"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

int cri_call(struct cli *cli, const char *method, const void *request, void *ret_reply, struct err *err)
{
    (void)cli;
    (void)request;
    (void)ret_reply;
    return err_set(err, GRPC_UNAVAILABLE, 0, "%s", method);
}

void cri_reply_free(void *reply_ptr)
{
    (void)reply_ptr;
}

static const struct candidate all[] = {
    {"aaaa1111", "web", false}, {"aaaa2222", "web", true}, {"bbbb3333", "db", false},
    {"cccc4444", "db", false},  {"web99999", "x", true},   {"dddd5555", "bbbb", true},
    {"eeee6666", "two", true},  {"ffff7777", "two", true},
};

static void finds(void **state)
{
    static const struct {
        const char *key;
        size_t want;
    } rows[] = {{"aaaa1111", 0}, {"aaaa1", 0}, {"web", 1}, {"web9", 4}, {"bbbb", 5}, {"bbbb3", 2}, {"c", 3}};
    struct err err;
    size_t at;
    (void)state;

    for (size_t i = 0; i < countof(rows); i++) {
        assert_int_equal(resolve_pick(all, countof(all), "container", rows[i].key, &at, &err), 0);
        assert_int_equal(at, rows[i].want);
    }
}

static void asks_for_more(void **state)
{
    struct err err;
    size_t at;
    (void)state;

    assert_int_equal(resolve_pick(all, countof(all), "container", "aaaa", &at, &err), -EINVAL);
    assert_non_null(strstr(err.msg, "aaaa1111, aaaa2222"));
    assert_int_equal(resolve_pick(all, countof(all), "container", "db", &at, &err), -EINVAL);
    assert_non_null(strstr(err.msg, "bbbb3333, cccc4444"));
    assert_int_equal(resolve_pick(all, countof(all), "container", "two", &at, &err), -EINVAL);
    assert_int_equal(resolve_pick(all, countof(all), "container", "nope", &at, &err), -ENOENT);
    assert_int_equal(resolve_pick(all, countof(all), "container", "", &at, &err), -ENOENT);
    assert_int_equal(resolve_pick(NULL, 0, "pod", "x", &at, &err), -ENOENT);
    assert_non_null(strstr(err.msg, "pod"));
}

static void an_unreachable_runtime_is_the_error(void **state)
{
    struct target t;
    struct err err = {0};
    (void)state;

    assert_true(resolve_target(NULL, "x", TARGET_POD, TARGET_POD, &t, &err) < 0);
    assert_int_equal(err.grpc, GRPC_UNAVAILABLE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(finds), cmocka_unit_test(asks_for_more),
                                       cmocka_unit_test(an_unreachable_runtime_is_the_error)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
