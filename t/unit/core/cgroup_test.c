/* Hierarchies from text, names for both drivers, and real directories below the hierarchies of this host. */
#include "core/cgroup.c"
#include "core/cgroup_dir.c"
#include "core/cgroup_path.c"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <cmocka.h>
#include <sys/wait.h>

static const char v1[] =
    "22 1 8:1 / / rw,relatime - ext4 /dev/sda1 rw\n"
    "31 22 0:28 / /sys/fs/cgroup rw - tmpfs tmpfs rw,mode=755\n"
    "32 31 0:29 / /sys/fs/cgroup/cpu,cpuacct rw shared:7 - cgroup cgroup rw,cpu,cpuacct\n"
    "33 31 0:30 / /sys/fs/cgroup/with\\040space rw - cgroup cgroup rw,seclabel,memory\n"
    "34 31 0:31 / /sys/fs/cgroup/systemd rw - cgroup cgroup rw,xattr,release_agent=/x,name=systemd\n"
    "35 22 0:30 /a/b /somewhere rw - cgroup cgroup rw,memory\n";
#define FS CGROUP_DRIVER_CGROUPFS
#define SD CGROUP_DRIVER_SYSTEMD

static const char v2[] = "30 23 0:26 / /sys/fs/cgroup rw,nosuid shared:4 - cgroup2 cgroup2 rw,nsdelegate\n";
static const char malformed[] = "\n- \n - cgroup\n - cgroup cgroup\n1 2 - cgroup cgroup rw,cpu\nx\n"
                                "1 2 3:4 / /m rw - cgroup\n32 31 0:29 / /ok rw - cgroup cgroup rw,cpu";

static void hierarchies(void **state)
{
    struct cgroups c;

    (void)state;
    cgroups_parse(v1, &c);
    assert_int_equal(c.kind, CGROUP_V1);
    assert_int_equal(c.n, 3);
    assert_string_equal(cgroup_controller(&c, "cpuacct")->path, "/sys/fs/cgroup/cpu,cpuacct");
    assert_string_equal(cgroup_controller(&c, "memory")->path, "/sys/fs/cgroup/with space");
    assert_string_equal(c.mounts[2].controllers, "name=systemd");
    assert_null(cgroup_controller(&c, "cpua"));
    assert_null(cgroup_controller(&c, "mem"));
    assert_null(cgroup_controller(&c, "seclabel"));
    assert_null(cgroup_unified(&c));
    cgroups_done(&c);

    cgroups_parse(v2, &c);
    assert_int_equal(c.kind, CGROUP_V2);
    assert_ptr_equal(cgroup_unified(&c), &c.mounts[0]);
    cgroups_done(&c);

    cleanup_free char *both = mem_printf("%s%s", v1, v2);
    cgroups_parse(both, &c);
    assert_int_equal(c.kind, CGROUP_HYBRID);
    cgroups_done(&c);

    cgroups_parse("", &c);
    assert_int_equal(c.kind, CGROUP_NONE);
    cgroups_done(&c);

    cgroups_parse(malformed, &c);
    assert_int_equal(c.n, 1);
    assert_string_equal(c.mounts[0].path, "/ok");
    cgroups_done(&c);
}

static void parents(void **state)
{
    static const struct {
        enum cgroup_driver driver;
        const char *parent, *says; /* says NULL: good */
    } rows[] = {
        {FS, "/kubepods/burstable/podX", NULL},
        {FS, "/", NULL},
        {FS, "kubepods", "not absolute"},
        {FS, "", "not absolute"},
        {FS, "/a/../b", ".."},
        {FS, "/a..b/c", NULL},
        {FS, "/a/..", ".."},
        {FS, "kubepods-besteffort.slice", "set cgroup_driver to systemd"},
        {FS, "/kubepods.slice", "slice"},
        {SD, "kubepods-burstable-podX.slice", NULL},
        {SD, "/kubepods.slice/kubepods-burstable.slice", NULL},
        {SD, "-.slice", NULL},
        {SD, "/kubepods/burstable", "no slice"},
        {SD, "", "no slice"},
        {SD, ".slice", "no slice"},
        {SD, "a--b.slice", "single dashes"},
        {SD, "-a.slice", "single dashes"},
        {SD, "a-.slice", "single dashes"},
        {SD, "a:b.slice", "single dashes"},
        {SD, "/../a.slice", ".."},
    };

    (void)state;
    for (size_t i = 0; i < countof(rows); i++) {
        struct err err = {0};
        int r = cgroup_parent_check(rows[i].driver, rows[i].parent, &err);
        if ((r == 0) != !rows[i].says || (r < 0 && (r != -EINVAL || !strstr(err.msg, rows[i].says))))
            fail_msg("\"%s\": %d %s", rows[i].parent, r, err.msg);
    }
    char longer[1100];
    memset(longer, 'a', sizeof(longer) - 1);
    longer[0] = '/';
    longer[sizeof(longer) - 1] = '\0';
    struct err err = {0};
    assert_int_equal(cgroup_parent_check(FS, longer, &err), -EINVAL);
    assert_non_null(strstr(err.msg, "1024"));
}

static void check_text(char *got, const char *want)
{
    assert_string_equal(got, want);
    free(got);
}

