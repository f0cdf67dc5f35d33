/* The configuration as a table: what goes in, and what stands at a path of the JSON that comes out. */
#include "core/oci_mounts.c"
#include "core/oci_spec.h"
#include "core/mem.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <cmocka.h>
#include <linux/capability.h>
#include <time.h>

static char *args[] = {"sh", "-c", "true", NULL};
static char *env[] = {"PATH=/bin", NULL};
static char *const defaults[] = {"CAP_CHOWN", "CAP_NET_BIND_SERVICE", "CAP_KILL", NULL};

static struct oci_host host(void)
{
    return (struct oci_host){.min_oom_score_adj = -500, .bounding_caps = caps_all(), .kernel_major = 6};
}

static struct oci_container plain(void)
{
    return (struct oci_container){
        .id = "c1",
        .args = args,
        .env = env,
        .rootfs = "/r",
        .cap_default = defaults,
        .seccomp = SECCOMP_UNCONFINED,
        .masked_paths = (char **)(uintptr_t)oci_default_masked_paths,
        .readonly_paths = (char **)(uintptr_t)oci_default_readonly_paths,
        .ns_mnt = {.create = true},
        .ns_net = {.path = "/run/netns/x"},
    };
}

static json_t *build_on(const struct oci_container *c, const struct oci_host *h)
{
    struct err err = {0};
    cleanup_free char *text = NULL;
    json_error_t where;

    if (oci_spec_build(c, h, &text, &err) < 0)
        fail_msg("%s", err.msg);
    json_t *j = json_loads(text, JSON_REJECT_DUPLICATES, &where);
    if (!j)
        fail_msg("%s in %s", where.text, text);
    return j;
}

static json_t *build(const struct oci_container *c)
{
    struct oci_host h = host();
    return build_on(c, &h);
}

/* "process.user.uid"; digits index arrays. */
static json_t *at(json_t *j, const char *path)
{
    char copy[200], *save = NULL;

    snprintf(copy, sizeof(copy), "%s", path);
    for (char *p = strtok_r(copy, ".", &save); p; p = strtok_r(NULL, ".", &save))
        j = json_is_array(j) ? json_array_get(j, strtoul(p, NULL, 10)) : json_object_get(j, p);
    return j;
}

/* The value at path is this text of JSON; "" that there is none. Frees j when last. */
static void expect(json_t *j, const char *path, const char *want)
{
    json_t *v = at(j, path);
    char *text = v ? json_dumps(v, JSON_COMPACT | JSON_ENCODE_ANY) : NULL;

    if (strcmp(text ? text : "", want) != 0)
        fail_msg("%s is %s, not %s", path, text ? text : "absent", want);
    free(text);
}

static json_t *mount_at(json_t *j, const char *destination)
{
    json_t *m, *found = NULL;
    size_t i;

    json_array_foreach (json_object_get(j, "mounts"), i, m)
        if (strcmp(json_string_value(json_object_get(m, "destination")), destination) == 0) {
            assert_null(found);
            found = m;
        }
    return found;
}

static void a_plain_container(void **state)
{
    struct oci_container c = plain();
    json_t *j = build(&c);

    (void)state;
    expect(j, "ociVersion", "\"1.0.2\"");
    expect(j, "process.args", "[\"sh\",\"-c\",\"true\"]");
    expect(j, "process.env", "[\"PATH=/bin\"]");
    expect(j, "process.cwd", "\"/\"");
    expect(j, "process.terminal", "");
    expect(j, "process.noNewPrivileges", "false");
    expect(j, "process.oomScoreAdj", "");
    expect(j, "process.rlimits", "");
    expect(j, "process.capabilities.bounding", "[\"CAP_CHOWN\",\"CAP_KILL\",\"CAP_NET_BIND_SERVICE\"]");
    expect(j, "process.capabilities.inheritable", "");
    expect(j, "process.capabilities.ambient", "");
    expect(j, "root", "{\"path\":\"/r\"}");
    expect(j, "hostname", "");
    expect(j, "linux.namespaces", "[{\"type\":\"network\",\"path\":\"/run/netns/x\"},{\"type\":\"mount\"}]");
    expect(j, "linux.seccomp", "");
    expect(j, "linux.resources.devices.0", "{\"allow\":false,\"access\":\"rwm\"}");
    expect(j, "linux.resources.memory", "");
    expect(j, "linux.resources.cpu", "");
    expect(j, "linux.maskedPaths.0", "\"/proc/acpi\"");
    expect(mount_at(j, "/sys"), "options", "[\"nosuid\",\"noexec\",\"nodev\",\"ro\"]");
    expect(mount_at(j, "/dev"), "options", "[\"nosuid\",\"strictatime\",\"mode=755\",\"size=65536k\"]");
    json_decref(j);
}

