#include "core/seccomp.c"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

/* Is the call in a rule of this action (and with no arguments looked at)? */
static bool has(const json_t *filter, const char *action, const char *call)
{
    size_t i, k;
    json_t *rule, *name;

    json_array_foreach (json_object_get(filter, "syscalls"), i, rule) {
        if (strcmp(json_string_value(json_object_get(rule, "action")), action) != 0 ||
            json_object_get(rule, "args"))
            continue;
        json_array_foreach (json_object_get(rule, "names"), k, name)
            if (strcmp(json_string_value(name), call) == 0)
                return true;
    }
    return false;
}

static json_t *filter_for(uint64_t caps)
{
    const struct seccomp_env env = {caps, 6, 1};
    cleanup_free char *text = seccomp_runtime_default(&env);
    json_t *j = json_loads(text, 0, NULL);

    assert_non_null(j);
    return j;
}

static void capabilities_open_calls(void **state)
{
    static const struct {
        uint64_t caps;
        const char *call;
        bool allowed;
    } rows[] = {
        {0, "read", true},
        {0, "bpf", false},
        {CAP_BIT(CAP_SYS_ADMIN), "bpf", true},
        {0, "chroot", false},
        {CAP_BIT(CAP_SYS_CHROOT), "chroot", true},
        {0, "init_module", false},
        {CAP_BIT(CAP_SYS_MODULE), "init_module", true},
        {~UINT64_C(0), "kexec_load", false},
        {0, "socket", false}, /* only with arguments looked at */
        {CAP_BIT(CAP_AUDIT_WRITE), "socket", true},
    };

    (void)state;
    for (size_t i = 0; i < countof(rows); i++) {
        json_t *f = filter_for(rows[i].caps);
        if (has(f, "SCMP_ACT_ALLOW", rows[i].call) != rows[i].allowed)
            fail_msg("row %zu: %s", i, rows[i].call);
        json_decref(f);
    }
    json_t *f = filter_for(0);
    assert_true(has(f, "SCMP_ACT_ERRNO", "bpf"));
    assert_int_equal(json_integer_value(json_object_get(f, "defaultErrnoRet")),
                     ENOSYS); /* new calls look absent, not forbidden */
    json_decref(f);
}

static void conditions(void **state)
{
    static const struct {
        struct seccomp_rule rule;
        struct seccomp_env env;
        bool holds;
    } rows[] = {
        {{0}, {0}, true},
        {{.arches = " arm arm64 "}, {0}, false},
        {{.arches = " amd64 x32 "}, {0}, true},
        {{.arches = " amd64p32 "}, {0}, false},
        {{.not_arches = " s390 s390x "}, {0}, true},
        {{.not_arches = " amd64 "}, {0}, false},
        {{.caps = 3}, {.caps = 1}, false}, /* all of them */
        {{.caps = 3}, {.caps = 7}, true},
        {{.not_caps = 6}, {.caps = 2}, false},
        {{.not_caps = 6}, {.caps = 1}, true},
        {{.kernel_major = 4, .kernel_minor = 8}, {.kernel_major = 4, .kernel_minor = 7}, false},
        {{.kernel_major = 4, .kernel_minor = 8}, {.kernel_major = 4, .kernel_minor = 8}, true},
        {{.kernel_major = 4, .kernel_minor = 8}, {.kernel_major = 5}, true},
        {{.kernel_major = 4, .kernel_minor = 8}, {0}, false},
    };

    (void)state;
    for (size_t i = 0; i < countof(rows); i++)
        if (rule_holds(&rows[i].rule, &rows[i].env, " amd64 ") != rows[i].holds)
            fail_msg("row %zu", i);
}