static void paths(void **state)
{

    (void)state;
    check_text(cgroup_spec_path(FS, "/kubepods/podX", "c1"), "/kubepods/podX/c1");
    check_text(cgroup_spec_path(FS, "/kubepods/", "c1"), "/kubepods/c1");
    check_text(cgroup_spec_path(FS, "/", "c1"), "/c1");
    check_text(cgroup_spec_path(SD, "kubepods-podX.slice", "c1"), "kubepods-podX.slice:cri-cricket:c1");
    check_text(cgroup_spec_path(SD, "/kubepods.slice/kubepods-podX.slice", "c1"),
               "kubepods-podX.slice:cri-cricket:c1");
    check_text(cgroup_parent_dir(FS, "/a/b"), "/a/b");
    check_text(cgroup_parent_dir(SD, "a-b-c.slice"), "/a.slice/a-b.slice/a-b-c.slice");
    check_text(cgroup_parent_dir(SD, "-.slice"), "/");
    check_text(cgroup_container_dir(FS, "/a/b", "c1"), "/a/b/c1");
    check_text(cgroup_container_dir(SD, "a-b.slice", "c1"), "/a.slice/a-b.slice/cri-cricket-c1.scope");
    check_text(cgroup_container_dir(SD, "-.slice", "c1"), "/cri-cricket-c1.scope");
    check_text(cgroup_parent_default(FS, "p1"), "/cricket/p1");
    check_text(cgroup_parent_default(SD, "p1"), "cricket.slice");
    struct cgroup_mount whole = {.path = "/m", .root = "/"}, part = {.path = "/m", .root = "/a"};
    check_text(cgroup_dir_path(&whole, "/a/b"), "/m/a/b");
    check_text(cgroup_dir_path(&part, "/a/b"), "/m/b");
    check_text(cgroup_dir_path(&part, "/ab"), "/m/ab");
}

static struct cgroups real;
static char parent[64];

static pid_t start_in(const char *dir)
{
    const struct cgroup_mount *m = &real.mounts[0];
    cleanup_free char *file = mem_printf("%s%s/cgroup.procs", m->path, dir);
    pid_t pid = fork();

    if (pid == 0) {
        FILE *f = fopen(file, "w");
        if (!f || fputs("0", f) < 0 || fclose(f) < 0)
            _exit(1);
        for (;;)
            pause();
    }
    return pid;
}

static void makes_kills_and_removes(void **state)
{
    struct err err = {0};
    pid_t pids[8];
    int status;

    (void)state;
    snprintf(parent, sizeof(parent), "/cricket-test-%d", getpid());
    cleanup_free char *leaf = mem_printf("%s/pod/c1", parent);
    if (cgroup_make(&real, leaf, &err) < 0 || cgroup_make(&real, leaf, &err) < 0)
        fail_msg("%s", err.msg);
    for (size_t i = 0; i < real.n; i++) {
        cleanup_free char *path = mem_printf("%s%s", real.mounts[i].path, leaf);
        assert_int_equal(access(path, F_OK), 0); /* in each hierarchy */
    }
    pid_t pid = start_in(leaf);
    for (int i = 0; i < 5000 && cgroup_pids(&real, parent, pids, 8) == 0; i++)
        nanosleep(&(struct timespec){.tv_nsec = 1000 * 1000}, NULL);
    assert_int_equal(cgroup_pids(&real, parent, pids, 8), 1);
    assert_int_equal(pids[0], pid);
    assert_int_equal(cgroup_pids(&real, parent, pids, 0), 0);
    assert_true(cgroup_remove(&real, parent, &err) < 0);
    assert_int_equal(err.grpc, GRPC_FAILED_PRECONDITION);
    assert_non_null(strstr(err.msg, parent));

    assert_int_equal(cgroup_kill(&real, parent, 5000, &err), 0);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
    if (cgroup_remove(&real, parent, &err) < 0)
        fail_msg("%s", err.msg);
    assert_false(cgroup_exists(&real, parent));
    assert_int_equal(cgroup_remove(&real, parent, &err), 0); /* twice is once */
    assert_int_equal(cgroup_kill(&real, parent, 0, &err), 0);
}

static void the_root_is_refused(void **state)
{
    static const char *const bad[] = {"/", "", "//", "/.", "/..", "/a/..", "/a/../..", "/../a", "/a/../b"};
    struct err err = {0};

    (void)state;
    for (size_t i = 0; i < countof(bad); i++) {
        assert_int_equal(cgroup_remove(&real, bad[i], &err), -EINVAL);
        assert_int_equal(cgroup_kill(&real, bad[i], 0, &err), -EINVAL);
    }
}

static int open_real(void **state)
{
    struct err err = {0};
    (void)state;
    return cgroups_read("", &real, &err) < 0 || real.n == 0;
}

static int close_real(void **state)
{
    struct err err = {0};
    (void)state;
    if (parent[0]) {
        (void)!cgroup_kill(&real, parent, 1000, &err);
        (void)!cgroup_remove(&real, parent, &err);
    }
    cgroups_done(&real);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(hierarchies),
        cmocka_unit_test(parents),
        cmocka_unit_test(paths),
        cmocka_unit_test(makes_kills_and_removes),
        cmocka_unit_test(the_root_is_refused),
    };
    return cmocka_run_group_tests(tests, open_real, close_real);
}
