#include "core/caps.h"

#include <linux/capability.h>
#include <string.h>
#include <strings.h>

/* Not from libcap-ng: its list is as old as the library, and a lookup there reads /proc. */
static const char *const names[] = {
    [CAP_CHOWN] = "CAP_CHOWN",
    [CAP_DAC_OVERRIDE] = "CAP_DAC_OVERRIDE",
    [CAP_DAC_READ_SEARCH] = "CAP_DAC_READ_SEARCH",
    [CAP_FOWNER] = "CAP_FOWNER",
    [CAP_FSETID] = "CAP_FSETID",
    [CAP_KILL] = "CAP_KILL",
    [CAP_SETGID] = "CAP_SETGID",
    [CAP_SETUID] = "CAP_SETUID",
    [CAP_SETPCAP] = "CAP_SETPCAP",
    [CAP_LINUX_IMMUTABLE] = "CAP_LINUX_IMMUTABLE",
    [CAP_NET_BIND_SERVICE] = "CAP_NET_BIND_SERVICE",
    [CAP_NET_BROADCAST] = "CAP_NET_BROADCAST",
    [CAP_NET_ADMIN] = "CAP_NET_ADMIN",
    [CAP_NET_RAW] = "CAP_NET_RAW",
    [CAP_IPC_LOCK] = "CAP_IPC_LOCK",
    [CAP_IPC_OWNER] = "CAP_IPC_OWNER",
    [CAP_SYS_MODULE] = "CAP_SYS_MODULE",
    [CAP_SYS_RAWIO] = "CAP_SYS_RAWIO",
    [CAP_SYS_CHROOT] = "CAP_SYS_CHROOT",
    [CAP_SYS_PTRACE] = "CAP_SYS_PTRACE",
    [CAP_SYS_PACCT] = "CAP_SYS_PACCT",
    [CAP_SYS_ADMIN] = "CAP_SYS_ADMIN",
    [CAP_SYS_BOOT] = "CAP_SYS_BOOT",
    [CAP_SYS_NICE] = "CAP_SYS_NICE",
    [CAP_SYS_RESOURCE] = "CAP_SYS_RESOURCE",
    [CAP_SYS_TIME] = "CAP_SYS_TIME",
    [CAP_SYS_TTY_CONFIG] = "CAP_SYS_TTY_CONFIG",
    [CAP_MKNOD] = "CAP_MKNOD",
    [CAP_LEASE] = "CAP_LEASE",
    [CAP_AUDIT_WRITE] = "CAP_AUDIT_WRITE",
    [CAP_AUDIT_CONTROL] = "CAP_AUDIT_CONTROL",
    [CAP_SETFCAP] = "CAP_SETFCAP",
    [CAP_MAC_OVERRIDE] = "CAP_MAC_OVERRIDE",
    [CAP_MAC_ADMIN] = "CAP_MAC_ADMIN",
    [CAP_SYSLOG] = "CAP_SYSLOG",
    [CAP_WAKE_ALARM] = "CAP_WAKE_ALARM",
    [CAP_BLOCK_SUSPEND] = "CAP_BLOCK_SUSPEND",
    [CAP_AUDIT_READ] = "CAP_AUDIT_READ",
    [CAP_PERFMON] = "CAP_PERFMON",
    [CAP_BPF] = "CAP_BPF",
    [CAP_CHECKPOINT_RESTORE] = "CAP_CHECKPOINT_RESTORE",
};

int cap_number(const char *name)
{
    if (strncasecmp(name, "CAP_", 4) == 0)
        name += 4;
    for (int i = 0; i < (int)countof(names); i++)
        if (strcasecmp(names[i] + 4, name) == 0)
            return i;
    return -1;
}

const char *cap_name(int number)
{
    return number >= 0 && number < (int)countof(names) ? names[number] : NULL;
}

uint64_t caps_all(void)
{
    return CAP_BIT(countof(names)) - 1;
}

static bool is_all(const char *name)
{
    return strcasecmp(name, "ALL") == 0 || strcasecmp(name, "CAP_ALL") == 0;
}

/* The bits of a list; "ALL" goes to ret_all where the list may have it. */
static int list_bits(const char *const *list, const char *what, bool *ret_all, uint64_t *ret_bits,
                     struct err *err)
{
    uint64_t bits = 0;

    for (size_t i = 0; list && list[i]; i++) {
        int n = cap_number(list[i]);
        if (n < 0 && ret_all && is_all(list[i])) {
            *ret_all = true;
            continue;
        }
        if (n < 0)
            return err_set(err, GRPC_INVALID_ARGUMENT, 0,
                           "capability %.60s (%s) is not known; see capabilities(7)", list[i], what);
        bits |= CAP_BIT(n);
    }
    *ret_bits = bits;
    return 0;
}

int caps_resolve(const struct caps_request *r, struct caps_sets *ret_sets, struct err *err)
{
    uint64_t base = 0, add = 0, drop = 0, ambient = 0;
    bool add_all = false, drop_all = false, ambient_all = false;
    int rc;

    if ((rc = list_bits(r->base, "default_capabilities", &add_all, &base, err)) < 0 ||
        (rc = list_bits(r->add, "add", &add_all, &add, err)) < 0 ||
        (rc = list_bits(r->drop, "drop", &drop_all, &drop, err)) < 0 ||
        (rc = list_bits(r->ambient, "ambient", &ambient_all, &ambient, err)) < 0)
        return rc;
    if (add_all)
        base = caps_all();
    if (drop_all)
        base = 0;
    if (ambient_all)
        ambient = caps_all();
    uint64_t permitted = ((base | add) & ~drop) | ambient;
    if (r->privileged)
        permitted = caps_all();
    ret_sets->permitted = permitted & r->bounding;
    ret_sets->ambient = ambient & r->bounding;
    return 0;
}
