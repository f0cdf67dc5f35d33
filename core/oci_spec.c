#include "core/oci_build.h"
#include "core/mem.h"
#include "core/seccomp.h"

#include <string.h>

/* /proc files that tell about or reach into the host, as containerd 2 masks them. */
const char *const oci_default_masked_paths[] = {
    "/proc/acpi",
    "/proc/asound",
    "/proc/interrupts",
    "/proc/kcore",
    "/proc/keys",
    "/proc/latency_stats",
    "/proc/timer_list",
    "/proc/timer_stats",
    "/proc/sched_debug",
    "/proc/scsi",
    "/sys/firmware",
    "/sys/devices/virtual/powercap",
    NULL,
};
const char *const oci_default_readonly_paths[] = {
    "/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger", NULL,
};

json_t *oci_string(struct oci_build *b, const char *field, const char *s)
{
    json_t *j = json_string(s ? s : "");

    if (!j && b->rc == 0)
        b->rc = err_set(b->err, GRPC_INVALID_ARGUMENT, 0, "%s is not UTF-8 text", field);
    return j;
}

json_t *oci_strings(struct oci_build *b, const char *field, const char *const *list)
{
    json_t *a = json_array();

    for (size_t i = 0; list && list[i]; i++)
        json_array_append_new(a, oci_string(b, field, list[i]));
    return a;
}

json_t *oci_map(struct oci_build *b, const char *field, const struct kv_list *map)
{
    json_t *o = json_object();

    for (size_t i = 0; i < map->n; i++) {
        json_t *v = oci_string(b, field, map->items[i].value);
        if (json_object_set_new(o, map->items[i].key, v) < 0 && b->rc == 0)
            b->rc = err_set(b->err, GRPC_INVALID_ARGUMENT, 0, "%s: a key is not UTF-8 text", field);
    }
    return o;
}

void oci_set_string(struct oci_build *b, json_t *object, const char *key, const char *s)
{
    if (s && s[0])
        json_object_set_new(object, key, oci_string(b, key, s));
}

static json_t *namespaces(struct oci_build *b)
{
    const struct oci_container *c = b->c;
    const struct {
        const char *type;
        const struct oci_ns *ns;
    } all[] = {{"network", &c->ns_net}, {"ipc", &c->ns_ipc},   {"uts", &c->ns_uts},
               {"pid", &c->ns_pid},     {"mount", &c->ns_mnt}, {"cgroup", &c->ns_cgroup}};
    json_t *a = json_array();

    for (size_t i = 0; i < countof(all); i++) {
        /* No container runs in the host's mount namespace: the runtimes pivot_root, and refuse to do it there. */
        if (!all[i].ns->create && !all[i].ns->path && all[i].ns != &c->ns_mnt)
            continue;
        json_t *o = json_object();
        oci_set_string(b, o, "type", all[i].type);
        oci_set_string(b, o, "path", all[i].ns->path);
        json_array_append_new(a, o);
    }
    return a;
}

static json_t *linux_object(struct oci_build *b)
{
    const struct oci_container *c = b->c;
    json_t *o = json_object();

    json_object_set_new(o, "namespaces", namespaces(b));
    json_object_set_new(o, "resources", oci_resources(b));
    if (c->devices_n)
        json_object_set_new(o, "devices", oci_devices(b));
    oci_set_string(b, o, "cgroupsPath", c->cgroups_path);
    if (c->sysctls.n)
        json_object_set_new(o, "sysctl", oci_map(b, "sysctls", &c->sysctls));
    oci_set_string(b, o, "rootfsPropagation", c->rootfs_propagation);
    if (!c->privileged) {
        json_object_set_new(o, "maskedPaths",
                            oci_strings(b, "masked_paths", (const char *const *)c->masked_paths));
        json_object_set_new(o, "readonlyPaths",
                            oci_strings(b, "readonly_paths", (const char *const *)c->readonly_paths));
    }
    if (b->host->selinux)
        oci_set_string(b, o, "mountLabel", c->selinux_mount_label);
    return o;
}

