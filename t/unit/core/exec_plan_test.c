/* Exec plans: what is put comes out, and nothing that does not fit is read. */
#include "core/exec_plan.c"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <cmocka.h>

static union {
    uint64_t align;
    char bytes[4096];
} block;

static size_t build(void)
{
    const struct exec_plan_head head = {
        .flags = EXEC_PLAN_NO_NEW_PRIVS, .uid = 7, .gid = 8, .umask = 022, .caps = {1, 2, 3, 4, UINT64_MAX}};
    const struct exec_plan_rlimit limit = {.which = 7, .soft = 10, .hard = UINT64_MAX};
    const struct exec_plan_bpf program[2] = {{6, 0, 0, 0x7fff0000}, {6, 1, 2, 3}};
    const uint32_t gids[3] = {8, 9, 10};
    struct exec_plan_builder b;

    exec_plan_begin(&b, block.bytes, sizeof(block), &head);
    exec_plan_put_rlimits(&b, &limit, 1);
    exec_plan_put_bpf(&b, program, 2);
    exec_plan_put_gids(&b, gids, 3);
    exec_plan_put_string(&b, "/v2/dir");
    exec_plan_put_cgroup(&b, "/v1/a");
    exec_plan_put_cgroup(&b, "/v1/b");
    exec_plan_put_string(&b, "_ses");
    exec_plan_put_string(&b, "/cwd");
    exec_plan_put_env(&b, "A=b");
    exec_plan_put_env(&b, "C=");
    exec_plan_put_arg(&b, "true");
    exec_plan_put_arg(&b, "");
    return exec_plan_finish(&b);
}

static void what_is_put_comes_out(void **state)
{
    size_t n = build();
    struct exec_plan p;

    (void)state;
    assert_true(exec_plan_read(block.bytes, n, &p));
    assert_int_equal(p.head->flags, EXEC_PLAN_NO_NEW_PRIVS);
    assert_int_equal(p.head->caps[EXEC_CAP_AMBIENT], UINT64_MAX);
    assert_int_equal(p.rlimits[0].hard, UINT64_MAX);
    assert_int_equal(p.bpf[1].k, 3);
    assert_int_equal(p.gids[2], 10);
    assert_string_equal(p.cgroup_v2, "/v2/dir");
    assert_string_equal(exec_plan_next(&p.cgroups), "/v1/a");
    assert_string_equal(exec_plan_next(&p.cgroups), "/v1/b");
    assert_null(exec_plan_next(&p.cgroups));
    assert_string_equal(p.keyring, "_ses");
    assert_string_equal(p.cwd, "/cwd");
    assert_string_equal(exec_plan_next(&p.env), "A=b");
    assert_string_equal(exec_plan_next(&p.env), "C=");
    assert_string_equal(exec_plan_next(&p.args), "true");
    assert_string_equal(exec_plan_next(&p.args), "");
    assert_null(exec_plan_next(&p.args));
}

static bool is_read(size_t n)
{
    struct exec_plan p;
    char *copy = malloc(n ? n : 1); /* of just this size, for the sanitizer */
    bool read;

    memcpy(copy, block.bytes, n);
    read = exec_plan_read(copy, n, &p);
    free(copy);
    return read;
}

static void a_part_is_not_read(void **state)
{
    size_t n = build();

    (void)state;
    for (size_t i = 0; i < n; i++) {
        assert_false(is_read(i));
        build();
        head_of(&(struct exec_plan_builder){.buf = block.bytes})->size = (uint32_t)i;
        assert_false(is_read(i)); /* also where the size says so */
    }
}

static void a_wrong_head_is_not_read(void **state)
{
    struct exec_plan_head *h = (void *)block.bytes;
    uint32_t *const fields[] = {&h->magic,  &h->version,   &h->size,  &h->rlimits_n, &h->bpf_n,
                                &h->gids_n, &h->cgroups_n, &h->env_n, &h->args_n};

    (void)state;
    for (size_t i = 0; i < countof(fields); i++) {
        size_t n = build();
        assert_true(is_read(n));
        *fields[i] += i < 3 || i > 5 ? 1 : 1000; /* a few more numbers may well be found in what follows */
        assert_false(is_read(n));
        *fields[i] = UINT32_MAX;
        assert_false(is_read(n));
    }
}

static void what_does_not_fit_is_not_made(void **state)
{
    const struct exec_plan_head head = {0};
    struct exec_plan_builder b;

    (void)state;
    exec_plan_begin(&b, block.bytes, sizeof(head) - 1, &head);
    exec_plan_put_arg(&b, "x");
    assert_int_equal(exec_plan_finish(&b), 0);
    exec_plan_begin(&b, block.bytes, sizeof(head) + 4, &head);
    exec_plan_put_arg(&b, "four");
    exec_plan_put_arg(&b, "");
    assert_int_equal(exec_plan_finish(&b), 0);
    size_t n = build();
    exec_plan_resume(&b, block.bytes, n, n);
    assert_int_equal(exec_plan_finish(&b), n);
    exec_plan_put_arg(&b, "x");
    assert_int_equal(exec_plan_finish(&b), 0);
}

static void a_refusal_has_its_reason(void **state)
{
    const struct exec_plan_head head = {.flags = EXEC_PLAN_REFUSED};
    struct exec_plan_builder b;
    struct exec_plan p;

    (void)state;
    exec_plan_begin(&b, block.bytes, sizeof(block), &head);
    exec_plan_put_string(&b, "because");
    size_t n = exec_plan_finish(&b);
    assert_true(exec_plan_read(block.bytes, n, &p));
    assert_string_equal(p.refused, "because");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_put_comes_out),    cmocka_unit_test(a_part_is_not_read),
        cmocka_unit_test(a_wrong_head_is_not_read), cmocka_unit_test(what_does_not_fit_is_not_made),
        cmocka_unit_test(a_refusal_has_its_reason),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
