#include "core/log.h"

#include <errno.h>
#include <stdarg.h>
#include <string.h>
#include <time.h>

static const char *const names[] = {"error", "warn", "info", "debug"};
static const int journal_priority[] = {3, 4, 6, 7};
static enum log_level current = LOG_LEVEL_INFO;

int log_level_set(const char *name)
{
    for (size_t i = 0; i < countof(names); i++)
        if (strcmp(names[i], name) == 0) {
            current = (enum log_level)i;
            return 0;
        }
    return -EINVAL;
}

const char *log_level_name(void)
{
    return names[current];
}

void log_at(enum log_level level, const char *fmt, ...)
{
    char line[2048];
    size_t n;
    va_list ap;

    if (level > current)
        return;
    if (getenv("JOURNAL_STREAM")) {
        n = (size_t)snprintf(line, sizeof(line), "<%d>", journal_priority[level]);
    } else {
        struct timespec now;
        struct tm tm;
        char when[32];
        clock_gettime(CLOCK_REALTIME, &now);
        gmtime_r(&now.tv_sec, &tm);
        strftime(when, sizeof(when), "%Y-%m-%dT%H:%M:%S", &tm);
        n = (size_t)snprintf(line, sizeof(line), "%s.%03ldZ %-5s ", when, now.tv_nsec / 1000000, names[level]);
    }
    va_start(ap, fmt);
    int m = vsnprintf(line + n, sizeof(line) - n - 1, fmt, ap);
    va_end(ap);
    if (m > 0)
        n += (size_t)m < sizeof(line) - n - 1 ? (size_t)m : sizeof(line) - n - 2;
    line[n++] = '\n';
    /* one write, so that lines of several processes do not mix; a full or closed stderr must not stop the daemon */
    ssize_t ignored = write(STDERR_FILENO, line, n);
    (void)ignored;
}
