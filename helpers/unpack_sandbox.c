#include "helpers/unpack_sandbox.h"
#include "core/schedule.h"

#include <cap-ng.h>
#include <errno.h>
#include <iconv.h>
#include <sched.h>
#include <seccomp.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#if defined(__SANITIZE_ADDRESS__)
enum { SANITIZED = 1 };
#else
enum { SANITIZED = 0 };
#endif

enum {
    FILES_MAX = 128,     /* 8 slots, a few of our own, 66 while a tree is replaced */
    DATA_MAX = 256 << 20 /* zstd's window may be 128 MiB; libarchive's lists of a hostile archive end here */
};

static void limit(int resource, rlim_t value)
{
    struct rlimit now, want = {value, value};

    if (getrlimit(resource, &now) == 0 && now.rlim_max < value)
        want = (struct rlimit){now.rlim_max, now.rlim_max};
    (void)setrlimit(resource, &want); /* lowering is never refused */
}

void sandbox_limits(void)
{
    iconv_t loaded;

    close_range(3, ~0U, 0); /* before Linux 5.9: the daemon's own descriptors close on exec anyway */
    limit(RLIMIT_CORE, 0);
    limit(RLIMIT_NOFILE, FILES_MAX);
    if (!SANITIZED)
        limit(RLIMIT_DATA, DATA_MAX);
    schedule_in_background(); /* the layers of a pull take every processor there is: answers come first */
    umask(0);
    /* libarchive asks for this conversion; after the chroot, libc would look for its tables in the layer */
    loaded = iconv_open("ANSI_X3.4-1968", "UTF-8");
    if (loaded != (iconv_t)-1)
        iconv_close(loaded);
}

/* SYS_ADMIN is for xattrs trusted.* alone, overlayfs's opaque mark among them: seccomp refuses the rest of what it can. */
static const int keep_layer[] = {CAP_CHOWN, CAP_DAC_OVERRIDE, CAP_FOWNER,   CAP_FSETID,
                                 CAP_MKNOD, CAP_SETFCAP,      CAP_SYS_ADMIN};
static const int keep_plain[] = {CAP_DAC_OVERRIDE};

static int drop_capabilities(bool plain, struct err *err)
{
    const int *keep = plain ? keep_plain : keep_layer;
    const size_t n = plain ? countof(keep_plain) : countof(keep_layer);
    bool held[countof(keep_layer)];

    for (size_t i = 0; i < n; i++) /* what we do not hold cannot be kept: rootless, or a bounded set */
        held[i] = capng_have_capability(CAPNG_PERMITTED, (unsigned)keep[i]);
    capng_clear(CAPNG_SELECT_ALL);
    for (size_t i = 0; i < n; i++)
        if (held[i])
            capng_update(CAPNG_ADD, CAPNG_EFFECTIVE | CAPNG_PERMITTED, (unsigned)keep[i]);
    /* the bounding set first: it takes CAP_SETPCAP, without which no_new_privs and no exec say the same */
    (void)capng_apply(CAPNG_SELECT_BOUNDS);
    if (capng_apply(CAPNG_SELECT_CAPS) < 0)
        return err_set(err, GRPC_INTERNAL, 0, "sandbox: cannot drop capabilities");
    return 0;
}

/* By name, so that one table serves every architecture: a name that is not known there is left out. */
static const char *const allowed_calls[] = {
    "read",
    "write",
    "pwrite64",
    "readv",
    "writev",
    "close",
    "lseek",
    "_llseek",
    "ftruncate",
    "ftruncate64",
    "openat",
    "openat2",
    "mkdirat",
    "mknodat",
    "unlinkat",
    "renameat",
    "renameat2",
    "linkat",
    "symlinkat",
    "readlinkat",
    "fchdir",
    "fchown",
    "fchown32",
    "fchownat",
    "fchmod",
    "fchmodat",
    "utimensat",
    "utimensat_time64",
    "fsetxattr",
    "lsetxattr",
    "fstat",
    "fstat64",
    "newfstatat",
    "fstatat64",
    "statx",
    "getdents64",
    "fcntl",
    "fcntl64",
    "brk",
    "munmap",
    "mremap",
    "madvise",
    "futex",
    "futex_time64",
    "getrandom",
    "clock_gettime",
    "clock_gettime64",
    "getpid",
    "gettid",
    "tgkill",
    "rt_sigaction",
    "rt_sigprocmask",
    "rt_sigreturn",
    "restart_syscall",
    "exit",
    "exit_group",
#if defined(__SANITIZE_ADDRESS__)
    "sigaltstack",
    "sched_yield",
    "prctl",
    "getrlimit",
    "prlimit64",
    "gettimeofday",
    "readlink",
    "open",
    "stat",
#endif
};

static int allow_calls(scmp_filter_ctx filter)
{
    /* memory may not become code: nothing of the layer can be loaded as a library */
    static const char *const mappings[] = {"mmap", "mmap2", "mprotect"};
    int r = 0;

    for (size_t i = 0; i < countof(allowed_calls) && r == 0; i++) {
        int nr = seccomp_syscall_resolve_name(allowed_calls[i]);
        if (nr != __NR_SCMP_ERROR)
            r = seccomp_rule_add(filter, SCMP_ACT_ALLOW, nr, 0);
    }
    for (size_t i = 0; i < countof(mappings) && r == 0; i++)
        r = seccomp_rule_add(filter, SCMP_ACT_ALLOW, seccomp_syscall_resolve_name(mappings[i]), 1,
                             SCMP_A2(SCMP_CMP_MASKED_EQ, PROT_EXEC, 0));
    return r;
}

/* Everything else is "not permitted" rather than death: a libc that tries something new then still falls back. */
static int filter_calls(struct err *err)
{
    scmp_filter_ctx filter = seccomp_init(SCMP_ACT_ERRNO(EPERM));
    int r = filter ? allow_calls(filter) : -ENOMEM;

    if (r == 0)
        r = seccomp_load(filter);
    seccomp_release(filter);
    return r < 0 ? err_set(err, GRPC_INTERNAL, -r, "sandbox: cannot load the seccomp filter") : 0;
}

int sandbox_enter(int dir, bool plain, struct err *err)
{
    (void)unshare(CLONE_NEWNET); /* a second wall: seccomp allows no socket, and none was inherited */
    if (capng_get_caps_process() < 0)
        return err_set(err, GRPC_INTERNAL, 0, "sandbox: cannot read the capabilities");
    if (fchdir(dir) < 0 || chroot(".") < 0)
        return err_set(err, GRPC_PERMISSION_DENIED, errno, "sandbox: chroot (it must run as root)");
    int r = drop_capabilities(plain, err);
    if (r < 0)
        return r;
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
        return err_set(err, GRPC_INTERNAL, errno, "sandbox: no_new_privs");
    return filter_calls(err);
}
