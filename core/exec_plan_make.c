#include "core/exec_plan_make.h"
#include "core/caps.h"
#include "core/mem.h"
#include "core/seccomp_bpf.h"

#include <string.h>
#include <sys/resource.h>

/* setns(2) by pidfd and close_range(2) */
enum { KERNEL_MAJOR = 5, KERNEL_MINOR = 11 };

struct make {
    const json_t *process, *lin;
    const struct exec_plan_env *env;
    struct exec_plan_head head;
    struct exec_plan_rlimit rlimits[EXEC_PLAN_RLIMITS_MAX];
    size_t rlimits_n;
    struct seccomp_program seccomp;
    struct err *err;
};

static int refuse(struct make *m, const char *what, const char *value)
{
    return err_set(m->err, GRPC_UNIMPLEMENTED, 0, "%s %.100s is left to the OCI runtime", what, value);
}

/* ---- what there may be ---- */

static int check_members(struct make *m, const json_t *object, const char *what, const char *known)
{
    const char *key;
    json_t *v;

    json_object_foreach ((json_t *)(uintptr_t)object, key, v) {
        cleanup_free char *word = mem_printf(" %s ", key);
        if (!strstr(known, word))
            return refuse(m, what, key);
    }
    return 0;
}

static int check_namespaces(struct make *m)
{
    const json_t *ns;
    size_t i;

    json_array_foreach (json_object_get(m->lin, "namespaces"), i, ns) {
        const char *type = json_string_value(json_object_get(ns, "type"));
        if (!type || strcmp(type, "user") == 0)
            return refuse(m, "namespace", type ? type : "(not a text)");
    }
    return 0;
}

static int check(struct make *m)
{
    const struct exec_plan_env *e = m->env;
    int r = 0;

    if (e->kernel_major < KERNEL_MAJOR || (e->kernel_major == KERNEL_MAJOR && e->kernel_minor < KERNEL_MINOR))
        return refuse(m, "exec", "on a kernel older than 5.11");
    if (!e->cgroup_v2 && (!e->cgroups || !e->cgroups[0]))
        return refuse(m, "a container", "without a cgroup");
    r = check_members(m, m->process, "process.",
                      " terminal user args env cwd capabilities noNewPrivileges oomScoreAdj rlimits ");
    if (r == 0)
        r = check_members(m, m->lin, "linux.",
                          " namespaces resources devices cgroupsPath sysctl rootfsPropagation maskedPaths "
                          "readonlyPaths mountLabel seccomp ");
    if (r == 0)
        r = check_members(m, json_object_get(m->process, "user"), "process.user.",
                          " uid gid umask additionalGids ");
    return r == 0 ? check_namespaces(m) : r;
}

/* The runtimes differ in what they make of an environment with doubles, or of a PATH that is relative to somewhere. */
static int check_path(struct make *m, const char *path)
{
    for (;;) {
        if (*path != '/')
            return refuse(m, "a directory in PATH", "that is not absolute");
        path = strchr(path, ':');
        if (!path)
            return 0;
        path++;
    }
}

static int check_env(struct make *m)
{
    const json_t *env = json_object_get(m->process, "env"), *v;
    size_t i;

    if (json_array_size(env) > EXEC_PLAN_STRINGS_MAX - 1) /* HOME may be added */
        return refuse(m, "an environment", "of that many variables");
    json_array_foreach (env, i, v) {
        const char *s = json_string_value(v), *eq = s ? strchr(s, '=') : NULL;
        if (!eq || eq == s)
            return refuse(m, "environment variable", s ? s : "(not a text)");
        for (size_t k = 0; k < i; k++)
            if (strncmp(json_string_value(json_array_get(env, k)), s, (size_t)(eq - s) + 1) == 0)
                return refuse(m, "twice-set environment variable", s);
        if (strncmp(s, "PATH=", 5) == 0 && check_path(m, s + 5) < 0)
            return err_errno(m->err);
        if (strcmp(s, "HOME=") == 0)
            return refuse(m, "an empty", "HOME");
    }
    return 0;
}

/* ---- numbers ---- */

static int take_id(struct make *m, const json_t *from, const char *key, int64_t fallback, uint32_t *ret_id)
{
    const json_t *v = json_object_get(from, key);
    int64_t n = v ? json_integer_value(v) : fallback;

    if ((v && !json_is_integer(v)) || n < 0 || n >= UINT32_MAX)
        return refuse(m, "process.user.", key);
    *ret_id = (uint32_t)n;
    return 0;
}

