#include "cli/doctor.h"
#include "cli/format.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <linux/mount.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/statfs.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <unistd.h>

enum {
    KERNEL_MIN = 5 * 1000 + 4,
    KERNEL_GOOD = 5 * 1000 + 11, /* fsopen, pidfd, mount_setattr's predecessors: what is tested */
    FILES_GOOD = 65536,
    OVERLAY_LAYERS_OLD = 128,
    OVERLAY_LAYERS_NEW = 500
};

void check_root(const struct doctor *d, struct finding *f)
{
    (void)d;
    if (geteuid() == 0) {
        found(f, LEVEL_OK, "running as root");
        return;
    }
    found(f, LEVEL_WARN, "running as user %d: some answers below are guesses", (int)geteuid());
    remedy(f, "run `sudo cricket doctor`; the daemon itself needs root");
}

void check_kernel(const struct doctor *d, struct finding *f)
{
    struct utsname u;
    int major = 0, minor = 0;
    (void)d;

    uname(&u);
    sscanf(u.release, "%d.%d", &major, &minor);
    int version = major * 1000 + minor;
    found(f,
          version < KERNEL_MIN    ? LEVEL_FAIL
          : version < KERNEL_GOOD ? LEVEL_WARN
                                  : LEVEL_OK,
          "Linux %s %s", u.release, u.machine);
    remedy(f, "Linux 5.11 or newer is what cricket is tested with; Debian 12 has 6.1");
}

void check_cgroups(const struct doctor *d, struct finding *f)
{
    static const char *const kinds[] = {[CGROUP_NONE] = "none mounted",
                                        [CGROUP_V1] = "version 1",
                                        [CGROUP_V2] = "version 2",
                                        [CGROUP_HYBRID] = "hybrid: version 1 with version 2 beside it"};

    if (!d->host_ok) {
        found(f, LEVEL_FAIL, "%s", d->host_err.msg);
        remedy(f, "mount /proc and /sys");
        return;
    }
    enum cgroup_kind k = d->host.cgroups.kind;
    found(f, k == CGROUP_NONE ? LEVEL_FAIL : k == CGROUP_V2 ? LEVEL_OK : LEVEL_WARN, "%s", kinds[k]);
    if (k == CGROUP_NONE)
        remedy(f, "mount -t cgroup2 none /sys/fs/cgroup, or boot with systemd");
    else
        remedy(f, "works; version 2 is better: boot with systemd.unified_cgroup_hierarchy=1");
}

void check_controllers(const struct doctor *d, struct finding *f)
{
    static const char *const needed[] = {"memory", "cpu", "pids", "cpuset"};
    char missing[64] = "";

    for (size_t i = 0; i < countof(needed); i++)
        if (!cgroup_controller(&d->host.cgroups, needed[i]))
            snprintf(missing + strlen(missing), sizeof(missing) - strlen(missing), "%s%s", *missing ? ", " : "",
                     needed[i]);
    if (!*missing) {
        found(f, LEVEL_OK, "memory, cpu, pids and cpuset");
        return;
    }
    found(f, LEVEL_WARN, "missing: %s. Limits of these kinds have no effect", missing);
    remedy(f, "boot with cgroup_enable=memory (some boards switch it off), or enable them in "
              "/sys/fs/cgroup/cgroup.subtree_control");
}

/* Layers one by one (lowerdir+, Linux 6.8) instead of in one string of at most a page. */
static bool overlay_takes_many(int fs)
{
    return syscall(SYS_fsconfig, fs, FSCONFIG_SET_STRING, "lowerdir+", "/", 0) == 0;
}

static bool overlay_listed(void)
{
    char text[8192];

    return read_text("/proc/filesystems", text, sizeof(text)) && strstr(text, "\toverlay");
}

void check_overlay(const struct doctor *d, struct finding *f)
{
    cleanup_close int fs = (int)syscall(SYS_fsopen, "overlay", FSOPEN_CLOEXEC);
    struct statfs st;

    if (fs < 0 && errno != EPERM && !overlay_listed()) {
        found(f, LEVEL_FAIL, "the kernel has no overlayfs");
        remedy(f, "modprobe overlay, or a kernel with CONFIG_OVERLAY_FS");
    } else if (statfs(d->config.root, &st) == 0 && st.f_type == OVERLAYFS_SUPER_MAGIC) {
        found(f, LEVEL_FAIL, "%s is itself on overlayfs, which cannot be stacked", d->config.root);
        remedy(f, "put `root:` (or --root) on another file system, such as ext4, xfs or tmpfs");
    } else {
        found(f, LEVEL_OK, "images of up to %d layers",
              fs >= 0 && overlay_takes_many(fs) ? OVERLAY_LAYERS_NEW : OVERLAY_LAYERS_OLD);
    }
}

