#include "cli/doctor.h"
#include "cli/program.h"
#include "core/mem.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { VERSION_MS = 5000 };

static bool plugin_found(const struct doctor *d, const char *name)
{
    for (char **dir = d->config.cni_bin_dirs; dir && *dir; dir++) {
        cleanup_free char *path = mem_printf("%s/%s", *dir, name);
        if (access(path, X_OK) == 0)
            return true;
    }
    return false;
}

/* Files that the daemon would look at; the first by name is the network. */
static int conf_files(const struct doctor *d, char *ret_first, size_t size)
{
    static const char *const suffixes[] = {".conflist", ".conf", ".json"};
    DIR *dir = opendir(d->config.cni_conf_dir);
    struct dirent *e;
    int n = 0;

    *ret_first = 0;
    while (dir && (e = readdir(dir))) {
        const char *dot = strrchr(e->d_name, '.');
        for (size_t i = 0; dot && i < countof(suffixes); i++)
            if (!strcmp(dot, suffixes[i])) {
                n++;
                if (!*ret_first || strcmp(e->d_name, ret_first) < 0)
                    snprintf(ret_first, size, "%s", e->d_name);
            }
    }
    if (dir)
        closedir(dir);
    return n;
}

void check_cni_plugins(const struct doctor *d, struct finding *f)
{
    static const char *const needed[] = {"bridge", "host-local", "portmap"}; /* loopback is built in */
    char missing[64] = "", first[256];

    for (size_t i = 0; i < countof(needed); i++)
        if (!plugin_found(d, needed[i]))
            snprintf(missing + strlen(missing), sizeof(missing) - strlen(missing), "%s%s", *missing ? ", " : "",
                     needed[i]);
    if (!*missing) {
        found(f, LEVEL_OK, "bridge, host-local and portmap");
        return;
    }
    /* A network of the cluster's may need none of them. */
    bool own = conf_files(d, first, sizeof(first)) > 0;
    found(f, own ? LEVEL_WARN : LEVEL_FAIL, "missing: %s", missing);
    remedy(f, "apt-get install containernetworking-plugins, or name their directory in cni: bin_dirs:");
}

void check_cni_conf(const struct doctor *d, struct finding *f)
{
    char first[256];
    int n = conf_files(d, first, sizeof(first));

    if (n > 0) {
        found(f, n == 1 ? LEVEL_OK : LEVEL_WARN, "%s/%s%s", d->config.cni_conf_dir, first,
              n == 1 ? "" : ", the first of several");
        remedy(f, "leave only one network in %s", d->config.cni_conf_dir);
    } else if (d->config.cni_default_bridge) {
        found(f, LEVEL_OK, "none in %s: the built-in bridge with %s", d->config.cni_conf_dir,
              d->config.cni_default_subnet);
    } else {
        found(f, LEVEL_WARN, "none in %s: only pods with host network start", d->config.cni_conf_dir);
        remedy(f, "install the cluster's network, or set cni: default_bridge: true");
    }
}

void check_iptables(const struct doctor *d, struct finding *f)
{
    cleanup_free char *path = program_find("iptables");
    char version[128];
    (void)d;

    if (path && program_first_line((const char *const[]){path, "--version", NULL}, VERSION_MS, version,
                                   sizeof(version)) == 0) {
        found(f, LEVEL_OK, "%s", version);
        return;
    }
    found(f, LEVEL_FAIL, path ? "%s does not run" : "%s not found: the bridge and portmap plugins need it",
          path ? path : "iptables");
    remedy(f, "apt-get install iptables");
}

void check_forward(const struct doctor *d, struct finding *f)
{
    char v[8];
    (void)d;

    bool on = read_text("/proc/sys/net/ipv4/ip_forward", v, sizeof(v)) && !strcmp(v, "1");
    found(f, on ? LEVEL_OK : LEVEL_WARN,
          on ? "on" : "off: pods reach nothing outside of this host (the bridge plugin switches it on)");
    remedy(f, "sysctl -w net.ipv4.ip_forward=1, and keep it in /etc/sysctl.d");
}

void check_bridge(const struct doctor *d, struct finding *f)
{
    char v[8];
    (void)d;

    bool loaded = read_text("/proc/sys/net/bridge/bridge-nf-call-iptables", v, sizeof(v));
    if (loaded && !strcmp(v, "1"))
        found(f, LEVEL_OK, "on");
    else
        found(f, LEVEL_WARN, "%s: kube-proxy's services do not work between pods of one node",
              loaded ? "off" : "br_netfilter is not loaded");
    remedy(f, "%s",
           loaded ? "sysctl -w net.bridge.bridge-nf-call-iptables=1"
                  : "modprobe br_netfilter, and keep it in /etc/modules-load.d");
}
