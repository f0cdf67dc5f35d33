#include "core/seccomp.h"
#include "core/buf.h"
#include "core/caps.h"
#include "core/mem.h"

#include <jansson.h>
#include <linux/capability.h>
#include <stdbool.h>
#include <string.h>

struct seccomp_arch {
    const char *name;
    const char *json; /* "architectures" for a host of that kind: itself and what its kernel also runs */
};

struct seccomp_rule {
    const char *json;                    /* an entry of "syscalls" */
    const char *arches, *not_arches;     /* " amd64 x32 ": holds (not) on one of these; NULL: on any */
    uint64_t caps, not_caps;             /* holds if the container has all (none) of these; 0: always */
    unsigned kernel_major, kernel_minor; /* holds from this kernel on */
};

#include "seccomp_table.h"

/* The profile's name (with spaces around) and libseccomp's name of the architecture that we were built for. */
#if defined(__x86_64__)
static const char arch_word[] = " amd64 ", arch_name[] = "SCMP_ARCH_X86_64";
#elif defined(__aarch64__)
static const char arch_word[] = " arm64 ", arch_name[] = "SCMP_ARCH_AARCH64";
#elif defined(__arm__)
static const char arch_word[] = " arm ", arch_name[] = "SCMP_ARCH_ARM";
#elif defined(__i386__)
static const char arch_word[] = " x86 ", arch_name[] = "SCMP_ARCH_X86";
#elif defined(__riscv) && __riscv_xlen == 64
static const char arch_word[] = " riscv64 ", arch_name[] = "SCMP_ARCH_RISCV64";
#elif defined(__powerpc64__) && __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
static const char arch_word[] = " ppc64le ", arch_name[] = "SCMP_ARCH_PPC64LE";
#elif defined(__s390x__)
static const char arch_word[] = " s390x ", arch_name[] = "SCMP_ARCH_S390X";
#else
#error "core/seccomp.c: name this architecture as the seccomp profile and libseccomp do"
#endif

static bool kernel_is_older(const struct seccomp_rule *r, const struct seccomp_env *env)
{
    return env->kernel_major < r->kernel_major ||
           (env->kernel_major == r->kernel_major && env->kernel_minor < r->kernel_minor);
}

static bool rule_holds(const struct seccomp_rule *r, const struct seccomp_env *env, const char *arch)
{
    if (r->arches && !strstr(r->arches, arch))
        return false;
    if (r->not_arches && strstr(r->not_arches, arch))
        return false;
    if (r->caps & ~env->caps)
        return false;
    if (r->not_caps & env->caps)
        return false;
    return !kernel_is_older(r, env);
}

char *seccomp_runtime_default(const struct seccomp_env *env)
{
    struct buf b = {0};
    bool first = true;

    buf_adds(&b, seccomp_default_head);
    for (size_t i = 0; i < countof(seccomp_arches); i++)
        if (strcmp(seccomp_arches[i].name, arch_name) == 0) { /* without: the runtime takes its own */
            buf_adds(&b, ",\"architectures\":");
            buf_adds(&b, seccomp_arches[i].json);
        }
    buf_adds(&b, ",\"syscalls\":[");
    for (size_t i = 0; i < countof(seccomp_rules); i++) {
        if (!rule_holds(&seccomp_rules[i], env, arch_word))
            continue;
        buf_adds(&b, first ? "" : ",");
        buf_adds(&b, seccomp_rules[i].json);
        first = false;
    }
    buf_adds(&b, "]}");
    return buf_steal(&b);
}

static const char *const actions[] = {
    "SCMP_ACT_KILL",  "SCMP_ACT_KILL_PROCESS", "SCMP_ACT_KILL_THREAD", "SCMP_ACT_TRAP",   "SCMP_ACT_ERRNO",
    "SCMP_ACT_TRACE", "SCMP_ACT_ALLOW",        "SCMP_ACT_LOG",         "SCMP_ACT_NOTIFY",
};
static const char *const operators[] = {
    "SCMP_CMP_NE", "SCMP_CMP_LT", "SCMP_CMP_LE",        "SCMP_CMP_EQ",
    "SCMP_CMP_GE", "SCMP_CMP_GT", "SCMP_CMP_MASKED_EQ",
};

static bool is_one_of(const json_t *v, const char *const *list, size_t n)
{
    const char *s = json_string_value(v);

    for (size_t i = 0; s && i < n; i++)
        if (strcmp(list[i], s) == 0)
            return true;
    return false;
}

static bool is_strings(const json_t *v)
{
    size_t i;
    json_t *s;

    if (!json_is_array(v))
        return false;
    json_array_foreach (v, i, s)
        if (!json_is_string(s))
            return false;
    return true;
}

