#include "helpers/enter.h"

#include <errno.h>
#include <grp.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

/* linux/capability.h and linux/seccomp.h, which musl has not */
enum { CAP_VERSION_3 = 0x20080522, SECCOMP_SET_FILTER = 1, CAPS_MAX = 64 };

struct cap_header {
    uint32_t version;
    int pid;
};
struct cap_data {
    uint32_t effective, permitted, inheritable;
};
struct filter_program { /* struct sock_fprog */
    unsigned short len;
    const struct exec_plan_bpf *filter;
};

static bool load_filter(struct enter *e)
{
    const struct exec_plan_head *h = e->plan.head;
    struct filter_program p = {.len = (unsigned short)h->bpf_n, .filter = e->plan.bpf};

    return h->bpf_n == 0 || syscall(SYS_seccomp, SECCOMP_SET_FILTER, h->seccomp_flags, &p) == 0 ||
           enter_failed(e, errno, "cannot load the seccomp filter", NULL);
}

static bool set_ids(struct enter *e)
{
    const struct exec_plan_head *h = e->plan.head;

    /* by system call: musl's wrappers are made for programs with threads */
    return (syscall(SYS_setgroups, (size_t)h->gids_n, e->plan.gids) == 0 ||
            enter_failed(e, errno, "cannot set the groups", NULL)) &&
           (prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0) == 0 ||
            enter_failed(e, errno, "cannot keep capabilities", NULL)) &&
           (syscall(SYS_setresgid, h->gid, h->gid, h->gid) == 0 ||
            enter_failed(e, errno, "cannot set the group", NULL)) &&
           (syscall(SYS_setresuid, h->uid, h->uid, h->uid) == 0 ||
            enter_failed(e, errno, "cannot set the user", NULL));
}

/* EINVAL: past the last that the kernel knows. */
static bool drop_bounding(struct enter *e)
{
    uint64_t keep = e->plan.head->caps[EXEC_CAP_BOUNDING];

    for (int i = 0; i < CAPS_MAX; i++) {
        if (keep & UINT64_C(1) << i)
            continue;
        if (prctl(PR_CAPBSET_DROP, i, 0, 0, 0) < 0 && errno != EINVAL)
            return enter_failed(e, errno, "cannot drop capabilities", NULL);
    }
    return true;
}

static bool set_caps(struct enter *e)
{
    const uint64_t *caps = e->plan.head->caps;
    struct cap_header header = {.version = CAP_VERSION_3};
    struct cap_data data[2];

    for (int i = 0; i < 2; i++)
        data[i] = (struct cap_data){
            .effective = (uint32_t)(caps[EXEC_CAP_EFFECTIVE] >> 32 * i),
            .permitted = (uint32_t)(caps[EXEC_CAP_PERMITTED] >> 32 * i),
            .inheritable = (uint32_t)(caps[EXEC_CAP_INHERITABLE] >> 32 * i),
        };
    if (syscall(SYS_capset, &header, data) < 0)
        return enter_failed(e, errno, "cannot set capabilities", NULL);
    prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
    for (int i = 0; i < CAPS_MAX; i++)
        if (caps[EXEC_CAP_AMBIENT] & UINT64_C(1) << i &&
            prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, i, 0, 0) < 0)
            return enter_failed(e, errno, "cannot raise ambient capabilities", NULL);
    return true;
}

/*
 * Without no_new_privs only CAP_SYS_ADMIN loads a filter, so it comes before the capabilities go, and must allow what
 * follows, as with the runtimes; with it the filter comes as late as it can.
 */
bool enter_become(struct enter *e)
{
    bool late = e->plan.head->flags & EXEC_PLAN_NO_NEW_PRIVS;

    if (!(late || load_filter(e)) || !drop_bounding(e) || !set_ids(e) || !set_caps(e))
        return false;
    if (!late)
        return true;
    return (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 ||
            enter_failed(e, errno, "cannot set no_new_privs", NULL)) &&
           load_filter(e);
}
