/* Compiled filters, run by a small interpreter of classic BPF: what they say to calls. */
#include "core/seccomp_bpf.c"

#include <setjmp.h>
#include <stdarg.h>
#include <sys/syscall.h>
#include <cmocka.h>

static struct seccomp_program program;

static void compile(const char *profile, bool enosys)
{
    json_t *j = json_loads(profile, 0, NULL);
    struct err err = {0};

    assert_non_null(j);
    seccomp_program_done(&program);
    program = (struct seccomp_program){0};
    if (seccomp_compile(j, enosys, &program, &err) < 0)
        fail_msg("%s", err.msg);
    json_decref(j);
}

static bool jumps(const struct sock_filter *f, uint32_t a)
{
    switch (BPF_OP(f->code)) {
    case BPF_JEQ:
        return a == f->k;
    case BPF_JGT:
        return a > f->k;
    case BPF_JGE:
        return a >= f->k;
    case BPF_JSET:
        return a & f->k;
    default:
        fail_msg("jump %#x", f->code);
        return false;
    }
}

static uint32_t says(uint32_t arch, uint32_t nr, uint64_t arg)
{
    const struct sock_filter *f = (const void *)program.bpf.data;
    const struct seccomp_data data = {.nr = (int)nr, .arch = arch, .args = {arg, arg, arg, arg, arg, arg}};
    uint32_t a = 0;

    for (size_t at = 0; at < program.bpf.len / sizeof(*f); at++) {
        const struct sock_filter *i = &f[at];
        if (BPF_CLASS(i->code) == BPF_RET)
            return i->k;
        if (BPF_CLASS(i->code) == BPF_LD)
            memcpy(&a, (const char *)&data + i->k, sizeof(a));
        else if (BPF_CLASS(i->code) == BPF_ALU && BPF_OP(i->code) == BPF_AND)
            a &= i->k;
        else if (i->code == (BPF_JMP | BPF_JA))
            at += i->k;
        else if (BPF_CLASS(i->code) == BPF_JMP)
            at += jumps(i, a) ? i->jt : i->jf;
        else
            fail_msg("instruction %#x", i->code);
    }
    fail_msg("the program has no end");
    return 0;
}

static uint32_t native(uint32_t nr, uint64_t arg)
{
    return says(seccomp_arch_native(), nr, arg);
}

static void actions_are_taken(void **state)
{
    (void)state;
    compile("{\"defaultAction\":\"SCMP_ACT_ERRNO\",\"syscalls\":["
            "{\"names\":[\"read\",\"no_such_call\"],\"action\":\"SCMP_ACT_ALLOW\"},"
            "{\"names\":[\"mkdirat\"],\"action\":\"SCMP_ACT_ERRNO\",\"errnoRet\":95},"
            "{\"names\":[\"ptrace\"],\"action\":\"SCMP_ACT_KILL_PROCESS\"},"
            "{\"names\":[\"write\"],\"action\":\"SCMP_ACT_ERRNO\"},"
            "{\"names\":[\"kill\"],\"action\":\"SCMP_ACT_LOG\"}]}",
            false);
    assert_int_equal(native(SYS_read, 0), SECCOMP_RET_ALLOW);
    assert_int_equal(native(SYS_mkdirat, 0), SECCOMP_RET_ERRNO | 95);
    assert_int_equal(native(SYS_ptrace, 0), SECCOMP_RET_KILL_PROCESS);
    assert_int_equal(native(SYS_write, 0), SECCOMP_RET_ERRNO | EPERM);
    assert_int_equal(native(SYS_kill, 0), SECCOMP_RET_LOG);
    assert_int_equal(native(SYS_close, 0), SECCOMP_RET_ERRNO | EPERM);
    assert_int_equal(says(0x12345678, SYS_read, 0), SECCOMP_RET_KILL);
    assert_false(program.flags_set);
}