/* Drops every member but these. */
static void keep_only(json_t *object, const char *const *keys, size_t n)
{
    const char *key;
    json_t *v;
    void *next;

    json_object_foreach_safe(object, next, key, v)
    {
        bool keep = false;
        for (size_t i = 0; i < n; i++)
            keep = keep || strcmp(keys[i], key) == 0;
        if (!keep || json_is_null(v))
            json_object_del(object, key);
    }
}

static int check_args(json_t *args, size_t at, struct err *err)
{
    static const char *const keys[] = {"index", "value", "valueTwo", "op"};
    size_t i;
    json_t *a;

    if (args && !json_is_array(args))
        return err_set(err, GRPC_INVALID_ARGUMENT, 0, "seccomp profile: syscalls[%zu].args is not an array",
                       at);
    json_array_foreach (args, i, a) {
        json_int_t index = json_integer_value(json_object_get(a, "index"));
        if (!json_is_integer(json_object_get(a, "index")) || index < 0 || index > 5 ||
            !json_is_number(json_object_get(a, "value")) ||
            !is_one_of(json_object_get(a, "op"), operators, countof(operators)))
            return err_set(err, GRPC_INVALID_ARGUMENT, 0,
                           "seccomp profile: syscalls[%zu].args[%zu] needs index 0 to 5, value and op", at, i);
        keep_only(a, keys, countof(keys));
    }
    return 0;
}

static int check_syscall(json_t *s, size_t at, struct err *err)
{
    static const char *const keys[] = {"names", "action", "errnoRet", "args"};
    const json_t *names = json_object_get(s, "names"), *number = json_object_get(s, "errnoRet");

    if (!is_strings(names) || json_array_size(names) == 0)
        return err_set(err, GRPC_INVALID_ARGUMENT, 0,
                       "seccomp profile: syscalls[%zu].names is not a list of names", at);
    if (!is_one_of(json_object_get(s, "action"), actions, countof(actions)))
        return err_set(err, GRPC_INVALID_ARGUMENT, 0,
                       "seccomp profile: syscalls[%zu].action is not an SCMP_ACT_*", at);
    if (number && !json_is_null(number) && !json_is_integer(number))
        return err_set(err, GRPC_INVALID_ARGUMENT, 0, "seccomp profile: syscalls[%zu].errnoRet is not a number",
                       at);
    keep_only(s, keys, countof(keys));
    return check_args(json_object_get(s, "args"), at, err);
}

static int check_top(json_t *root, struct err *err)
{
    static const char *const keys[] = {"defaultAction", "defaultErrnoRet",  "architectures", "flags",
                                       "listenerPath",  "listenerMetadata", "syscalls"};
    static const char *const lists[] = {"architectures", "flags"};

    if (!json_is_object(root))
        return err_set(err, GRPC_INVALID_ARGUMENT, 0, "seccomp profile: not a JSON object");
    keep_only(root, keys, countof(keys));
    if (!is_one_of(json_object_get(root, "defaultAction"), actions, countof(actions)))
        return err_set(err, GRPC_INVALID_ARGUMENT, 0,
                       "seccomp profile: defaultAction is missing or not an SCMP_ACT_*");
    for (size_t i = 0; i < countof(lists); i++) {
        const json_t *v = json_object_get(root, lists[i]);
        if (v && !is_strings(v))
            return err_set(err, GRPC_INVALID_ARGUMENT, 0, "seccomp profile: %s is not a list of names",
                           lists[i]);
    }
    const json_t *number = json_object_get(root, "defaultErrnoRet"), *calls = json_object_get(root, "syscalls");
    if (number && !json_is_integer(number))
        return err_set(err, GRPC_INVALID_ARGUMENT, 0, "seccomp profile: defaultErrnoRet is not a number");
    if (calls && !json_is_array(calls))
        return err_set(err, GRPC_INVALID_ARGUMENT, 0, "seccomp profile: syscalls is not an array");
    return 0;
}

static void json_put(json_t **j)
{
    json_decref(*j);
}

int seccomp_localhost(const char *json, char **ret_json, struct err *err)
{
    json_error_t where;
    size_t i, len = strnlen(json, SECCOMP_PROFILE_MAX + 1);
    json_t *s;
    int r;

    if (len > SECCOMP_PROFILE_MAX)
        return err_set(err, GRPC_INVALID_ARGUMENT, 0, "seccomp profile: larger than %d bytes",
                       SECCOMP_PROFILE_MAX);
    cleanup_with(json_put) json_t *root = json_loadb(json, len, JSON_REJECT_DUPLICATES, &where);
    if (!root)
        return err_set(err, GRPC_INVALID_ARGUMENT, 0, "seccomp profile: line %d: %s", where.line, where.text);
    if ((r = check_top(root, err)) < 0)
        return r;
    json_array_foreach (json_object_get(root, "syscalls"), i, s)
        if ((r = check_syscall(s, i, err)) < 0)
            return r;
    *ret_json = json_dumps(root, JSON_COMPACT);
    if (!*ret_json)
        abort();
    return 0;
}