static void localhost_profiles(void **state)
{
    static const struct {
        const char *text, *want, *says; /* want NULL: an error that says this */
    } rows[] = {
        {"{\"defaultAction\":\"SCMP_ACT_ALLOW\"}", "{\"defaultAction\":\"SCMP_ACT_ALLOW\"}", NULL},
        {"{\"defaultAction\":\"SCMP_ACT_ALLOW\",\"archMap\":[],\"comment\":null,\"flags\":null}",
         "{\"defaultAction\":\"SCMP_ACT_ALLOW\"}", NULL},
        {"{\"defaultAction\":\"SCMP_ACT_ERRNO\",\"syscalls\":[{\"names\":[\"read\"],\"action\":\"SCMP_ACT_"
         "ALLOW\",\"args\":"
         "[{\"index\":0,\"value\":18446744073,\"op\":\"SCMP_CMP_EQ\",\"x\":1}],\"includes\":{}}]}",
         "{\"defaultAction\":\"SCMP_ACT_ERRNO\",\"syscalls\":[{\"names\":[\"read\"],\"action\":\"SCMP_ACT_"
         "ALLOW\",\"args\":"
         "[{\"index\":0,\"value\":18446744073,\"op\":\"SCMP_CMP_EQ\"}]}]}",
         NULL},
        {"", NULL, "line 1"},
        {"[]", NULL, "not a JSON object"},
        {"{}", NULL, "defaultAction"},
        {"{\"defaultAction\":\"ALLOW\"}", NULL, "defaultAction"},
        {"{\"defaultAction\":\"SCMP_ACT_ALLOW\",\"architectures\":\"x\"}", NULL, "architectures"},
        {"{\"defaultAction\":\"SCMP_ACT_ALLOW\",\"flags\":[1]}", NULL, "flags"},
        {"{\"defaultAction\":\"SCMP_ACT_ALLOW\",\"defaultErrnoRet\":\"1\"}", NULL, "defaultErrnoRet"},
        {"{\"defaultAction\":\"SCMP_ACT_ALLOW\",\"syscalls\":{}}", NULL, "syscalls is not"},
        {"{\"defaultAction\":\"SCMP_ACT_ALLOW\",\"syscalls\":[5]}", NULL, "syscalls[0].names"},
        {"{\"defaultAction\":\"SCMP_ACT_ALLOW\",\"syscalls\":[{\"names\":[\"a\"]}]}", NULL,
         "syscalls[0].action"},
        {"{\"defaultAction\":\"SCMP_ACT_ALLOW\",\"syscalls\":[{\"names\":[\"a\"],\"action\":\"SCMP_ACT_LOG\","
         "\"args\":"
         "[{\"index\":6,\"value\":1,\"op\":\"SCMP_CMP_EQ\"}]}]}",
         NULL, "args[0]"},
        {"{\"defaultAction\":\"SCMP_ACT_ALLOW\",\"syscalls\":[{\"names\":[\"a\"],\"action\":\"SCMP_ACT_LOG\","
         "\"args\":1}]}",
         NULL, "args is not"},
        {"{\"defaultAction\":\"SCMP_ACT_ALLOW\",\"syscalls\":[{\"names\":[\"a\"],\"action\":\"SCMP_ACT_ERRNO\","
         "\"errnoRet\":"
         "\"x\"}]}",
         NULL, "errnoRet"},
    };

    (void)state;
    for (size_t i = 0; i < countof(rows); i++) {
        cleanup_free char *got = NULL;
        struct err err = {0};
        int r = seccomp_localhost(rows[i].text, &got, &err);
        if (rows[i].want) {
            assert_int_equal(r, 0);
            assert_string_equal(got, rows[i].want);
            continue;
        }
        assert_int_equal(r, -EINVAL);
        if (!strstr(err.msg, rows[i].says))
            fail_msg("\"%s\" does not say %s", err.msg, rows[i].says);
    }
}

static void a_profile_has_a_limit(void **state)
{
    cleanup_free char *big = mem_alloc(SECCOMP_PROFILE_MAX + 2), *got = NULL;
    struct err err = {0};

    (void)state;
    memset(big, ' ', SECCOMP_PROFILE_MAX + 1);
    assert_int_equal(seccomp_localhost(big, &got, &err), -EINVAL);
    assert_non_null(strstr(err.msg, "larger"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(capabilities_open_calls),
        cmocka_unit_test(conditions),
        cmocka_unit_test(localhost_profiles),
        cmocka_unit_test(a_profile_has_a_limit),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