/* The filter as text, or NULL for none. */
static int seccomp_text(struct oci_build *b, char **ret_text)
{
    const struct seccomp_env env = {b->caps.permitted, b->host->kernel_major, b->host->kernel_minor};

    *ret_text = NULL;
    if (b->c->privileged || b->c->seccomp == SECCOMP_UNCONFINED)
        return 0;
    if (b->c->seccomp == SECCOMP_JSON)
        return seccomp_localhost(b->c->seccomp_json ? b->c->seccomp_json : "", ret_text, b->err);
    *ret_text = seccomp_runtime_default(&env);
    return 0;
}

/*
 * Below systemd crun puts a container into a cgroup "container" in its scope, and the limits there alone; other runtimes,
 * and those who look at limits (cAdvisor), use the scope itself. The empty value turns that off.
 */
static json_t *annotations(struct oci_build *b)
{
    const struct oci_container *c = b->c;
    json_t *o = c->annotations.n ? oci_map(b, "annotations", &c->annotations) : json_object();

    if (c->cgroups_path && c->cgroups_path[0] != '/' && !json_object_get(o, "run.oci.systemd.subgroup"))
        json_object_set_new(o, "run.oci.systemd.subgroup", json_string(""));
    return o;
}

static json_t *top_object(struct oci_build *b)
{
    const struct oci_container *c = b->c;
    json_t *o = json_object(), *root = json_object();

    oci_set_string(b, o, "ociVersion", "1.0.2");
    json_object_set_new(o, "process", oci_process(b));
    oci_set_string(b, root, "path", c->rootfs);
    if (c->readonly_rootfs)
        json_object_set_new(root, "readonly", json_true());
    json_object_set_new(o, "root", root);
    oci_set_string(b, o, "hostname", c->hostname);
    json_object_set_new(o, "mounts", oci_mounts(b));
    json_t *notes = annotations(b);
    if (json_object_size(notes))
        json_object_set_new(o, "annotations", notes);
    else
        json_decref(notes);
    return o;
}

static char *dump(json_t *j)
{
    char *text = json_dumps(j, JSON_COMPACT);

    if (!text)
        abort();
    json_decref(j);
    return text;
}

/* {TOP,"linux":{LINUX,"seccomp":SECCOMP}}: the filter's 430 names are text already, and stay so. */
static char *join(json_t *top, json_t *lin, const char *seccomp)
{
    cleanup_free char *t = dump(top), *l = dump(lin);

    return mem_printf("%.*s,\"linux\":%.*s%s%s}}", (int)strlen(t) - 1, t, (int)strlen(l) - 1, l,
                      seccomp ? ",\"seccomp\":" : "", seccomp ? seccomp : "");
}

static int build_begin(struct oci_build *b)
{
    const struct oci_container *c = b->c;
    const struct caps_request r = {
        .base = (const char *const *)c->cap_default,
        .add = (const char *const *)c->cap_add,
        .drop = (const char *const *)c->cap_drop,
        .ambient = (const char *const *)c->cap_ambient,
        .bounding = b->host->bounding_caps,
        .privileged = c->privileged,
    };

    if (!c->args || !c->args[0])
        return err_set(b->err, GRPC_INVALID_ARGUMENT, 0,
                       "no command: neither the request nor the image has one");
    if (c->cwd && c->cwd[0] && c->cwd[0] != '/')
        return err_set(b->err, GRPC_INVALID_ARGUMENT, 0, "working directory %.200s is not absolute", c->cwd);
    return caps_resolve(&r, &b->caps, b->err);
}

int oci_spec_build(const struct oci_container *c, const struct oci_host *host, char **ret_json, struct err *err)
{
    struct oci_build b = {.c = c, .host = host, .err = err};
    cleanup_free char *seccomp = NULL;
    int r = build_begin(&b);

    if (r < 0 || (r = seccomp_text(&b, &seccomp)) < 0)
        return r;
    json_t *top = top_object(&b), *lin = linux_object(&b);
    if (b.rc < 0) {
        json_decref(top);
        json_decref(lin);
        return b.rc;
    }
    *ret_json = join(top, lin, seccomp);
    return 0;
}

int oci_process_build(const struct oci_container *c, const struct oci_host *host, char **ret_json,
                      struct err *err)
{
    struct oci_build b = {.c = c, .host = host, .err = err};
    int r = build_begin(&b);

    if (r < 0)
        return r;
    json_t *process = oci_process(&b);
    if (b.rc < 0) {
        json_decref(process);
        return b.rc;
    }
    *ret_json = dump(process);
    return 0;
}