static int take_user(struct make *m)
{
    const json_t *user = json_object_get(m->process, "user"), *v;
    size_t i;
    int r = take_id(m, user, "uid", -1, &m->head.uid);

    if (r == 0)
        r = take_id(m, user, "gid", -1, &m->head.gid);
    if (r == 0)
        r = take_id(m, user, "umask", 022, &m->head.umask);
    json_array_foreach (json_object_get(user, "additionalGids"), i, v)
        if (r == 0 && (i >= EXEC_PLAN_GIDS_MAX || !json_is_integer(v) || json_integer_value(v) < 0 ||
                       json_integer_value(v) >= UINT32_MAX))
            r = refuse(m, "process.user.", "additionalGids");
    return r;
}

static int take_caps(struct make *m)
{
    static const char *const names[EXEC_CAPS] = {
        [EXEC_CAP_BOUNDING] = "bounding",       [EXEC_CAP_EFFECTIVE] = "effective",
        [EXEC_CAP_INHERITABLE] = "inheritable", [EXEC_CAP_PERMITTED] = "permitted",
        [EXEC_CAP_AMBIENT] = "ambient",
    };
    const json_t *caps = json_object_get(m->process, "capabilities"), *v;
    size_t k;

    if (!caps)
        return refuse(m, "a process without", "capabilities");
    for (size_t i = 0; i < EXEC_CAPS; i++)
        json_array_foreach (json_object_get(caps, names[i]), k, v) {
            int n = json_is_string(v) ? cap_number(json_string_value(v)) : -1;
            if (n < 0)
                return refuse(m, "capability", json_is_string(v) ? json_string_value(v) : "(not a text)");
            m->head.caps[i] |= CAP_BIT(n);
        }
    return 0;
}

static int take_rlimits(struct make *m)
{
    static const struct {
        const char *name;
        int which;
    } limits[] = {
        {"RLIMIT_AS", RLIMIT_AS},
        {"RLIMIT_CORE", RLIMIT_CORE},
        {"RLIMIT_CPU", RLIMIT_CPU},
        {"RLIMIT_DATA", RLIMIT_DATA},
        {"RLIMIT_FSIZE", RLIMIT_FSIZE},
        {"RLIMIT_LOCKS", RLIMIT_LOCKS},
        {"RLIMIT_MEMLOCK", RLIMIT_MEMLOCK},
        {"RLIMIT_MSGQUEUE", RLIMIT_MSGQUEUE},
        {"RLIMIT_NICE", RLIMIT_NICE},
        {"RLIMIT_NOFILE", RLIMIT_NOFILE},
        {"RLIMIT_NPROC", RLIMIT_NPROC},
        {"RLIMIT_RSS", RLIMIT_RSS},
        {"RLIMIT_RTPRIO", RLIMIT_RTPRIO},
        {"RLIMIT_RTTIME", RLIMIT_RTTIME},
        {"RLIMIT_SIGPENDING", RLIMIT_SIGPENDING},
        {"RLIMIT_STACK", RLIMIT_STACK},
    };
    const json_t *v;
    size_t i, k;

    json_array_foreach (json_object_get(m->process, "rlimits"), i, v) {
        const char *type = json_string_value(json_object_get(v, "type"));
        const json_t *soft = json_object_get(v, "soft"), *hard = json_object_get(v, "hard");
        for (k = 0; k < countof(limits) && type && strcmp(limits[k].name, type) != 0; k++)
            ;
        if (!type || k == countof(limits) || m->rlimits_n == EXEC_PLAN_RLIMITS_MAX || !json_is_integer(soft) ||
            !json_is_integer(hard))
            return refuse(m, "rlimit", type ? type : "(not a text)");
        m->rlimits[m->rlimits_n++] = (struct exec_plan_rlimit){
            .which = (uint32_t)limits[k].which,
            .soft = (uint64_t)json_integer_value(soft),
            .hard = (uint64_t)json_integer_value(hard),
        };
    }
    return 0;
}

static int take_seccomp(struct make *m)
{
    const json_t *profile = json_object_get(m->lin, "seccomp");

    if (!profile)
        return 0;
    if (seccomp_compile(profile, m->env->style == EXEC_AS_RUNC, &m->seccomp, m->err) < 0)
        return err_errno(m->err);
    m->head.seccomp_flags = m->seccomp.flags;
    /* crun and runc have different defaults, and runc's changed with its versions: as the container's own process has it */
    if (!m->seccomp.flags_set && !m->env->mitigated)
        m->head.seccomp_flags |= 1u << 2; /* SECCOMP_FILTER_FLAG_SPEC_ALLOW */
    return 0;
}

static int take_all(struct make *m)
{
    const json_t *adj = json_object_get(m->process, "oomScoreAdj");
    int r = check(m);

    if (r < 0 || (r = check_env(m)) < 0 || (r = take_user(m)) < 0 || (r = take_caps(m)) < 0 ||
        (r = take_rlimits(m)) < 0)
        return r;
    if (json_is_true(json_object_get(m->process, "noNewPrivileges")))
        m->head.flags |= EXEC_PLAN_NO_NEW_PRIVS;
    if (adj) {
        m->head.flags |= EXEC_PLAN_OOM_SCORE_ADJ;
        m->head.oom_score_adj = (int32_t)json_integer_value(adj);
    }
    if (m->env->style == EXEC_AS_RUNC)
        m->head.flags |= EXEC_PLAN_AS_RUNC;
    return take_seccomp(m);
}