static void arguments_are_compared(void **state)
{
    (void)state;
    compile(
        "{\"defaultAction\":\"SCMP_ACT_ERRNO\",\"defaultErrnoRet\":38,\"flags\":[\"SECCOMP_FILTER_FLAG_LOG\"],"
        "\"syscalls\":["
        "{\"names\":[\"personality\"],\"action\":\"SCMP_ACT_ALLOW\",\"args\":["
        "{\"index\":0,\"value\":0,\"op\":\"SCMP_CMP_EQ\"},{\"index\":0,\"value\":8,\"op\":\"SCMP_CMP_EQ\"}]},"
        "{\"names\":[\"socket\"],\"action\":\"SCMP_ACT_ALLOW\",\"args\":["
        "{\"index\":0,\"value\":1,\"op\":\"SCMP_CMP_GE\"},{\"index\":1,\"value\":6,\"op\":\"SCMP_CMP_LE\"}]},"
        "{\"names\":[\"clone\"],\"action\":\"SCMP_ACT_ALLOW\",\"args\":["
        "{\"index\":0,\"value\":240,\"valueTwo\":16,\"op\":\"SCMP_CMP_MASKED_EQ\"}]}]}",
        false);
    assert_int_equal(native(SYS_personality, 0), SECCOMP_RET_ALLOW); /* one argument twice: either */
    assert_int_equal(native(SYS_personality, 8), SECCOMP_RET_ALLOW);
    assert_int_equal(native(SYS_personality, 1), SECCOMP_RET_ERRNO | 38);
    assert_int_equal(native(SYS_socket, 1), SECCOMP_RET_ALLOW); /* two arguments: both */
    assert_int_equal(native(SYS_socket, 0), SECCOMP_RET_ERRNO | 38);
    assert_int_equal(native(SYS_socket, 7), SECCOMP_RET_ERRNO | 38);
    assert_int_equal(native(SYS_clone, 0x1f), SECCOMP_RET_ALLOW);
    assert_int_equal(native(SYS_clone, 0x2f), SECCOMP_RET_ERRNO | 38);
    assert_true(program.flags_set);
    assert_int_equal(program.flags, SECCOMP_FILTER_FLAG_LOG);
}

#define READ_AND_CLOSE(action)                                                                                 \
    "{\"defaultAction\":\"" action                                                                             \
    "\",\"architectures\":[\"SCMP_ARCH_X86_64\",\"SCMP_ARCH_X86\",\"SCMP_ARCH_X32\","                          \
    "\"SCMP_ARCH_AARCH64\"],\"syscalls\":[{\"names\":[\"read\",\"close\"],\"action\":\"SCMP_ACT_ERRNO\","      \
    "\"errnoRet\":5}]}"

static void newer_calls_are_told_apart(void **state)
{
    const uint32_t last_64 = 3, last_32 = 6, x32 = 0x40000000;

    (void)state;
    compile(READ_AND_CLOSE("SCMP_ACT_KILL_PROCESS"), true);
    assert_int_equal(says(SCMP_ARCH_X86_64, last_64, 0), SECCOMP_RET_ERRNO | 5);
    assert_int_equal(says(SCMP_ARCH_X86_64, 1, 0), SECCOMP_RET_KILL_PROCESS);
    assert_int_equal(says(SCMP_ARCH_X86_64, last_64 + 1, 0), SECCOMP_RET_ERRNO | ENOSYS);
    assert_int_equal(says(SCMP_ARCH_X86_64, x32 + last_64, 0), SECCOMP_RET_ERRNO | 5);
    assert_int_equal(says(SCMP_ARCH_X86_64, x32 + last_64 + 1, 0), SECCOMP_RET_ERRNO | ENOSYS);
    assert_int_equal(says(SCMP_ARCH_X86, last_32, 0), SECCOMP_RET_ERRNO | 5);
    assert_int_equal(says(SCMP_ARCH_X86, last_32 + 1, 0), SECCOMP_RET_ERRNO | ENOSYS);
    assert_int_equal(says(SCMP_ARCH_AARCH64, 63, 0), SECCOMP_RET_ERRNO | 5);
    assert_int_equal(says(SCMP_ARCH_AARCH64, 64, 0), SECCOMP_RET_ERRNO | ENOSYS);
    compile(READ_AND_CLOSE("SCMP_ACT_KILL_PROCESS"), false);
    assert_int_equal(says(SCMP_ARCH_X86_64, last_64 + 1, 0), SECCOMP_RET_KILL_PROCESS);
    compile(READ_AND_CLOSE("SCMP_ACT_ALLOW"), true); /* nothing is forbidden but what is named */
    assert_int_equal(says(SCMP_ARCH_X86_64, last_64 + 1, 0), SECCOMP_RET_ALLOW);
}

static int done(void **state)
{
    (void)state;
    seccomp_program_done(&program);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(actions_are_taken),
        cmocka_unit_test(arguments_are_compared),
        cmocka_unit_test(newer_calls_are_told_apart),
    };
    return cmocka_run_group_tests(tests, NULL, done);
}
