/* From an OCI configuration to an exec plan: each field, and what is left to the OCI runtime. */
#include "core/exec_plan_make.c"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

static const char *const cgroups[] = {"/cg/pids/x", "/cg/memory/x", NULL};
static const struct exec_plan_env env = {
    .style = EXEC_AS_CRUN, .id = "abc", .cgroup_v2 = "/cg/unified/x", .cgroups = cgroups, .kernel_major = 6};

#define CAPS                                                                                                   \
    "\"capabilities\":{\"bounding\":[\"CAP_CHOWN\",\"CAP_KILL\"],\"permitted\":[\"CAP_KILL\"],\"ambient\":["   \
    "\"CAP_CHOWN\"]}"
#define PROCESS(more)                                                                                          \
    "{\"process\":{\"user\":{\"uid\":7,\"gid\":8,\"additionalGids\":[8,9]},\"cwd\":\"/"                        \
    "w\",\"args\":[\"sleep\"]," CAPS more "}"
#define CONFIG(more) PROCESS(more) ",\"linux\":{\"namespaces\":[{\"type\":\"pid\"}]}}"
#define LINUX(more)  PROCESS("") ",\"linux\":{\"namespaces\":[{\"type\":\"pid\"}]" more "}}"

static struct buf plan;

static struct exec_plan make(const char *config, const struct exec_plan_env *e)
{
    json_t *j = json_loads(config, 0, NULL);
    struct exec_plan p;

    assert_non_null(j);
    buf_done(&plan);
    exec_plan_make(j, e, &plan);
    json_decref(j);
    assert_true(exec_plan_read(plan.data, plan.len, &p));
    return p;
}

static void each_field_is_taken(void **state)
{
    struct exec_plan p =
        make(CONFIG(",\"env\":[\"PATH=/bin:/sbin\",\"A=\"],\"noNewPrivileges\":true,\"oomScoreAdj\":-5,"
                    "\"terminal\":true,\"rlimits\":[{\"type\":\"RLIMIT_NOFILE\",\"soft\":5,\"hard\":6}]"),
             &env);

    (void)state;
    assert_null(p.refused);
    assert_int_equal(p.head->flags,
                     EXEC_PLAN_NO_NEW_PRIVS | EXEC_PLAN_OOM_SCORE_ADJ); /* a terminal is the command's choice */
    assert_int_equal(p.head->uid, 7);
    assert_int_equal(p.head->gid, 8);
    assert_int_equal(p.head->umask, 022);
    assert_int_equal(p.head->oom_score_adj, -5);
    assert_int_equal(p.head->caps[EXEC_CAP_BOUNDING], 1 << 0 | 1 << 5);
    assert_int_equal(p.head->caps[EXEC_CAP_PERMITTED], 1 << 5);
    assert_int_equal(p.head->caps[EXEC_CAP_EFFECTIVE], 0);
    assert_int_equal(p.head->caps[EXEC_CAP_AMBIENT], 1);
    assert_int_equal(p.head->rlimits_n, 1);
    assert_int_equal(p.rlimits[0].which, RLIMIT_NOFILE);
    assert_int_equal(p.rlimits[0].hard, 6);
    assert_int_equal(p.head->gids_n, 2);
    assert_int_equal(p.gids[1], 9);
    assert_string_equal(p.cgroup_v2, "/cg/unified/x");
    assert_int_equal(p.cgroups.n, 2);
    assert_string_equal(p.keyring, "");
    assert_string_equal(p.cwd, "/w");
    assert_int_equal(p.env.n, 2);
    assert_int_equal(p.args.n, 0);
    assert_int_equal(p.head->bpf_n, 0);
}

static void runc_differs(void **state)
{
    struct exec_plan_env e = env;

    (void)state;
    e.style = EXEC_AS_RUNC;
    struct exec_plan p = make(CONFIG(""), &e);
    assert_int_equal(p.head->flags, EXEC_PLAN_AS_RUNC);
    assert_string_equal(p.keyring, "_ses.abc");
}

static void a_filter_is_compiled(void **state)
{
    static const char config[] =
        LINUX(",\"seccomp\":{\"defaultAction\":\"SCMP_ACT_ALLOW\",\"syscalls\":[{\"names\":[\"mkdir\"],"
              "\"action\":\"SCMP_ACT_ERRNO\"}]}");
    struct exec_plan_env e = env;

    (void)state;
    struct exec_plan p = make(config, &e);
    assert_true(p.head->bpf_n > 4);
    assert_int_equal(p.head->seccomp_flags, 4);
    e.mitigated = true;
    p = make(config, &e);
    assert_int_equal(p.head->seccomp_flags, 0);
}

