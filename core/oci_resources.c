/* Limits and devices: runtime-spec config-linux.md, "Control groups" and "Devices". */
#include "core/oci_build.h"

struct device_rule {
    char type;
    int major, minor; /* -1: any */
    const char *access;
};

/* Runtimes add these by themselves, too; but what a container may do should not hang on which runtime it is. */
static const struct device_rule standard_rules[] = {
    {'c', -1, -1, "m"},    {'b', -1, -1, "m"},                     /* to make a node is not to open it */
    {'c', 1, 3, "rwm"},    {'c', 1, 5, "rwm"}, {'c', 1, 7, "rwm"}, /* null, zero, full */
    {'c', 1, 8, "rwm"},    {'c', 1, 9, "rwm"},                     /* random, urandom */
    {'c', 5, 0, "rwm"},    {'c', 5, 1, "rwm"}, {'c', 5, 2, "rwm"}, /* tty, console, ptmx */
    {'c', 136, -1, "rwm"},                                         /* pts */
};

static void add_rule(json_t *rules, bool allow, char type, int64_t major, int64_t minor, const char *access)
{
    json_t *o = json_object();

    json_object_set_new(o, "allow", json_boolean(allow));
    if (type)
        json_object_set_new(o, "type", json_stringn(&type, 1));
    if (major >= 0)
        json_object_set_new(o, "major", json_integer(major));
    if (minor >= 0)
        json_object_set_new(o, "minor", json_integer(minor));
    json_object_set_new(o, "access", json_string(access));
    json_array_append_new(rules, o);
}

/* Empty and "rwm" in any order pass; anything else would be the runtime's error, long after the pod's. */
static void check_access(struct oci_build *b, const struct oci_device *d)
{
    for (const char *p = d->permissions; p && *p; p++)
        if (*p != 'r' && *p != 'w' && *p != 'm' && b->rc == 0)
            b->rc = err_set(b->err, GRPC_INVALID_ARGUMENT, 0,
                            "device %.200s: permissions \"%.20s\" must be of the letters r, w and m",
                            d->path ? d->path : "", d->permissions);
}

static json_t *device_rules(struct oci_build *b)
{
    const struct oci_container *c = b->c;
    json_t *rules = json_array();

    if (c->privileged && c->host_devices) {
        add_rule(rules, true, 0, -1, -1, "rwm");
        return rules;
    }
    add_rule(rules, false, 0, -1, -1, "rwm");
    for (size_t i = 0; i < countof(standard_rules); i++) {
        const struct device_rule *r = &standard_rules[i];
        add_rule(rules, true, r->type, r->major, r->minor, r->access);
    }
    for (size_t i = 0; i < c->devices_n; i++) {
        const struct oci_device *d = &c->devices[i];
        check_access(b, d);
        add_rule(rules, true, d->type, d->major, d->minor,
                 d->permissions && d->permissions[0] ? d->permissions : "rwm");
    }
    return rules;
}

json_t *oci_devices(struct oci_build *b)
{
    json_t *a = json_array();

    for (size_t i = 0; i < b->c->devices_n; i++) {
        const struct oci_device *d = &b->c->devices[i];
        json_t *o = json_object();
        json_object_set_new(o, "path", oci_string(b, "device path", d->path));
        json_object_set_new(o, "type", json_stringn(&d->type, 1));
        json_object_set_new(o, "major", json_integer(d->major));
        json_object_set_new(o, "minor", json_integer(d->minor));
        json_object_set_new(o, "fileMode", json_integer(d->file_mode));
        json_object_set_new(o, "uid", json_integer(d->uid));
        json_object_set_new(o, "gid", json_integer(d->gid));
        json_array_append_new(a, o);
    }
    return a;
}

static void set_number(json_t *o, const char *key, int64_t value)
{
    if (value)
        json_object_set_new(o, key, json_integer(value));
}

/* Attaches a part that has something in it. */
static void set_part(json_t *o, const char *key, json_t *part)
{
    if (json_object_size(part) || json_array_size(part))
        json_object_set_new(o, key, part);
    else
        json_decref(part);
}

static json_t *cpu(struct oci_build *b, const struct oci_resources *r)
{
    json_t *o = json_object();

    set_number(o, "shares", r->cpu_shares);
    set_number(o, "quota", r->cpu_quota);
    set_number(o, "period", r->cpu_period);
    oci_set_string(b, o, "cpus", r->cpuset_cpus);
    oci_set_string(b, o, "mems", r->cpuset_mems);
    return o;
}

/* A memory limit without a swap limit means no swap: both the same, as a runtime counts swap and memory together. */
static json_t *memory(const struct oci_host *host, const struct oci_resources *r)
{
    json_t *o = json_object();

    set_number(o, "limit", r->memory_limit);
    if (host->swap_accounting)
        set_number(o, "swap", r->memory_swap ? r->memory_swap : r->memory_limit);
    return o;
}

static json_t *hugepages(struct oci_build *b, const struct oci_resources *r)
{
    json_t *a = json_array();

    for (size_t i = 0; b->host->hugetlb && i < r->hugepages_n; i++) {
        json_t *o = json_object();
        json_object_set_new(o, "pageSize", oci_string(b, "hugepage limit", r->hugepages[i].page_size));
        uint64_t limit = r->hugepages[i].limit;
        json_object_set_new(o, "limit", json_integer(limit > INT64_MAX ? INT64_MAX : (json_int_t)limit));
        json_array_append_new(a, o);
    }
    return a;
}

json_t *oci_resources(struct oci_build *b)
{
    const struct oci_resources *r = &b->c->resources;
    json_t *o = json_object(), *pids = json_object();

    json_object_set_new(o, "devices", device_rules(b));
    set_part(o, "cpu", cpu(b, r));
    set_part(o, "memory", memory(b->host, r));
    set_number(pids, "limit", r->pids_limit);
    set_part(o, "pids", pids);
    set_part(o, "hugepageLimits", hugepages(b, r));
    if (b->host->cgroup_v2 && r->unified.n)
        json_object_set_new(o, "unified", oci_map(b, "unified", &r->unified));
    return o;
}
