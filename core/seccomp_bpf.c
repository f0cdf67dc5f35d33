#include "core/seccomp_bpf.h"

#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <seccomp.h>
#include <stddef.h>
#include <string.h>
#include <strings.h>
#include <sys/mman.h>

enum { ARCHES_MAX = 16, ARGS_MAX = 6, X32_BIT = 0x40000000 };

static int refuse(struct err *err, const char *what, const char *value)
{
    return err_set(err, GRPC_UNIMPLEMENTED, 0, "seccomp: %s %.60s is left to the OCI runtime", what,
                   value ? value : "(not a text)");
}

/* ---- words ---- */

struct word {
    const char *name;
    uint32_t value;
};

static const struct word actions[] = {
    {"SCMP_ACT_KILL", SCMP_ACT_KILL_THREAD},
    {"SCMP_ACT_KILL_THREAD", SCMP_ACT_KILL_THREAD},
    {"SCMP_ACT_KILL_PROCESS", SCMP_ACT_KILL_PROCESS},
    {"SCMP_ACT_TRAP", SCMP_ACT_TRAP},
    {"SCMP_ACT_ERRNO", SCMP_ACT_ERRNO(0)},
    {"SCMP_ACT_TRACE", SCMP_ACT_TRACE(0)},
    {"SCMP_ACT_ALLOW", SCMP_ACT_ALLOW},
    {"SCMP_ACT_LOG", SCMP_ACT_LOG},
};
static const struct word operators[] = {
    {"SCMP_CMP_NE", SCMP_CMP_NE},
    {"SCMP_CMP_LT", SCMP_CMP_LT},
    {"SCMP_CMP_LE", SCMP_CMP_LE},
    {"SCMP_CMP_EQ", SCMP_CMP_EQ},
    {"SCMP_CMP_GE", SCMP_CMP_GE},
    {"SCMP_CMP_GT", SCMP_CMP_GT},
    {"SCMP_CMP_MASKED_EQ", SCMP_CMP_MASKED_EQ},
};
static const struct word flags[] = {
    {"SECCOMP_FILTER_FLAG_TSYNC", 0}, /* one thread: nothing to synchronize */
    {"SECCOMP_FILTER_FLAG_LOG", SECCOMP_FILTER_FLAG_LOG},
    {"SECCOMP_FILTER_FLAG_SPEC_ALLOW", SECCOMP_FILTER_FLAG_SPEC_ALLOW},
};

static bool find_word(const struct word *words, size_t n, const json_t *j, uint32_t *ret_value)
{
    const char *s = json_string_value(j);

    for (size_t i = 0; s && i < n; i++)
        if (strcmp(words[i].name, s) == 0) {
            *ret_value = words[i].value;
            return true;
        }
    return false;
}

/* ERRNO and TRACE carry a number, EPERM where none is given. */
static int take_action(const json_t *action, const json_t *number, uint32_t *ret_action, struct err *err)
{
    uint32_t a, n = EPERM;

    if (!find_word(actions, countof(actions), action, &a))
        return refuse(err, "action", json_string_value(action));
    if (json_is_integer(number))
        n = (uint32_t)json_integer_value(number) & 0xffff;
    *ret_action = a == SCMP_ACT_ERRNO(0) || a == SCMP_ACT_TRACE(0) ? a | n : a;
    return 0;
}

/* ---- rules ---- */

struct compile {
    const json_t *profile;
    scmp_filter_ctx ctx;
    uint32_t fallback; /* the default action */
    uint32_t arches[ARCHES_MAX];
    size_t arches_n;
};

static int take_arches(struct compile *c, struct err *err)
{
    const json_t *list = json_object_get(c->profile, "architectures"), *j;
    size_t i;

    c->arches[c->arches_n++] = seccomp_arch_native();
    json_array_foreach (list, i, j) {
        const char *s = json_string_value(j);
        char name[32] = "";
        if (s && strncmp(s, "SCMP_ARCH_", 10) == 0)
            for (size_t k = 0; s[10 + k] && k < sizeof(name) - 1; k++)
                name[k] = s[10 + k] >= 'A' && s[10 + k] <= 'Z' ? (char)(s[10 + k] - 'A' + 'a') : s[10 + k];
        uint32_t arch = seccomp_arch_resolve_name(name);
        if (arch == 0 || c->arches_n == ARCHES_MAX)
            return refuse(err, "architecture", s);
        int r = seccomp_arch_add(c->ctx, arch);
        if (r < 0 && r != -EEXIST)
            return refuse(err, "architecture", s);
        if (r == 0)
            c->arches[c->arches_n++] = arch;
    }
    return 0;
}

