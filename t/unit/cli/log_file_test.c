/* The log reader: lines, joined partial ones, both streams, tail, rotation, truncation, a line that comes in halves. */
#include "cli/log_line.c"
#include "cli/log_file.c"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#define T "2026-11-23T15:31:02.123456789Z "

static char dir[] = "/tmp/cricket-log-XXXXXX";
static char path[64];
static char *out_text, *err_text;
static size_t out_len, err_len;
static FILE *to_out, *to_err;

static int setup(void **state)
{
    (void)state;
    strcpy(dir, "/tmp/cricket-log-XXXXXX");
    if (!mkdtemp(dir))
        return -1;
    snprintf(path, sizeof(path), "%s/0.log", dir);
    to_out = open_memstream(&out_text, &out_len);
    to_err = open_memstream(&err_text, &err_len);
    return 0;
}

static int teardown(void **state)
{
    char old[80];
    (void)state;
    fclose(to_out);
    fclose(to_err);
    free(out_text);
    free(err_text);
    snprintf(old, sizeof(old), "%s.old", path);
    unlink(old);
    unlink(path);
    return rmdir(dir);
}

static void add(const char *mode, const char *text)
{
    FILE *f = fopen(path, mode);
    assert_non_null(f);
    fputs(text, f);
    fclose(f);
}

static void reads(struct log_file *l)
{
    struct err err = {0};
    assert_true(log_file_read(l, &err) >= 0);
}

static void lines(void **state)
{
    static const char *const bad[] = {"",
                                      "x",
                                      T,
                                      T "stdout",
                                      T "stdin F x",
                                      T "stdout X x",
                                      T "stdout Fx",
                                      "2026 stdout F x",
                                      T "stdout ",
                                      "2026-11-23T15:31:02.1234567890123456789Z stdout F x",
                                      T "stdout  F x"};
    struct log_line l;
    (void)state;

    assert_int_equal(log_line_parse(T "stdout F a b", strlen(T "stdout F a b"), &l), 0);
    assert_false(l.partial || l.is_stderr);
    assert_memory_equal(l.text, "a b", l.text_len);
    assert_int_equal(log_line_parse(T "stderr P:x ", strlen(T "stderr P:x "), &l), 0);
    assert_true(l.partial && l.is_stderr);
    assert_int_equal(l.text_len, 0);
    assert_int_equal(log_line_parse(T "stdout F", strlen(T "stdout F"), &l), 0);
    assert_int_equal(l.text_len, 0);
    for (size_t i = 0; i < countof(bad); i++)
        assert_int_equal(log_line_parse(bad[i], strlen(bad[i]), &l), -EBADMSG);
}

static void joins_and_separates(void **state)
{
    cleanup_log_file struct log_file l;
    (void)state;

    add("w",
        T "stdout P one, " T "\n" T "stderr F oops\n" T "stdout F end\nnot a log line\n" T "stdout F half");
    log_file_init(&l, path, false, to_out, to_err);
    reads(&l);
    assert_string_equal(out_text, "one, " T "end\nnot a log line\n");
    assert_string_equal(err_text, "oops\n");
    add("a", " and half\n");
    reads(&l);
    assert_string_equal(out_text, "one, " T "end\nnot a log line\nhalf and half\n");
}

static void times_are_shown_once_a_line(void **state)
{
    cleanup_log_file struct log_file l;
    (void)state;

    add("w", T "stdout P a\n" T "stderr F e\n" T "stdout F b\n");
    log_file_init(&l, path, true, to_out, to_err);
    reads(&l);
    assert_string_equal(out_text, T "ab\n");
    assert_string_equal(err_text, T "e\n");
}

static void waits_for_a_file_and_follows_rotation(void **state)
{
    cleanup_log_file struct log_file l;
    char old[80];
    (void)state;

    log_file_init(&l, path, false, to_out, to_err);
    reads(&l);
    assert_int_equal(l.fd, -1);
    add("w", T "stdout F 1\n");
    reads(&l);
    snprintf(old, sizeof(old), "%s.old", path);
    assert_int_equal(rename(path, old), 0);
    FILE *f = fopen(old, "a"); /* the writer still has the old file until it is told to reopen */
    fputs(T "stdout F 2\n", f);
    fclose(f);
    reads(&l);
    add("w", T "stdout F 3\n");
    reads(&l);
    assert_string_equal(out_text, "1\n2\n3\n");
    add("w", T "stdout F 4\n"); /* truncated in place */
    add("w", "");
    reads(&l);
    add("a", T "stdout F 5\n");
    reads(&l);
    assert_string_equal(out_text, "1\n2\n3\n5\n");
}

static void tail(void **state)
{
    static const struct {
        long n;
        const char *want;
    } rows[] = {{0, "half"},           {1, "d\nhalf"},        {2, "bc\nd\nhalf"},
                {3, "a\nbc\nd\nhalf"}, {4, "a\nbc\nd\nhalf"}, {TAIL_MAX + 5L, "a\nbc\nd\nhalf"}};
    struct err err;
    (void)state;

    add("w", T "stdout F a\n" T "stdout P b\n" T "stdout F c\n" T "stdout F d\n" T "stdout F half");
    for (size_t i = 0; i < countof(rows); i++) {
        cleanup_log_file struct log_file l;
        rewind(to_out);
        log_file_init(&l, path, false, to_out, to_err);
        assert_int_equal(log_file_skip_to_tail(&l, rows[i].n, &err), 0);
        reads(&l);
        take(&l, "\n", 1);
        fflush(to_out);
        assert_int_equal(strncmp(out_text, rows[i].want, strlen(rows[i].want)), 0);
        assert_int_equal(ftell(to_out), (long)strlen(rows[i].want) + 1);
    }
}

static void wakes_up(void **state)
{
    cleanup_log_file struct log_file l;
    int fds[2];
    (void)state;

    add("w", T "stdout F a\n");
    log_file_init(&l, path, false, to_out, to_err);
    reads(&l);
    assert_int_equal(pipe(fds), 0);
    assert_false(log_file_wait(&l, 0, fds[0]));
    add("a", T "stdout F b\n");
    assert_false(log_file_wait(&l, 10000, fds[0]));
    assert_int_equal(write(fds[1], "x", 1), 1);
    assert_true(log_file_wait(&l, 10000, fds[0]));
    close(fds[0]);
    close(fds[1]);
}

static void long_lines_and_odd_files(void **state)
{
    cleanup_log_file struct log_file l;
    cleanup_log_file struct log_file d;
    cleanup_free char *big = mem_alloc(3 << 20);
    struct err err;
    (void)state;

    memset(big, 'x', (3 << 20) - 1);
    add("w", big);
    add("a", "\n" T "stdout F after\n");
    log_file_init(&l, path, false, to_out, to_err);
    reads(&l);
    assert_non_null(strstr(out_text, "\nafter\n"));
    assert_true(out_len < (2 << 20));
    log_file_init(&d, dir, false, to_out, to_err);
    assert_true(log_file_read(&d, &err) < 0);
    assert_int_equal(err.grpc, GRPC_FAILED_PRECONDITION);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lines),
        cmocka_unit_test_setup_teardown(joins_and_separates, setup, teardown),
        cmocka_unit_test_setup_teardown(times_are_shown_once_a_line, setup, teardown),
        cmocka_unit_test_setup_teardown(waits_for_a_file_and_follows_rotation, setup, teardown),
        cmocka_unit_test_setup_teardown(tail, setup, teardown),
        cmocka_unit_test_setup_teardown(wakes_up, setup, teardown),
        cmocka_unit_test_setup_teardown(long_lines_and_odd_files, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