void check_seccomp(const struct doctor *d, struct finding *f)
{
    char actions[256];
    (void)d;

    if (read_text("/proc/sys/kernel/seccomp/actions_avail", actions, sizeof(actions))) {
        found(f, LEVEL_OK, "%s", actions);
        return;
    }
    found(f, LEVEL_WARN, "the kernel has no seccomp filters: pods that ask for RuntimeDefault do not start");
    remedy(f, "a kernel with CONFIG_SECCOMP_FILTER");
}

void check_lsm(const struct doctor *d, struct finding *f)
{
    (void)d;
    found(f, LEVEL_OK, "AppArmor %s, SELinux %s", d->host.oci.apparmor ? "on" : "off",
          d->host.oci.selinux ? "on" : "off");
}

void check_userns(const struct doctor *d, struct finding *f)
{
    char max[32];
    (void)d;

    if (access("/proc/self/ns/user", F_OK) == 0 &&
        (!read_text("/proc/sys/user/max_user_namespaces", max, sizeof(max)) || strcmp(max, "0"))) {
        found(f, LEVEL_OK, "available");
        return;
    }
    found(f, LEVEL_WARN, "switched off: pods with hostUsers: false do not start");
    remedy(f, "sysctl -w user.max_user_namespaces=15000");
}

void check_swap(const struct doctor *d, struct finding *f)
{
    char text[4096];
    const char *second = read_text("/proc/swaps", text, sizeof(text)) ? strchr(text, '\n') : NULL;
    (void)d;

    if (!second || !second[1]) {
        found(f, LEVEL_OK, "none");
        return;
    }
    found(f, LEVEL_WARN, "on: the kubelet refuses to start with it unless failSwapOn is false");
    remedy(f, "swapoff -a and take it out of /etc/fstab, or set failSwapOn: false and memorySwap in the "
              "kubelet's configuration");
}

void check_files(const struct doctor *d, struct finding *f)
{
    struct rlimit l;
    (void)d;

    getrlimit(RLIMIT_NOFILE, &l);
    if (l.rlim_max == RLIM_INFINITY || l.rlim_max >= FILES_GOOD)
        found(f, LEVEL_OK, "%llu here", (unsigned long long)l.rlim_max);
    else
        found(f, LEVEL_WARN, "%llu here (the hard limit)", (unsigned long long)l.rlim_max);
    remedy(f, "the systemd unit sets LimitNOFILE; elsewhere `ulimit -n 1048576` before the daemon starts");
}

/* The directory, or the one above that exists: before the first start it is not there. */
static bool statfs_above(const char *path, struct statfs *st)
{
    char p[4096];

    snprintf(p, sizeof(p), "%s", path);
    while (statfs(p, st) < 0) {
        char *slash = strrchr(p, '/');
        if (errno != ENOENT || !slash)
            return false;
        slash[slash == p] = 0;
    }
    return true;
}

void check_disk(const struct doctor *d, struct finding *f)
{
    struct statfs st;
    char left[SIZE_TEXT_SIZE];

    if (!statfs_above(d->config.root, &st)) {
        found(f, LEVEL_FAIL, "%s: %s", d->config.root, strerror(errno));
        remedy(f, "make it, or set `root:`");
        return;
    }
    uint64_t bytes = (uint64_t)st.f_bavail * (uint64_t)st.f_bsize;
    bool inodes_low = st.f_files && st.f_ffree < 10000;
    format_size(bytes, left);
    found(f,
          bytes < 100u << 20 || inodes_low ? LEVEL_FAIL
          : bytes < 1u << 30               ? LEVEL_WARN
                                           : LEVEL_OK,
          "%s free%s at %s", left, inodes_low ? ", few inodes" : "", d->config.root);
    remedy(f, "remove images (`cricket image rm`), or set `root:` to a larger file system");
}

void check_systemd(const struct doctor *d, struct finding *f)
{
    if (d->host.systemd)
        found(f, LEVEL_OK, "booted by it: the cgroup driver is systemd unless configured");
    else
        found(
            f, LEVEL_OK,
            "not booted by it: the cgroup driver is cgroupfs unless configured; set the kubelet's to the same");
}