static int take_args(const json_t *args, struct scmp_arg_cmp cmp[ARGS_MAX], unsigned *ret_n, bool *ret_several,
                     struct err *err)
{
    unsigned seen = 0, n = 0;
    size_t i;
    const json_t *a;

    *ret_several = false;
    json_array_foreach (args, i, a) {
        json_int_t index = json_integer_value(json_object_get(a, "index"));
        const json_t *value = json_object_get(a, "value"), *two = json_object_get(a, "valueTwo"),
                     *op = json_object_get(a, "op");
        uint32_t operator;
        if (n == ARGS_MAX || index < 0 || index >= ARGS_MAX || !json_is_integer(value) ||
            (two && !json_is_integer(two)) || !find_word(operators, countof(operators), op, &operator))
            return refuse(err, "argument with operator", json_string_value(op));
        *ret_several = *ret_several || (seen & 1u << index);
        seen |= 1u << index;
        cmp[n++] = (struct scmp_arg_cmp){
            .arg = (unsigned)index,
            .op = (enum scmp_compare) operator,
            .datum_a =(scmp_datum_t) json_integer_value(value),
            .datum_b = (scmp_datum_t)json_integer_value(two),
        };
    }
    *ret_n = n;
    return 0;
}

/* Conditions are all to hold; but libseccomp has one for an argument, and so the runtimes take several on one as "or". */
static int add_rule(struct compile *c, int number, uint32_t action, const struct scmp_arg_cmp *cmp, unsigned n,
                    bool several)
{
    int r = 0;

    if (!several)
        return seccomp_rule_add_array(c->ctx, action, number, n, cmp);
    for (unsigned i = 0; i < n && r == 0; i++)
        r = seccomp_rule_add_array(c->ctx, action, number, 1, &cmp[i]);
    return r;
}

static int take_rule(struct compile *c, const json_t *rule, struct err *err)
{
    struct scmp_arg_cmp cmp[ARGS_MAX];
    const json_t *name;
    uint32_t action;
    unsigned n = 0;
    bool several = false;
    size_t i;
    int r = take_action(json_object_get(rule, "action"), json_object_get(rule, "errnoRet"), &action, err);

    if (r == 0)
        r = take_args(json_object_get(rule, "args"), cmp, &n, &several, err);
    if (r < 0 || action == c->fallback)
        return r;
    json_array_foreach (json_object_get(rule, "names"), i, name) {
        const char *s = json_string_value(name);
        int number = s ? seccomp_syscall_resolve_name(s) : __NR_SCMP_ERROR;
        if (number == __NR_SCMP_ERROR)
            continue; /* of another architecture or a newer kernel: the runtimes skip it, too */
        r = add_rule(c, number, action, cmp, n, several);
        if (r < 0)
            return err_set(err, GRPC_UNIMPLEMENTED, -r, "seccomp: rule for %s is left to the OCI runtime", s);
    }
    return 0;
}

static int take_flags(const json_t *list, struct seccomp_program *p, struct err *err)
{
    const json_t *j;
    size_t i;

    p->flags_set = json_is_array(list);
    json_array_foreach (list, i, j) {
        uint32_t flag;
        if (!find_word(flags, countof(flags), j, &flag))
            return refuse(err, "flag", json_string_value(j));
        p->flags |= flag;
    }
    return 0;
}

/* ---- ENOSYS for newer calls ---- */

/*
 * runc's guard against profiles that are older than the kernel: a C library takes EPERM for a new call as final, and ENOSYS
 * as "use the old one". For each architecture, a number above all that the profile names.
 */
struct guard {
    uint32_t audit_arch;
    uint32_t last, last_x32; /* 0: none */
};

static uint32_t last_number(const json_t *profile, uint32_t arch)
{
    const json_t *rule, *name;
    size_t i, k;
    int last = 0;

    json_array_foreach (json_object_get(profile, "syscalls"), i, rule)
        json_array_foreach (json_object_get(rule, "names"), k, name) {
            const char *s = json_string_value(name);
            int n = s ? seccomp_syscall_resolve_name_arch(arch, s) : __NR_SCMP_ERROR;
            last = n > last ? n : last;
        }
    return (uint32_t)last;
}

static size_t find_guards(const struct compile *c, struct guard *ret_guards)
{
    size_t n = 0, k;

    for (size_t i = 0; i < c->arches_n; i++) {
        bool x32 = c->arches[i] == SCMP_ARCH_X32;
        uint32_t audit = x32 ? SCMP_ARCH_X86_64 : c->arches[i], last = last_number(c->profile, c->arches[i]);
        for (k = 0; k < n && ret_guards[k].audit_arch != audit; k++)
            ;
        if (last == 0)
            continue;
        if (k == n)
            ret_guards[n++] = (struct guard){.audit_arch = audit};
        *(x32 ? &ret_guards[k].last_x32 : &ret_guards[k].last) = last;
    }
    return n;
}