static void a_privileged_one(void **state)
{
    struct oci_container c = plain();
    struct oci_host h = host();

    (void)state;
    c.privileged = c.host_devices = true;
    c.seccomp = SECCOMP_RUNTIME_DEFAULT;
    c.cap_drop = (char *[]){"ALL", NULL};
    h.bounding_caps = CAP_BIT(CAP_KILL) | CAP_BIT(CAP_CHOWN);
    json_t *j = build_on(&c, &h);
    expect(j, "process.capabilities.permitted",
           "[\"CAP_CHOWN\",\"CAP_KILL\"]"); /* all that we have ourselves */
    expect(j, "linux.seccomp", "");
    expect(j, "linux.maskedPaths", "");
    expect(j, "linux.readonlyPaths", "");
    expect(j, "linux.resources.devices", "[{\"allow\":true,\"access\":\"rwm\"}]");
    expect(mount_at(j, "/sys"), "options.3", "\"rw\"");
    expect(mount_at(j, "/sys/fs/cgroup"), "options.4", "\"rw\"");
    json_decref(j);
    c.host_devices = false;
    j = build_on(&c, &h);
    expect(j, "linux.resources.devices.0.allow", "false");
    json_decref(j);
}

static void process_fields(void **state)
{
    struct oci_container c = plain();

    (void)state;
    c.tty = true;
    c.uid = 1000;
    c.gid = 4294967294;
    c.additional_gids = (uint32_t[]){5, 6};
    c.additional_gids_n = 2;
    c.no_new_privs = true;
    c.oom_score_adj_set = true;
    c.oom_score_adj = -998;
    c.cap_ambient = (char *[]){"net_raw", NULL};
    json_t *j = build(&c);
    expect(j, "process.terminal", "true");
    expect(j, "process.env", "[\"PATH=/bin\",\"TERM=xterm\"]");
    expect(j, "process.user", "{\"uid\":1000,\"gid\":4294967294,\"additionalGids\":[5,6]}");
    expect(j, "process.noNewPrivileges", "true");
    expect(j, "process.oomScoreAdj", "-500"); /* what the host lets us */
    expect(j, "process.capabilities.ambient", "[\"CAP_NET_RAW\"]");
    expect(j, "process.capabilities.inheritable", "[\"CAP_NET_RAW\"]");
    json_decref(j);
    c.env = (char *[]){"TERM=vt100", NULL};
    j = build(&c);
    expect(j, "process.env", "[\"TERM=vt100\"]");
    json_decref(j);
}

static void labels_only_where_the_module_is_active(void **state)
{
    static const struct {
        bool apparmor, selinux;
        const char *profile, *want_profile, *want_label;
    } rows[] = {
        {false, false, "p", "", ""},
        {true, false, "p", "\"p\"", ""},
        {true, true, "unconfined", "", "\"u:r:t\""},
        {true, false, "", "", ""},
    };

    (void)state;
    for (size_t i = 0; i < countof(rows); i++) {
        struct oci_container c = plain();
        struct oci_host h = host();
        h.apparmor = rows[i].apparmor;
        h.selinux = rows[i].selinux;
        c.apparmor_profile = rows[i].profile;
        c.selinux_label = c.selinux_mount_label = "u:r:t";
        json_t *j = build_on(&c, &h);
        expect(j, "process.apparmorProfile", rows[i].want_profile);
        expect(j, "process.selinuxLabel", rows[i].want_label);
        expect(j, "linux.mountLabel", rows[i].want_label);
        json_decref(j);
    }
}

static void resources(void **state)
{
    struct oci_container c = plain();
    struct oci_host h = host();
    struct oci_hugepage huge = {"2MB", UINT64_MAX};

    (void)state;
    c.resources = (struct oci_resources){
        .cpu_shares = 512,
        .cpu_quota = -1,
        .cpu_period = 100000,
        .memory_limit = 1 << 20,
        .cpuset_cpus = "0-1",
        .pids_limit = 100,
        .hugepages = &huge,
        .hugepages_n = 1,
    };
    kv_set(&c.resources.unified, "memory.high", "1");
    json_t *j = build_on(&c, &h); /* v1, no swap accounting, no hugetlb */
    expect(j, "linux.resources.cpu", "{\"shares\":512,\"quota\":-1,\"period\":100000,\"cpus\":\"0-1\"}");
    expect(j, "linux.resources.memory", "{\"limit\":1048576}");
    expect(j, "linux.resources.pids.limit", "100");
    expect(j, "linux.resources.hugepageLimits", "");
    expect(j, "linux.resources.unified", "");
    json_decref(j);
    h.swap_accounting = h.hugetlb = h.cgroup_v2 = true;
    j = build_on(&c, &h);
    expect(j, "linux.resources.memory", "{\"limit\":1048576,\"swap\":1048576}");
    expect(j, "linux.resources.hugepageLimits.0.limit", "9223372036854775807");
    expect(j, "linux.resources.unified", "{\"memory.high\":\"1\"}");
    json_decref(j);
    c.resources.memory_swap = 2 << 20;
    j = build_on(&c, &h);
    expect(j, "linux.resources.memory.swap", "2097152");
    json_decref(j);
    kv_done(&c.resources.unified);
}

