#include "core/file.c"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <unistd.h>
#include <cmocka.h>

static char dir[64], path[96];
static struct err err;

static int make(void **state)
{
    (void)state;
    snprintf(dir, sizeof(dir), "/tmp/cricket-file-XXXXXX");
    assert_non_null(mkdtemp(dir));
    snprintf(path, sizeof(path), "%s/file", dir);
    err = (struct err){0};
    return 0;
}

static int clean(void **state)
{
    (void)state;
    unlink(path);
    return rmdir(dir); /* fails where a temporary file was left */
}

static void written_and_read(void **state)
{
    cleanup_buf struct buf b = {0};
    struct stat st;
    char big[10000];

    (void)state;
    memset(big, 'x', sizeof(big));
    umask(077);
    assert_int_equal(file_write(path, "old", 3, 0600, &err), 0);
    assert_int_equal(file_write(path, big, sizeof(big), 0644, &err), 0);
    umask(022);
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0644); /* whatever the umask */
    assert_int_equal(file_read(path, sizeof(big), &b, &err), 0);
    assert_int_equal(b.len, sizeof(big));
    assert_memory_equal(b.data, big, sizeof(big));
    assert_int_equal(file_write(path, "", 0, 0644, &err), 0);
    buf_done(&b);
    assert_int_equal(file_read(path, 10, &b, &err), 0);
    assert_int_equal(b.len, 0);
}

static void limits_and_absence(void **state)
{
    cleanup_buf struct buf b = {0};

    (void)state;
    assert_int_equal(file_read(path, 10, &b, &err), -ENOENT);
    assert_int_equal(err.grpc, GRPC_NOT_FOUND);
    assert_int_equal(err.sys, ENOENT);
    assert_non_null(strstr(err.msg, path));
    assert_int_equal(file_write(path, "12345678901", 11, 0600, &err), 0);
    assert_int_equal(file_read(path, 10, &b, &err), -EFBIG);
    assert_non_null(strstr(err.msg, "larger than 10 bytes"));
    assert_true(file_read(dir, 10, &b, &err) < 0); /* a directory */
}

static void below_a_directory(void **state)
{
    cleanup_buf struct buf b = {0};
    cleanup_close int fd = open(dir, O_PATH | O_DIRECTORY | O_CLOEXEC);

    (void)state;
    assert_int_equal(file_write(path, "x", 1, 0600, &err), 0);
    assert_int_equal(file_read_at(fd, "file", 1, &b, &err), 0);
    assert_string_equal(b.data, "x");
    buf_done(&b);
    assert_int_equal(file_read("/proc/self/status", 1 << 16, &b, NULL), 0); /* the kernel's have no size */
    assert_memory_equal(b.data, "Name:", 5);
}

/* None of these hangs or is read. */
static void what_is_no_file(void **state)
{
    char fifo[128], link[128];

    (void)state;
    snprintf(fifo, sizeof(fifo), "%s/fifo", dir);
    snprintf(link, sizeof(link), "%s/link", dir);
    assert_int_equal(mkfifo(fifo, 0600), 0);
    assert_int_equal(symlink(fifo, link), 0);
    const char *const paths[] = {fifo, link, dir, "/dev/zero"};
    for (size_t i = 0; i < countof(paths); i++) {
        cleanup_buf struct buf b = {0};
        assert_int_equal(file_read(paths[i], 100, &b, &err), -EINVAL);
        assert_int_equal(err.grpc, GRPC_INVALID_ARGUMENT);
        assert_non_null(strstr(err.msg, "is not a regular file"));
        assert_int_equal(b.len, 0);
    }
    assert_int_equal(unlink(link), 0);
    assert_int_equal(unlink(fifo), 0);
}

static void a_write_that_fails(void **state)
{
    char in[128];

    (void)state;
    snprintf(in, sizeof(in), "%s/absent/file", dir);
    assert_true(file_write(in, "x", 1, 0600, &err) < 0);
    /* the target is a directory: the temporary file must not stay */
    snprintf(in, sizeof(in), "%s/d", dir);
    assert_int_equal(mkdir(in, 0700), 0);
    assert_true(file_write(in, "x", 1, 0600, &err) < 0);
    assert_non_null(strstr(err.msg, in));
    assert_int_equal(rmdir(in), 0);
    /* nor must a link in its place lead elsewhere */
    snprintf(in, sizeof(in), "%s.tmp", path);
    assert_int_equal(symlink("/tmp/cricket-must-not-appear", in), 0);
    assert_true(file_write(path, "x", 1, 0600, &err) < 0);
    assert_true(access("/tmp/cricket-must-not-appear", F_OK) < 0);
    unlink(in);
}

static void directories(void **state)
{
    char deep[128], file[128];
    struct stat st;

    (void)state;
    snprintf(deep, sizeof(deep), "%s/a/b/c", dir);
    assert_int_equal(dir_make(deep, 0711, &err), 0);
    assert_int_equal(dir_make(deep, 0700, &err), 0); /* again */
    assert_int_equal(stat(deep, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0711);
    snprintf(file, sizeof(file), "%s/a/b/c/", dir);
    assert_int_equal(dir_make(file, 0711, &err), 0);
    snprintf(file, sizeof(file), "%s/a/b/c/f", dir);
    assert_int_equal(file_write(file, "", 0, 0600, &err), 0);
    snprintf(deep, sizeof(deep), "%s/a/b/c/f/g", dir);
    assert_true(dir_make(deep, 0711, &err) < 0);
    unlink(file);
    for (int i = 0; i < 3; i++) {
        snprintf(deep, sizeof(deep), "%s/%s", dir, (const char *[]){"a/b/c", "a/b", "a"}[i]);
        assert_int_equal(rmdir(deep), 0);
    }
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, make, clean)
    const struct CMUnitTest tests[] = {T(written_and_read),  T(limits_and_absence), T(a_write_that_fails),
                                       T(below_a_directory), T(what_is_no_file),    T(directories)};
#undef T

    umask(022);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
