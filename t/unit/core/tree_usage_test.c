/* What is counted, and once: against what stat(2) says of the parts. */
#include "core/tree_usage.c"
#include "core/tree.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <cmocka.h>
#include <sys/mount.h>

static char base[64];

static int set_up(void **state)
{
    (void)state;
    snprintf(base, sizeof(base), "/var/tmp/cricket-usage-XXXXXX");
    return mkdtemp(base) ? 0 : -1;
}

static int tear_down(void **state)
{
    struct err err;

    (void)state;
    return tree_remove(base, &err);
}

static const char *at(const char *name)
{
    static char path[4][256];
    static unsigned i;
    char *p = path[i++ % countof(path)];

    snprintf(p, sizeof(path[0]), "%s/%s", base, name);
    return p;
}

static void fill(const char *path, size_t n)
{
    static const char zeros[4096] = {0};
    int fd = open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);

    assert_true(fd >= 0);
    for (; n > 0; n -= sizeof(zeros))
        assert_int_equal(write(fd, zeros, sizeof(zeros)), sizeof(zeros));
    assert_int_equal(fsync(fd), 0); /* its blocks are allocated late */
    close(fd);
}

static struct tree_usage usage(const char *path)
{
    struct tree_usage u = {0};
    struct err err = {0};

    if (tree_usage(path, &u, &err) < 0)
        fail_msg("%s", err.msg);
    return u;
}

static uint64_t blocks(const char *path)
{
    struct stat st;

    assert_int_equal(lstat(path, &st), 0);
    return (uint64_t)st.st_blocks * 512;
}

static void counts(void **state)
{
    (void)state;
    struct tree_usage empty = usage(base);
    assert_int_equal(empty.inodes, 1);
    assert_int_equal(empty.bytes, blocks(base));
    assert_int_equal(mkdir(at("a"), 0700), 0);
    assert_int_equal(mkdir(at("a/b"), 0700), 0);
    fill(at("a/file"), 64 << 10);
    assert_int_equal(link(at("a/file"), at("a/b/same")), 0);
    assert_int_equal(link(at("a/file"), at("again")), 0);
    assert_int_equal(symlink("/", at("a/b/root")), 0);
    assert_int_equal(mknod(at("whiteout"), S_IFCHR, 0), 0);
    struct tree_usage full = usage(base);
    assert_int_equal(full.inodes, 6);
    assert_int_equal(full.bytes, blocks(base) + blocks(at("a")) + blocks(at("a/b")) + blocks(at("a/file")) +
                                     blocks(at("a/b/root")) + blocks(at("whiteout")));
    assert_true(full.bytes >= empty.bytes + (64 << 10));
}

static void another_file_system(void **state)
{
    (void)state;
    assert_int_equal(mkdir(at("mnt"), 0700), 0);
    struct tree_usage before = usage(base);
    if (mount("t", at("mnt"), "tmpfs", 0, NULL) < 0)
        skip();
    fill(at("mnt/file"), 64 << 10);
    struct tree_usage now = usage(base);
    assert_int_equal(umount(at("mnt")), 0);
    assert_int_equal(now.inodes, before.inodes - 1);
}

static void deeper_than_it_looks(void **state)
{
    int fd = open(base, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    (void)state;
    for (int i = 0; i < DEPTH_MAX + 40; i++) {
        assert_int_equal(mkdirat(fd, "d", 0700), 0);
        int next = openat(fd, "d", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        assert_true(next >= 0);
        close(fd);
        fd = next;
    }
    close(fd);
    assert_int_equal(usage(base).inodes, DEPTH_MAX + 2);
}

static void errors(void **state)
{
    struct tree_usage u = {7, 7};
    struct err err = {0};

    (void)state;
    assert_int_equal(tree_usage(at("missing"), &u, &err), -ENOENT);
    assert_non_null(strstr(err.msg, "missing"));
    assert_int_equal(symlink("/", at("link")), 0);
    assert_true(tree_usage(at("link"), &u, &err) < 0);
    assert_int_equal(u.bytes, 7);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(counts, set_up, tear_down),
        cmocka_unit_test_setup_teardown(another_file_system, set_up, tear_down),
        cmocka_unit_test_setup_teardown(deeper_than_it_looks, set_up, tear_down),
        cmocka_unit_test_setup_teardown(errors, set_up, tear_down),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