static void devices(void **state)
{
    struct oci_container c = plain();
    struct oci_device d = {"/dev/fuse", 'c', 10, 229, 0660, 0, 5, "rw"};

    (void)state;
    c.devices = &d;
    c.devices_n = 1;
    json_t *j = build(&c);
    expect(j, "linux.devices",
           "[{\"path\":\"/dev/"
           "fuse\",\"type\":\"c\",\"major\":10,\"minor\":229,\"fileMode\":432,\"uid\":0,\"gid\":5}]");
    json_t *rules = at(j, "linux.resources.devices");
    expect(json_array_get(rules, json_array_size(rules) - 1), "access", "\"rw\"");
    json_decref(j);
}

static void mounts_in_order(void **state)
{
    static char *ro[] = {"rbind", "ro", NULL};
    struct oci_mount given[] = {
        {"/data//deep/er/", "/h/1", NULL, ro},
        {"/data", "/h/2", NULL, ro},
        {"/sys/fs/cgroup/", "/h/3", "bind", NULL},
        {"/dev/./shm", "/h/4", "bind", ro},
    };
    static const char *const want[] = {"/proc",       "/dev",     "/sys",           "/data",        "/dev/pts",
                                       "/dev/mqueue", "/dev/shm", "/sys/fs/cgroup", "/data/deep/er"};
    struct oci_container c = plain();

    (void)state;
    c.mounts = given;
    c.mounts_n = countof(given);
    json_t *j = build(&c), *list = at(j, "mounts");
    assert_int_equal(json_array_size(list), countof(want));
    for (size_t i = 0; i < countof(want); i++) {
        json_t *m = mount_at(j, want[i]);
        assert_non_null(m);
        if (strcmp(want[i], "/sys/fs/cgroup") == 0)
            expect(m, "source", "\"/h/3\"");
        size_t slashes = 0, previous = 0;
        const char *p = json_string_value(at(json_array_get(list, i), "destination"));
        for (; *p; p++)
            slashes += *p == '/';
        if (i > 0)
            previous = depth_of(json_string_value(at(json_array_get(list, i - 1), "destination")));
        assert_true(slashes >= previous);
    }
    expect(mount_at(j, "/sys/fs/cgroup"), "options", "[\"rbind\"]"); /* a bind without saying how */
    json_decref(j);
    given[0].destination = "/dev";
    j = build(&c); /* ... takes those below it along */
    assert_null(mount_at(j, "/dev/pts"));
    assert_non_null(mount_at(j, "/dev/shm"));
    expect(mount_at(j, "/dev"), "source", "\"/h/1\"");
    json_decref(j);
}

static void the_profile_stands_in_the_filter(void **state)
{
    struct oci_container c = plain();

    (void)state;
    c.seccomp = SECCOMP_RUNTIME_DEFAULT;
    json_t *j = build(&c);
    expect(j, "linux.seccomp.defaultAction", "\"SCMP_ACT_ERRNO\"");
    assert_true(json_array_size(at(j, "linux.seccomp.syscalls")) > 5);
    json_decref(j);
    c.seccomp = SECCOMP_JSON;
    c.seccomp_json = "{\"defaultAction\":\"SCMP_ACT_ALLOW\",\"other\":1}";
    j = build(&c);
    expect(j, "linux.seccomp", "{\"defaultAction\":\"SCMP_ACT_ALLOW\"}");
    json_decref(j);
}

static void process_alone(void **state)
{
    struct oci_container c = plain();
    struct oci_host h = host();
    struct err err = {0};
    char *text;

    (void)state;
    assert_int_equal(oci_process_build(&c, &h, &text, &err), 0);
    json_t *j = json_loads(text, 0, NULL);
    expect(j, "args.0", "\"sh\"");
    expect(j, "process", "");
    json_decref(j);
    free(text);
}

