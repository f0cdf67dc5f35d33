/* Fake trees: a directory with proc/, sys/ and run/ as different hosts have them. */
#include "core/host.c"
#include "core/file.h"
#include "core/tree.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <cmocka.h>

static char base[64];

static void put(const char *name, const char *text)
{
    struct err err = {0};
    cleanup_free char *path = mem_printf("%s/%s", base, name), *dir = mem_strdup(path);

    *strrchr(dir, '/') = '\0';
    if (dir_make(dir, 0755, &err) < 0 || file_write(path, text, strlen(text), 0644, &err) < 0)
        fail_msg("%s", err.msg);
}

static int set_up(void **state)
{
    (void)state;
    snprintf(base, sizeof(base), "/tmp/cricket-host-XXXXXX");
    assert_non_null(mkdtemp(base));
    put("proc/sys/kernel/random/boot_id", "00112233-4455-6677-8899-aabbccddeeff\n");
    put("proc/sys/kernel/osrelease", "5.15.0-91-generic\n");
    put("proc/self/status", "Name:\tx\nCapEff:\t000001ffffffffff\nCapBnd:\t00000000a80425fb\n");
    put("proc/self/oom_score_adj", "-250\n");
    put("proc/self/mountinfo", "");
    return 0;
}

static int tear_down(void **state)
{
    struct err err = {0};
    (void)state;
    return tree_remove(base, &err);
}

static struct host probe(void)
{
    struct host h;
    struct err err = {0};

    if (host_probe(base, &h, &err) < 0)
        fail_msg("%s", err.msg);
    return h;
}

static void a_v2_host_with_everything(void **state)
{
    (void)state;
    put("proc/self/mountinfo", "30 23 0:26 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n");
    put("sys/fs/cgroup/cgroup.controllers", "cpu memory pids hugetlb\n");
    put("proc/self/cgroup", "0::/system.slice/cricket.service\n");
    put("sys/fs/cgroup/system.slice/cricket.service/memory.swap.max", "max\n");
    put("sys/module/apparmor/parameters/enabled", "Y\n");
    put("sys/fs/selinux/enforce", "1");
    put("proc/self/attr/current", "system_u:system_r:container_runtime_t:s0");
    put("run/systemd/system/x", "");
    struct host h = probe();
    assert_int_equal(h.cgroups.kind, CGROUP_V2);
    assert_string_equal(h.cgroups.mounts[0].controllers, "cpu,memory,pids,hugetlb");
    assert_true(h.oci.cgroup_v2 && h.oci.swap_accounting && h.oci.hugetlb && h.oci.apparmor && h.oci.selinux &&
                h.systemd);
    assert_int_equal(h.oci.min_oom_score_adj, -1000);
    assert_true(h.oci.bounding_caps == 0xa80425fb);
    assert_string_equal(h.boot_id, "00112233-4455-6677-8899-aabbccddeeff");
    assert_string_equal(h.kernel, "5.15.0-91-generic");
    assert_int_equal(h.oci.kernel_major, 5);
    assert_int_equal(h.oci.kernel_minor, 15);
    assert_int_equal(host_cgroup_driver(&h, CGROUP_DRIVER_AUTO), CGROUP_DRIVER_SYSTEMD);
    assert_int_equal(host_cgroup_driver(&h, CGROUP_DRIVER_CGROUPFS), CGROUP_DRIVER_CGROUPFS);
    host_done(&h);
}

static void a_hybrid_host_with_nothing(void **state)
{
    (void)state;
    put("proc/self/mountinfo", "30 23 0:26 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n"
                               "31 23 0:27 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n");
    put("sys/fs/cgroup/unified/cgroup.controllers", "hugetlb\n");
    put("proc/self/status", "CapInh:\t0\nCapEff:\t000001fffeffffff\nCapBnd:\t000001fffeffffff\n");
    put("sys/module/apparmor/parameters/enabled", "N\n");
    put("sys/fs/selinux/enforce", "0"); /* the module, but no policy */
    put("proc/self/attr/current", "kernel");
    struct host h = probe();
    assert_int_equal(h.cgroups.kind, CGROUP_HYBRID);
    assert_false(h.oci.cgroup_v2 || h.oci.swap_accounting || h.oci.hugetlb || h.oci.apparmor || h.oci.selinux ||
                 h.systemd);
    assert_int_equal(h.oci.min_oom_score_adj, -250); /* without CAP_SYS_RESOURCE: our own */
    assert_int_equal(host_cgroup_driver(&h, CGROUP_DRIVER_AUTO), CGROUP_DRIVER_CGROUPFS);
    host_done(&h);
    put("sys/fs/cgroup/memory/memory.memsw.limit_in_bytes", "1");
    h = probe();
    assert_true(h.oci.swap_accounting);
    host_done(&h);
}

static void no_boot_id_is_an_error(void **state)
{
    struct host h;
    struct err err = {0};

    (void)state;
    put("proc/sys/kernel/random/boot_id", "short\n");
    assert_true(host_probe(base, &h, &err) < 0);
    assert_non_null(strstr(err.msg, "boot_id"));
}

static void this_host(void **state)
{
    struct host h;
    struct err err = {0};

    (void)state;
    assert_int_equal(host_probe("", &h, &err), 0);
    assert_int_equal(strlen(h.boot_id), 36);
    assert_true(h.oci.bounding_caps != 0 && h.oci.kernel_major >= 4);
    host_done(&h);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_v2_host_with_everything, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_hybrid_host_with_nothing, set_up, tear_down),
        cmocka_unit_test_setup_teardown(no_boot_id_is_an_error, set_up, tear_down),
        cmocka_unit_test(this_host),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