/* ---- writing it ---- */

static void put_gids(struct make *m, struct exec_plan_builder *b)
{
    const json_t *gids = json_object_get(json_object_get(m->process, "user"), "additionalGids"), *v;
    size_t i, n = json_array_size(gids);
    cleanup_free uint32_t *list = mem_alloc(n * sizeof(*list));

    json_array_foreach (gids, i, v)
        list[i] = (uint32_t)json_integer_value(v);
    exec_plan_put_gids(b, list, n);
}

static void put_all(struct make *m, struct exec_plan_builder *b)
{
    const struct exec_plan_env *e = m->env;
    const char *cwd = json_string_value(json_object_get(m->process, "cwd"));
    cleanup_free char *keyring = e->style == EXEC_AS_RUNC ? mem_printf("_ses.%s", e->id) : mem_strdup("");
    const json_t *v;
    size_t i;

    exec_plan_put_rlimits(b, m->rlimits, m->rlimits_n);
    exec_plan_put_bpf(b, (const struct exec_plan_bpf *)(const void *)m->seccomp.bpf.data,
                      m->seccomp.bpf.len / sizeof(struct exec_plan_bpf));
    put_gids(m, b);
    exec_plan_put_string(b, e->cgroup_v2 ? e->cgroup_v2 : "");
    for (i = 0; e->cgroups && e->cgroups[i]; i++)
        exec_plan_put_cgroup(b, e->cgroups[i]);
    exec_plan_put_string(b, keyring);
    exec_plan_put_string(b, cwd && cwd[0] ? cwd : "/");
    json_array_foreach (json_object_get(m->process, "env"), i, v)
        exec_plan_put_env(b, json_string_value(v));
}

static size_t put_refusal(struct exec_plan_builder *b, void *block, const char *why)
{
    struct exec_plan_head head = {.flags = EXEC_PLAN_REFUSED};

    exec_plan_begin(b, block, EXEC_PLAN_MAX, &head);
    exec_plan_put_string(b, why);
    return exec_plan_finish(b);
}

void exec_plan_make(const json_t *config, const struct exec_plan_env *env, struct buf *ret_plan)
{
    cleanup_free void *block = mem_alloc(EXEC_PLAN_MAX);
    struct exec_plan_builder b;
    struct err err;
    struct make m = {.process = json_object_get(config, "process"),
                     .lin = json_object_get(config, "linux"),
                     .env = env,
                     .err = &err};
    size_t n;

    if (take_all(&m) < 0) {
        n = put_refusal(&b, block, err.msg);
    } else {
        exec_plan_begin(&b, block, EXEC_PLAN_MAX, &m.head);
        put_all(&m, &b);
        n = exec_plan_finish(&b);
        if (n == 0)
            n = put_refusal(&b, block, "a process with that long an environment is left to the OCI runtime");
    }
    buf_add(ret_plan, block, n);
    seccomp_program_done(&m.seccomp);
}

static size_t size_with(const struct buf *plan, const char *const *argv)
{
    size_t size = plan->len;

    for (size_t i = 0; argv[i]; i++)
        size += strlen(argv[i]) + 1;
    return size;
}

int exec_plan_command(const struct buf *plan, const char *const *argv, bool tty, void **ret_plan,
                      size_t *ret_len, struct err *err)
{
    size_t size = size_with(plan, argv);
    struct exec_plan_builder b;
    struct exec_plan p;

    if (!argv[0] || !argv[0][0] || size > EXEC_PLAN_MAX)
        return err_set(err, GRPC_INVALID_ARGUMENT, 0, "a command of %zu bytes does not fit into a plan", size);
    cleanup_free char *block = mem_alloc(size);
    memcpy(block, plan->data, plan->len);
    if (!exec_plan_read(block, plan->len, &p))
        return err_set(err, GRPC_UNIMPLEMENTED, 0, "the plan is of another version, or damaged");
    if (p.refused)
        return err_set(err, GRPC_UNIMPLEMENTED, 0, "%.300s", p.refused);
    exec_plan_resume(&b, block, size, plan->len);
    exec_plan_set_flags(&b, tty ? EXEC_PLAN_TTY : 0);
    for (size_t i = 0; argv[i]; i++)
        exec_plan_put_arg(&b, argv[i]);
    *ret_len = exec_plan_finish(&b);
    if (*ret_len == 0)
        return err_set(err, GRPC_INVALID_ARGUMENT, 0,
                       "a command of more than %d words does not fit into a plan", EXEC_PLAN_STRINGS_MAX);
    *ret_plan = steal_ptr(&block);
    return 0;
}