static void what_is_not_known_is_refused(void **state)
{
    static const struct {
        const char *config, *why;
    } rows[] = {
        {CONFIG(",\"apparmorProfile\":\"x\""), "apparmorProfile"},
        {CONFIG(",\"selinuxLabel\":\"x\""), "selinuxLabel"},
        {CONFIG(",\"scheduler\":{}"), "scheduler"},
        {CONFIG(",\"ioPriority\":{}"), "ioPriority"},
        {CONFIG(",\"env\":[\"noequal\"]"), "noequal"},
        {CONFIG(",\"env\":[\"=x\"]"), "=x"},
        {CONFIG(",\"env\":[\"A=1\",\"B=2\",\"A=3\"]"), "A=3"},
        {CONFIG(",\"env\":[\"PATH=/bin:\"]"), "PATH"},
        {CONFIG(",\"env\":[\"PATH=bin\"]"), "PATH"},
        {CONFIG(",\"env\":[\"HOME=\"]"), "HOME"},
        {CONFIG(",\"rlimits\":[{\"type\":\"RLIMIT_FLY\",\"soft\":5,\"hard\":6}]"), "RLIMIT_FLY"},
        {LINUX(",\"uidMappings\":[]"), "uidMappings"},
        {LINUX(",\"personality\":{}"), "personality"},
        {LINUX(",\"seccomp\":{\"defaultAction\":\"SCMP_ACT_NOTIFY\"}"), "SCMP_ACT_NOTIFY"},
        {LINUX(",\"seccomp\":{\"defaultAction\":\"SCMP_ACT_ALLOW\",\"listenerPath\":\"/x\"}"), "listener"},
        {LINUX(",\"seccomp\":{\"defaultAction\":\"SCMP_ACT_ALLOW\",\"architectures\":[\"SCMP_ARCH_Z80\"]}"),
         "SCMP_ARCH_Z80"},
        {LINUX(",\"seccomp\":{\"defaultAction\":\"SCMP_ACT_ALLOW\",\"flags\":[\"SECCOMP_FILTER_FLAG_X\"]}"),
         "FLAG_X"},
        {"{\"process\":{\"user\":{\"uid\":1,\"gid\":2}},\"linux\":{}}", "capabilities"},
        {"{\"process\":{\"user\":{\"uid\":-1,\"gid\":2}," CAPS "},\"linux\":{}}", "uid"},
        {"{\"process\":{\"user\":{\"uid\":1,\"gid\":2,\"name\":\"x\"}," CAPS "},\"linux\":{}}", "name"},
        {"{\"process\":{\"user\":{\"uid\":1,\"gid\":2}," CAPS
         "},\"linux\":{\"namespaces\":[{\"type\":\"user\"}]}}",
         "user"},
        {"{}", "process"},
    };
    struct exec_plan_env e = env;

    (void)state;
    for (size_t i = 0; i < countof(rows); i++) {
        struct exec_plan p = make(rows[i].config, &env);
        assert_non_null(p.refused);
        assert_non_null(strstr(p.refused, rows[i].why));
    }
    e.kernel_major = 5;
    e.kernel_minor = 10;
    assert_non_null(strstr(make(CONFIG(""), &e).refused, "5.11"));
    e = env;
    e.cgroup_v2 = NULL;
    e.cgroups = NULL;
    assert_non_null(strstr(make(CONFIG(""), &e).refused, "cgroup"));
}

static void a_command_is_put_behind(void **state)
{
    const char *const argv[] = {"echo", "", "a b", NULL}, *const none[] = {NULL}, *const empty[] = {"", NULL};
    static const char *many[EXEC_PLAN_STRINGS_MAX + 2];
    cleanup_free void *block = NULL;
    struct exec_plan p;
    struct err err;
    size_t len;

    (void)state;
    make(CONFIG(""), &env);
    assert_int_equal(exec_plan_command(&plan, argv, true, &block, &len, &err), 0);
    assert_true(exec_plan_read(block, len, &p));
    assert_int_equal(p.head->flags, EXEC_PLAN_TTY);
    assert_int_equal(p.args.n, 3);
    assert_string_equal(exec_plan_next(&p.args), "echo");
    assert_string_equal(exec_plan_next(&p.args), "");
    assert_string_equal(exec_plan_next(&p.args), "a b");
    assert_true(exec_plan_command(&plan, none, false, &block, &len, &err) < 0);
    assert_true(exec_plan_command(&plan, empty, false, &block, &len, &err) < 0);
    for (size_t i = 0; i <= EXEC_PLAN_STRINGS_MAX; i++)
        many[i] = "x";
    assert_true(exec_plan_command(&plan, many, false, &block, &len, &err) < 0);
    assert_int_equal(err.grpc, GRPC_INVALID_ARGUMENT);
    make("{}", &env);
    assert_true(exec_plan_command(&plan, argv, false, &block, &len, &err) < 0);
    assert_int_equal(err.grpc, GRPC_UNIMPLEMENTED);
}

static int done(void **state)
{
    (void)state;
    buf_done(&plan);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_field_is_taken),     cmocka_unit_test(runc_differs),
        cmocka_unit_test(a_filter_is_compiled),    cmocka_unit_test(what_is_not_known_is_refused),
        cmocka_unit_test(a_command_is_put_behind),
    };
    return cmocka_run_group_tests(tests, NULL, done);
}