typedef void change_fn(struct oci_container *c);
static struct oci_mount bad_mount;
static struct oci_device bad_device;

static void no_args(struct oci_container *c)
{
    static char *none[] = {NULL};
    c->args = none;
}
static void bad_utf8(struct oci_container *c)
{
    static char *bad[] = {"sh", "\xff\xfe", NULL};
    c->args = bad;
}
static void relative_cwd(struct oci_container *c)
{
    c->cwd = "work";
}
static void unknown_cap(struct oci_container *c)
{
    static char *add[] = {"CAP_FOO", NULL};
    c->cap_add = add;
}
static void mount_of(struct oci_container *c, const char *path)
{
    bad_mount = (struct oci_mount){.destination = (char *)(uintptr_t)path, .source = "/x"};
    c->mounts = &bad_mount;
    c->mounts_n = 1;
}
static void relative_mount(struct oci_container *c)
{
    mount_of(c, "data");
}
static void root_mount(struct oci_container *c)
{
    mount_of(c, "//./");
}
static void dotdot_mount(struct oci_container *c)
{
    mount_of(c, "/a/../b");
}
static void no_mount_path(struct oci_container *c)
{
    mount_of(c, NULL);
}
static void permissions(struct oci_container *c)
{
    bad_device = (struct oci_device){.path = "/dev/x", .type = 'c', .permissions = "rx"};
    c->devices = &bad_device;
    c->devices_n = 1;
}
static void broken_profile(struct oci_container *c)
{
    c->seccomp = SECCOMP_JSON;
    c->seccomp_json = "[]";
}

static void faults_are_named(void **state)
{
    static const struct {
        change_fn *change;
        const char *says;
    } rows[] = {
        {no_args, "no command"},
        {bad_utf8, "command is not UTF-8"},
        {relative_cwd, "work is not absolute"},
        {unknown_cap, "CAP_FOO"},
        {relative_mount, "\"data\""},
        {root_mount, "//./"},
        {dotdot_mount, "/a/../b"},
        {no_mount_path, "\"\""},
        {permissions, "\"rx\""},
        {broken_profile, "not a JSON object"},
    };

    (void)state;
    for (size_t i = 0; i < countof(rows); i++) {
        struct oci_container c = plain();
        struct oci_host h = host();
        struct err err = {0};
        char *text = NULL;
        rows[i].change(&c);
        assert_true(oci_spec_build(&c, &h, &text, &err) < 0);
        assert_null(text);
        assert_int_equal(err.grpc, GRPC_INVALID_ARGUMENT);
        if (!strstr(err.msg, rows[i].says))
            fail_msg("\"%s\" does not say %s", err.msg, rows[i].says);
    }
}

static void how_long_it_takes(void **state)
{
    struct oci_container c = plain();
    struct oci_host h = host();
    struct timespec a, b;
    struct err err;
    size_t len = 0;

    (void)state;
    c.seccomp = SECCOMP_RUNTIME_DEFAULT;
    clock_gettime(CLOCK_MONOTONIC, &a);
    for (int i = 0; i < 1000; i++) {
        char *text;
        assert_int_equal(oci_spec_build(&c, &h, &text, &err), 0);
        len = strlen(text);
        free(text);
    }
    clock_gettime(CLOCK_MONOTONIC, &b);
    double us = ((double)(b.tv_sec - a.tv_sec) * 1e9 + (double)(b.tv_nsec - a.tv_nsec)) / 1e6;
    print_message("# %.1f us a configuration of %zu bytes\n", us, len);
}

static void test_systemd_subgroup(void **state)
{
    struct oci_container c = plain();
    (void)state;
    c.cgroups_path = "/kubepods/pod1/c1";
    json_t *j = build(&c);
    expect(j, "annotations", "");
    json_decref(j);
    c.cgroups_path = "kubepods-pod1.slice:cri-cricket:c1";
    j = build(&c);
    expect(j, "annotations", "{\"run.oci.systemd.subgroup\":\"\"}");
    expect(j, "linux.cgroupsPath", "\"kubepods-pod1.slice:cri-cricket:c1\"");
    json_decref(j);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_plain_container), cmocka_unit_test(a_privileged_one),
        cmocka_unit_test(process_fields),    cmocka_unit_test(labels_only_where_the_module_is_active),
        cmocka_unit_test(resources),         cmocka_unit_test(devices),
        cmocka_unit_test(mounts_in_order),   cmocka_unit_test(the_profile_stands_in_the_filter),
        cmocka_unit_test(process_alone),     cmocka_unit_test(faults_are_named),
        cmocka_unit_test(how_long_it_takes), cmocka_unit_test(test_systemd_subgroup),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
