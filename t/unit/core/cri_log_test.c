/* Every way of cutting a text into chunks must give log lines that join to the same text. */
#include "core/cri_log.c"

#include "core/buf.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <time.h>
#include <cmocka.h>

static void same_time(int64_t ns, const char *want)
{
    char text[CRI_LOG_TIME_LEN + 1] = "";
    cri_log_time(text, ns);
    assert_string_equal(text, want);
}

static void test_time(void **state)
{
    (void)state;
    same_time(0, "1970-01-01T00:00:00.000000000Z");
    same_time(-5, "1970-01-01T00:00:00.000000000Z");
    same_time(951782399999999999, "2000-02-28T23:59:59.999999999Z");
    same_time(951782400000000001, "2000-02-29T00:00:00.000000001Z");
    same_time(1795447862123456789, "2026-11-23T15:31:02.123456789Z");
    same_time(INT64_MAX, "2262-04-11T23:47:16.854775807Z");
}

static void test_time_agrees_with_gmtime(void **state)
{
    (void)state;
    for (int64_t day = 0; day < 100000; day++) { /* to the year 2243 */
        time_t t = (time_t)(day * SECONDS_A_DAY + day % SECONDS_A_DAY);
        char want[40];
        struct tm tm;
        strftime(want, sizeof(want), "%Y-%m-%dT%H:%M:%S.000000000Z", gmtime_r(&t, &tm));
        same_time((int64_t)t * 1000000000, want);
    }
}

static void take(struct cri_log_batch *b, struct buf *log)
{
    size_t size = 0;
    for (int i = 0; i < b->n; i++) {
        buf_add(log, b->iov[i].iov_base, b->iov[i].iov_len);
        size += b->iov[i].iov_len;
    }
    assert_int_equal(size, b->size);
}

/* As the keeper does: unfinished text is carried to the next chunk unless flushed. */
static void write_in_chunks(const char *text, size_t n, size_t chunk, bool flush_each, struct buf *log)
{
    struct cri_log_batch b;
    size_t from = 0;

    for (size_t to = 0; from < n;) {
        to = to + chunk > n ? n : to + chunk;
        bool flush = flush_each || to == n;
        for (;;) {
            cri_log_begin(&b, 1795447862123456789, CRI_LOG_STDERR);
            size_t got = cri_log_add(&b, text + from, to - from, flush);
            take(&b, log);
            from += got;
            if (got == 0)
                break;
        }
        assert_true(to - from <= CRI_LOG_TEXT_MAX);
    }
}

/* Undoes the format, checking every line of it. */
static void join(const struct buf *log, struct buf *text)
{
    const char *p = log->data, *end = log->data + log->len;

    while (p < end) {
        assert_true((size_t)(end - p) > CRI_LOG_HEAD_LEN);
        assert_memory_equal(p, "2026-11-23T15:31:02.123456789Z stderr ", 38);
        assert_true(p[38] == 'F' || p[38] == 'P');
        assert_true(p[39] == ' ');
        const char *nl = memchr(p, '\n', (size_t)(end - p));
        assert_non_null(nl);
        size_t len = (size_t)(nl - p) - CRI_LOG_HEAD_LEN;
        assert_true(len <= CRI_LOG_TEXT_MAX);
        buf_add(text, p + CRI_LOG_HEAD_LEN, len + (p[38] == 'F'));
        p = nl + 1;
    }
}

static void check_text(const char *text, size_t n, size_t chunk, bool flush_each)
{
    cleanup_buf struct buf log = {0}, joined = {0};

    write_in_chunks(text, n, chunk, flush_each, &log);
    join(&log, &joined);
    assert_int_equal(joined.len, n);
    if (n)
        assert_memory_equal(joined.data, text, n);
}

static void test_any_cut_joins(void **state)
{
    static const size_t lines[] = {0, 1, 5, 16383, 16384, 16385, 32768, 32769, 70000};
    (void)state;
    for (size_t i = 0; i < countof(lines); i++)
        for (int newline = 0; newline < 2; newline++) {
            cleanup_buf struct buf text = {0};
            buf_adds(&text, "first\n\n");
            for (size_t k = 0; k < lines[i]; k++)
                buf_add(&text, &"abcdefghij"[k % 10], 1);
            if (newline)
                buf_adds(&text, "\nlast\n");
            static const size_t cuts[] = {1, 7, 4096, 16384, 16385, 65536, 1 << 20};
            for (size_t k = 0; k < countof(cuts); k++) {
                check_text(text.data, text.len, cuts[k], false);
                check_text(text.data, text.len, cuts[k], true);
            }
        }
}

static size_t count_tags(const char *text, size_t n, char tag)
{
    cleanup_buf struct buf log = {0};
    size_t count = 0;

    write_in_chunks(text, n, 1 << 20, false, &log);
    for (const char *p = log.data; p < log.data + log.len; p = strchr(p, '\n') + 1)
        count += p[38] == tag;
    return count;
}

static void test_splits(void **state)
{
    static char text[3 * CRI_LOG_TEXT_MAX + 2];
    (void)state;
    memset(text, 'x', sizeof(text));
    text[CRI_LOG_TEXT_MAX] = '\n'; /* the longest line that is whole */
    assert_int_equal(count_tags(text, CRI_LOG_TEXT_MAX + 1, 'F'), 1);
    assert_int_equal(count_tags(text, CRI_LOG_TEXT_MAX + 1, 'P'), 0);
    text[CRI_LOG_TEXT_MAX] = 'x';
    text[CRI_LOG_TEXT_MAX + 1] = '\n'; /* one more */
    assert_int_equal(count_tags(text, CRI_LOG_TEXT_MAX + 2, 'F'), 1);
    assert_int_equal(count_tags(text, CRI_LOG_TEXT_MAX + 2, 'P'), 1);
    text[CRI_LOG_TEXT_MAX + 1] = 'x';
    text[3 * CRI_LOG_TEXT_MAX] = '\n';
    assert_int_equal(count_tags(text, 3 * CRI_LOG_TEXT_MAX + 1, 'F'), 1);
    assert_int_equal(count_tags(text, 3 * CRI_LOG_TEXT_MAX + 1, 'P'), 2);
    assert_int_equal(count_tags("no newline", 10, 'P'), 1);
}

static void test_batch_is_bounded(void **state)
{
    static char text[1000];
    struct cri_log_batch b;
    (void)state;
    memset(text, '\n', sizeof(text));
    cri_log_begin(&b, 0, CRI_LOG_STDOUT);
    size_t got = cri_log_add(&b, text, sizeof(text), false);
    assert_true(got > 0 && got < sizeof(text));
    assert_true(b.n <= CRI_LOG_IOV);
    assert_int_equal(cri_log_add(&b, text, sizeof(text), true), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_time),
        cmocka_unit_test(test_time_agrees_with_gmtime),
        cmocka_unit_test(test_any_cut_joins),
        cmocka_unit_test(test_splits),
        cmocka_unit_test(test_batch_is_bounded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
