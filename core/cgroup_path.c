/* Names of cgroups, for either driver: systemd.slice(5) for how a slice's name tells its place. */
#include "core/cgroup.h"
#include "core/mem.h"

#include <string.h>

enum { PARENT_MAX = 1024 };

static bool ends_with(const char *s, const char *tail)
{
    size_t n = strlen(s), m = strlen(tail);
    return n > m && strcmp(s + n - m, tail) == 0;
}

static const char *base_name(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash ? slash + 1 : path;
}

static bool has_dot_dot(const char *path)
{
    for (const char *p = path; (p = strstr(p, "..")); p += 2)
        if ((p == path || p[-1] == '/') && (p[2] == '/' || p[2] == '\0'))
            return true;
    return false;
}

static int check_slice(const char *parent, struct err *err)
{
    cleanup_free char *dir = NULL;

    if (!ends_with(parent, ".slice"))
        return err_set(
            err, GRPC_INVALID_ARGUMENT, 0,
            "cgroup parent \"%.200s\" is no slice, which the systemd driver needs; set the kubelet's "
            "cgroupDriver to systemd, or cgroup_driver to cgroupfs here",
            parent);
    return cgroup_slice_dir(base_name(parent), &dir, err);
}

static int check_cgroupfs(const char *parent, struct err *err)
{
    if (ends_with(parent, ".slice"))
        return err_set(err, GRPC_INVALID_ARGUMENT, 0,
                       "cgroup parent \"%.200s\" is a systemd slice, but the cgroup driver is cgroupfs; set "
                       "cgroup_driver to systemd here, or the kubelet's cgroupDriver to cgroupfs",
                       parent);
    if (parent[0] != '/')
        return err_set(err, GRPC_INVALID_ARGUMENT, 0,
                       "cgroup parent \"%.200s\" is not absolute; begin it with /", parent);
    return 0;
}

int cgroup_parent_check(enum cgroup_driver driver, const char *parent, struct err *err)
{
    if (strnlen(parent, PARENT_MAX + 1) > PARENT_MAX)
        return err_set(err, GRPC_INVALID_ARGUMENT, 0, "cgroup parent \"%.60s...\" is longer than %d bytes",
                       parent, PARENT_MAX);
    if (has_dot_dot(parent))
        return err_set(err, GRPC_INVALID_ARGUMENT, 0, "cgroup parent \"%.200s\" must not contain \"..\"",
                       parent);
    return driver == CGROUP_DRIVER_SYSTEMD ? check_slice(parent, err) : check_cgroupfs(parent, err);
}

/* A slice a pod would stay in systemd's memory for ever: nobody stops it, and removing its directory does not. */
char *cgroup_parent_default(enum cgroup_driver driver, const char *pod_id)
{
    return driver == CGROUP_DRIVER_SYSTEMD ? mem_strdup("cricket.slice") : mem_printf("/cricket/%s", pod_id);
}

/* The kubelet sends the slice's last name, crictl users also the path to it. */
char *cgroup_spec_path(enum cgroup_driver driver, const char *parent, const char *id)
{
    if (driver == CGROUP_DRIVER_SYSTEMD)
        return mem_printf("%s:cri-cricket:%s", base_name(parent), id);
    size_t n = strlen(parent);
    while (n > 0 && parent[n - 1] == '/')
        n--;
    return mem_printf("%.*s/%s", (int)n, parent, id);
}

int cgroup_slice_dir(const char *slice, char **ret_dir, struct err *err)
{
    size_t n = strlen(slice), len = n - 6, out = 0;

    if (strcmp(slice, "-.slice") == 0) {
        *ret_dir = mem_strdup("/");
        return 0;
    }
    if (!ends_with(slice, ".slice") || n > 255 || strpbrk(slice, "/:") || slice[0] == '-' ||
        slice[len - 1] == '-' || strstr(slice, "--"))
        return err_set(err, GRPC_INVALID_ARGUMENT, 0,
                       "\"%.200s\" is no slice name: it is words joined by single dashes and ends in .slice",
                       slice);
    char *dir = mem_alloc((n + 8) * (n + 1)); /* as many prefixes as dashes, each no longer than the whole */
    for (size_t i = 1; i <= len; i++)
        if (i == len || slice[i] == '-')
            out += (size_t)sprintf(dir + out, "/%.*s.slice", (int)i, slice);
    *ret_dir = dir;
    return 0;
}

char *cgroup_parent_dir(enum cgroup_driver driver, const char *parent)
{
    char *dir;
    struct err err;

    if (driver == CGROUP_DRIVER_SYSTEMD && cgroup_slice_dir(base_name(parent), &dir, &err) == 0)
        return dir;
    return mem_strdup(parent);
}

char *cgroup_container_dir(enum cgroup_driver driver, const char *parent, const char *id)
{
    cleanup_free char *dir = cgroup_parent_dir(driver, parent);
    const char *base = strcmp(dir, "/") == 0 ? "" : dir;

    if (driver != CGROUP_DRIVER_SYSTEMD)
        return cgroup_spec_path(driver, parent, id);
    return mem_printf("%s/cri-cricket-%s.scope", base, id);
}
