#include "core/cri_log.h"

#include <string.h>

enum { SECONDS_A_DAY = 86400, IOV_A_LINE = 3 };
static const int64_t last_second = 253402300799; /* 9999-12-31T23:59:59Z */

static void put_digits(char *to, int width, uint64_t value)
{
    while (width-- > 0) {
        to[width] = (char)('0' + value % 10);
        value /= 10;
    }
}

/* The Gregorian date of a day number since 1970: counted from March, so that the leap day is a year's last. */
static void date_of_day(int64_t days, unsigned *ret_year, unsigned *ret_month, unsigned *ret_day)
{
    enum { DAYS_400_YEARS = 146097, DAYS_TO_1970 = 719468 };
    uint64_t n = (uint64_t)(days + DAYS_TO_1970);
    unsigned era = (unsigned)(n / DAYS_400_YEARS), in_era = (unsigned)(n % DAYS_400_YEARS);
    unsigned year = (in_era - in_era / 1460 + in_era / 36524 - in_era / 146096) / 365;
    unsigned in_year = in_era - (365 * year + year / 4 - year / 100);
    unsigned from_march = (5 * in_year + 2) / 153;

    *ret_day = in_year - (153 * from_march + 2) / 5 + 1;
    *ret_month = from_march < 10 ? from_march + 3 : from_march - 9;
    *ret_year = era * 400 + year + (*ret_month <= 2);
}

void cri_log_time(char ret_text[static CRI_LOG_TIME_LEN], int64_t ns)
{
    int64_t seconds = ns < 0 ? 0 : ns / 1000000000;
    uint64_t fraction = ns < 0 ? 0 : (uint64_t)(ns % 1000000000);
    unsigned year, month, day;

    if (seconds > last_second)
        seconds = last_second;
    date_of_day(seconds / SECONDS_A_DAY, &year, &month, &day);
    uint64_t rest = (uint64_t)(seconds % SECONDS_A_DAY);
    memcpy(ret_text, "0000-00-00T00:00:00.000000000Z", CRI_LOG_TIME_LEN);
    put_digits(ret_text, 4, year);
    put_digits(ret_text + 5, 2, month);
    put_digits(ret_text + 8, 2, day);
    put_digits(ret_text + 11, 2, rest / 3600);
    put_digits(ret_text + 14, 2, rest / 60 % 60);
    put_digits(ret_text + 17, 2, rest % 60);
    put_digits(ret_text + 20, 9, fraction);
}

void cri_log_begin(struct cri_log_batch *b, int64_t ns, enum cri_log_stream stream)
{
    b->n = 0;
    b->size = 0;
    cri_log_time(b->full, ns);
    memcpy(b->full + CRI_LOG_TIME_LEN, stream == CRI_LOG_STDOUT ? " stdout F " : " stderr F ", 10);
    memcpy(b->partial, b->full, CRI_LOG_HEAD_LEN);
    b->partial[CRI_LOG_HEAD_LEN - 2] = 'P';
}

static void add_bytes(struct cri_log_batch *b, const char *p, size_t n)
{
    if (n == 0)
        return;
    b->iov[b->n++] = (struct iovec){.iov_base = (char *)(uintptr_t)p, .iov_len = n};
    b->size += n;
}

/* One log line from the front of the chunk. The newline of a full line is taken from the chunk itself. */
static size_t add_line(struct cri_log_batch *b, const char *chunk, size_t n, bool flush)
{
    const char *end = memchr(chunk, '\n', n > CRI_LOG_TEXT_MAX ? CRI_LOG_TEXT_MAX + 1 : n);

    if (end) {
        size_t line = (size_t)(end - chunk) + 1;
        add_bytes(b, b->full, CRI_LOG_HEAD_LEN);
        add_bytes(b, chunk, line);
        return line;
    }
    /* exactly CRI_LOG_TEXT_MAX bytes may be a full line: the next byte tells */
    if (n <= CRI_LOG_TEXT_MAX && !flush)
        return 0;
    size_t text = n > CRI_LOG_TEXT_MAX ? CRI_LOG_TEXT_MAX : n;
    add_bytes(b, b->partial, CRI_LOG_HEAD_LEN);
    add_bytes(b, chunk, text);
    add_bytes(b, "\n", 1);
    return text;
}

size_t cri_log_add(struct cri_log_batch *b, const char *chunk, size_t n, bool flush)
{
    size_t done = 0;

    while (done < n && b->n + IOV_A_LINE <= CRI_LOG_IOV) {
        size_t line = add_line(b, chunk + done, n - done, flush);
        if (line == 0)
            break;
        done += line;
    }
    return done;
}
