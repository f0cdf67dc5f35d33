#include "core/tree.c"
#include "core/mem.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <cmocka.h>
#include <sys/mount.h>

static char base[64];

static int set_up(void **state)
{
    (void)state;
    snprintf(base, sizeof(base), "/var/tmp/cricket-tree-XXXXXX");
    return mkdtemp(base) ? 0 : -1;
}

static int tear_down(void **state)
{
    struct err err = {0};
    (void)state;
    return tree_remove(base, &err);
}

static const char *at(const char *name)
{
    static char path[8][256];
    static unsigned i;
    char *p = path[i++ % countof(path)];

    snprintf(p, sizeof(path[0]), "%s/%s", base, name);
    return p;
}

static void must_remove(const char *path)
{
    struct err err = {0};

    if (tree_remove(path, &err) < 0)
        fail_msg("%s", err.msg);
    assert_int_not_equal(access(path, F_OK), 0);
    assert_int_equal(tree_remove(path, &err), 0);
}

static void touch(const char *path)
{
    int fd = open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0);
    assert_true(fd >= 0);
    close(fd);
}

static void everything_but_what_links_point_at(void **state)
{
    (void)state;
    assert_int_equal(mkdir(at("keep"), 0755), 0);
    touch(at("keep/file"));
    assert_int_equal(mkdir(at("t"), 0), 0);
    assert_int_equal(mkdir(at("t/sub"), 0), 0);
    touch(at("t/sub/.hidden"));
    assert_int_equal(mkfifo(at("t/fifo"), 0600), 0);
    assert_int_equal(mknod(at("t/whiteout"), S_IFCHR, 0), 0);
    assert_int_equal(symlink(at("keep"), at("t/link")), 0);
    assert_int_equal(symlink(at("keep"), at("top")), 0);
    must_remove(at("t"));
    must_remove(at("top")); /* a link itself */
    assert_int_equal(access(at("keep/file"), F_OK), 0);
    must_remove(at("keep/file"));
}

static void a_tree_deeper_than_descriptors_and_paths(void **state)
{
    enum { DEEP = 3000 };
    int fd;

    (void)state;
    assert_int_equal(mkdir(at("deep"), 0755), 0);
    fd = open(at("deep"), O_PATH | O_CLOEXEC);
    for (int i = 0; i < DEEP; i++) {
        assert_int_equal(mkdirat(fd, "0123456789", 0755), 0);
        int next = openat(fd, "0123456789", O_PATH | O_CLOEXEC);
        assert_true(next >= 0);
        close(fd);
        fd = next;
    }
    close(fd);
    must_remove(at("deep"));
}

static void immutable_files_go_as_well(void **state)
{
    int flags = FS_IMMUTABLE_FL;

    (void)state;
    assert_int_equal(mkdir(at("i"), 0755), 0);
    touch(at("i/file"));
    int fd = open(at("i/file"), O_RDONLY | O_CLOEXEC), dir = open(at("i"), O_RDONLY | O_CLOEXEC);
    if (ioctl(fd, FS_IOC_SETFLAGS, &flags) < 0) {
        close(fd);
        close(dir);
        print_message("# this file system has no immutable files\n");
        skip();
    }
    assert_int_equal(ioctl(dir, FS_IOC_SETFLAGS, &flags), 0);
    close(fd);
    close(dir);
    must_remove(at("i"));
}

static void stops_at_a_mount_point(void **state)
{
    struct err err = {0};

    (void)state;
    assert_int_equal(mkdir(at("m"), 0755), 0);
    assert_int_equal(mkdir(at("m/point"), 0755), 0);
    assert_int_equal(mount("none", at("m/point"), "tmpfs", 0, "size=64k"), 0);
    touch(at("m/point/file"));
    assert_int_equal(tree_remove(at("m"), &err), -EBUSY);
    assert_non_null(strstr(err.msg, "point"));
    assert_int_equal(tree_remove(at("m/point"), &err), -EBUSY);
    assert_int_equal(access(at("m/point/file"), F_OK), 0);
    assert_int_equal(umount2(at("m/point"), 0), 0);
    must_remove(at("m"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(everything_but_what_links_point_at, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_tree_deeper_than_descriptors_and_paths, set_up, tear_down),
        cmocka_unit_test_setup_teardown(immutable_files_go_as_well, set_up, tear_down),
        cmocka_unit_test_setup_teardown(stops_at_a_mount_point, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