static void add_instruction(struct buf *b, struct sock_filter f)
{
    buf_add(b, &f, sizeof(f));
}

/* Above `last`: ENOSYS. Else to the filter, which begins after `rest` more instructions. */
static void add_limit(struct buf *b, uint32_t last, uint32_t rest)
{
    add_instruction(b, (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JGT | BPF_K, last, 0, 1));
    add_instruction(b, (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | ENOSYS));
    add_instruction(b, (struct sock_filter)BPF_STMT(BPF_JMP | BPF_JA, rest));
}

static uint32_t guard_size(const struct guard *g)
{
    return g->last && g->last_x32 ? 9 : 5;
}

static void add_guard(struct buf *b, const struct guard *g, uint32_t rest)
{
    uint8_t past = (uint8_t)(guard_size(g) - 1);

    add_instruction(b, (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, g->audit_arch, 0, past));
    add_instruction(b,
                    (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)));
    if (g->last && g->last_x32) {
        add_instruction(b, (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, X32_BIT, 0, 3));
        add_limit(b, g->last_x32, rest + 3);
    }
    add_limit(b, g->last ? g->last : g->last_x32, rest);
}

static void add_guards(const struct compile *c, struct buf *b)
{
    struct guard guards[ARCHES_MAX];
    size_t n = find_guards(c, guards);
    uint32_t rest = 0;

    for (size_t i = 0; i < n; i++)
        rest += guard_size(&guards[i]);
    if (n)
        add_instruction(
            b, (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, arch)));
    for (size_t i = 0; i < n; i++) {
        rest -= guard_size(&guards[i]);
        add_guard(b, &guards[i], rest);
    }
}

static bool allows(uint32_t action)
{
    return action == SCMP_ACT_ALLOW || action == SCMP_ACT_LOG || (action & ~0xffffu) == SCMP_ACT_TRACE(0);
}

/* ---- all of it ---- */

static int export(struct compile *c, struct buf *b, struct err *err)
{
    cleanup_close int fd = memfd_create("seccomp", MFD_CLOEXEC);
    char chunk[4096];
    ssize_t n = 0;
    off_t at = 0;
    int r = fd < 0 ? -errno : seccomp_export_bpf(c->ctx, fd);

    if (r < 0)
        return err_set(err, GRPC_INTERNAL, -r, "seccomp: the filter cannot be compiled");
    while ((n = pread(fd, chunk, sizeof(chunk), at)) > 0) {
        buf_add(b, chunk, (size_t)n);
        at += n;
    }
    if (n < 0)
        return err_set(err, GRPC_INTERNAL, errno, "seccomp: the filter cannot be read");
    if (b->len > BPF_MAXINSNS * sizeof(struct sock_filter))
        return err_set(err, GRPC_UNIMPLEMENTED, 0, "seccomp: the filter has more than %d instructions",
                       BPF_MAXINSNS);
    return 0;
}

static int fill(struct compile *c, bool enosys, struct seccomp_program *p, struct err *err)
{
    const json_t *rule;
    size_t i;
    int r = take_arches(c, err);

    if (r == 0)
        r = take_flags(json_object_get(c->profile, "flags"), p, err);
    json_array_foreach (json_object_get(c->profile, "syscalls"), i, rule) {
        if (r < 0)
            return r;
        r = take_rule(c, rule, err);
    }
    if (r < 0)
        return r;
    if (enosys && !allows(c->fallback))
        add_guards(c, &p->bpf);
    return export(c, &p->bpf, err);
}

int seccomp_compile(const json_t *profile, bool enosys, struct seccomp_program *ret_program, struct err *err)
{
    struct compile c = {.profile = profile};
    struct seccomp_program p = {0};
    int r = take_action(json_object_get(profile, "defaultAction"), json_object_get(profile, "defaultErrnoRet"),
                        &c.fallback, err);

    if (r < 0)
        return r;
    if (json_object_get(profile, "listenerPath"))
        return refuse(err, "listener", json_string_value(json_object_get(profile, "listenerPath")));
    c.ctx = seccomp_init(c.fallback);
    if (!c.ctx)
        return err_set(err, GRPC_UNIMPLEMENTED, 0, "seccomp: the default action is not known to libseccomp");
    r = fill(&c, enosys, &p, err);
    seccomp_release(c.ctx);
    if (r < 0) {
        seccomp_program_done(&p);
        return r;
    }
    *ret_program = p;
    return 0;
}

void seccomp_program_done(struct seccomp_program *p)
{
    buf_done(&p->bpf);
}
