#include "core/host.h"
#include "core/file.h"
#include "core/mem.h"

#include <linux/capability.h>
#include <string.h>

enum { FILE_MAX = 1 << 16 };

/* The text of PREFIX/NAME without its last newline; NULL when it cannot be read. */
static char *text_of(const char *prefix, const char *name)
{
    cleanup_free char *path = mem_printf("%s/%s", prefix, name);
    cleanup_buf struct buf b = {0};

    if (file_read(path, FILE_MAX, &b, NULL) < 0)
        return NULL;
    char *text = buf_steal(&b);
    size_t n = strlen(text);
    if (n && text[n - 1] == '\n')
        text[n - 1] = '\0';
    return text;
}

static bool is_there(const char *prefix, const char *name)
{
    cleanup_free char *path = mem_printf("%s/%s", prefix, name);
    return access(path, F_OK) == 0;
}

static bool apparmor_is_active(const char *prefix)
{
    cleanup_free char *enabled = text_of(prefix, "sys/module/apparmor/parameters/enabled");
    return enabled && enabled[0] == 'Y';
}

/* A kernel with SELinux but without a policy has the file system, and "kernel" as the context of all; labels then fail. */
static bool selinux_is_active(const char *prefix)
{
    cleanup_free char *context = text_of(prefix, "proc/self/attr/current");
    return is_there(prefix, "sys/fs/selinux/enforce") && context && strchr(context, ':');
}

static uint64_t status_mask(const char *status, const char *key)
{
    const char *p = status ? strstr(status, key) : NULL;
    return p ? strtoull(p + strlen(key), NULL, 16) : 0;
}

static void probe_process(const char *prefix, struct oci_host *h)
{
    cleanup_free char *status = text_of(prefix, "proc/self/status"),
                      *adj = text_of(prefix, "proc/self/oom_score_adj");

    h->bounding_caps = status_mask(status, "\nCapBnd:");
    if (status_mask(status, "\nCapEff:") & (UINT64_C(1) << CAP_SYS_RESOURCE))
        h->min_oom_score_adj = -1000;
    else
        h->min_oom_score_adj = adj ? (int)strtol(adj, NULL, 10) : 0;
}

static const char *own_v2_dir(const char *cgroup_text)
{
    const char *p = cgroup_text ? strstr(cgroup_text, "0::/") : NULL;
    return p && (p == cgroup_text || p[-1] == '\n') ? p + 3 : "/";
}

/* The root cgroup of v2 has no limits to look at: there, swap in the kernel has to do. */
static bool v2_accounts_swap(const char *prefix, const struct cgroup_mount *m)
{
    cleanup_free char *text = text_of(prefix, "proc/self/cgroup");
    const char *dir = own_v2_dir(text);
    int len = (int)strcspn(dir, "\n");

    if (len == 1)
        return is_there(prefix, "proc/swaps");
    cleanup_free char *file = mem_printf("%s%.*s/memory.swap.max", m->path, len, dir);
    return is_there(prefix, file + 1);
}

static bool accounts_swap(const char *prefix, const struct cgroups *c)
{
    const struct cgroup_mount *m = cgroup_controller(c, "memory");

    if (!m)
        return false;
    if (m->v2)
        return v2_accounts_swap(prefix, m);
    cleanup_free char *file = mem_printf("%s/memory.memsw.limit_in_bytes", m->path);
    return is_there(prefix, file + 1);
}

static void probe_kernel(const char *prefix, struct host *h)
{
    cleanup_free char *release = text_of(prefix, "proc/sys/kernel/osrelease");

    snprintf(h->kernel, sizeof(h->kernel), "%s", release ? release : "");
    if (sscanf(h->kernel, "%u.%u", &h->oci.kernel_major, &h->oci.kernel_minor) != 2)
        h->oci.kernel_major = h->oci.kernel_minor = 0;
}

int host_probe(const char *prefix, struct host *ret_host, struct err *err)
{
    struct host h = {0};
    cleanup_free char *boot = text_of(prefix, "proc/sys/kernel/random/boot_id");

    if (!boot || strlen(boot) != 36)
        return err_set(err, GRPC_INTERNAL, 0,
                       "cannot read %s/proc/sys/kernel/random/boot_id; is /proc mounted?", prefix);
    int r = cgroups_read(prefix, &h.cgroups, err);
    if (r < 0)
        return r;
    const struct cgroup_mount *hugetlb = cgroup_controller(&h.cgroups, "hugetlb");
    snprintf(h.boot_id, sizeof(h.boot_id), "%s", boot);
    probe_kernel(prefix, &h);
    probe_process(prefix, &h.oci);
    h.oci.cgroup_v2 = h.cgroups.kind == CGROUP_V2;
    h.oci.apparmor = apparmor_is_active(prefix);
    h.oci.selinux = selinux_is_active(prefix);
    h.oci.swap_accounting = accounts_swap(prefix, &h.cgroups);
    h.oci.hugetlb = hugetlb && hugetlb->v2 == h.oci.cgroup_v2; /* on a hybrid host the runtimes use v1 alone */
    h.systemd = is_there(prefix, "run/systemd/system");
    *ret_host = h;
    return 0;
}

void host_done(struct host *h)
{
    cgroups_done(&h->cgroups);
}

enum cgroup_driver host_cgroup_driver(const struct host *h, enum cgroup_driver wanted)
{
    if (wanted != CGROUP_DRIVER_AUTO)
        return wanted;
    return h->systemd ? CGROUP_DRIVER_SYSTEMD : CGROUP_DRIVER_CGROUPFS;
}
