#include "cli/format.h"
#include "core/cleanup.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

void format_age(int64_t then_ns, int64_t now, char ret[static AGE_SIZE])
{
    static const struct {
        int64_t seconds;
        const char *name;
    } units[] = {{31536000, "year"}, {2592000, "month"}, {604800, "week"}, {86400, "day"},
                 {3600, "hour"},     {60, "minute"},     {1, "second"}};
    int64_t s = (now - then_ns) / 1000000000;

    if (then_ns == 0)
        snprintf(ret, AGE_SIZE, "-");
    else if (then_ns > now + 1000000000)
        snprintf(ret, AGE_SIZE, "in the future");
    else
        snprintf(ret, AGE_SIZE, "Less than a second ago");
    for (size_t i = 0; then_ns && i < countof(units); i++)
        if (s >= units[i].seconds) {
            int64_t n = s / units[i].seconds;
            snprintf(ret, AGE_SIZE, "%lld %s%s ago", (long long)n, units[i].name, n == 1 ? "" : "s");
            return;
        }
}

void format_size(uint64_t bytes, char ret[static SIZE_TEXT_SIZE])
{
    static const char *const units[] = {"B", "kB", "MB", "GB", "TB", "PB", "EB"};
    double v = (double)bytes;
    size_t u = 0;

    while (v >= 999.5 && u + 1 < countof(units))
        v /= 1000, u++;
    snprintf(ret, SIZE_TEXT_SIZE, "%.*f%s", u == 0 || v >= 99.95 ? 0 : v >= 9.995 ? 1 : 2, v, units[u]);
}

void format_time(int64_t ns, char ret[static TIME_TEXT_SIZE])
{
    int64_t part = ns % 1000000000;
    time_t s = (time_t)(ns / 1000000000);
    struct tm tm;

    if (part < 0)
        part += 1000000000, s--;
    gmtime_r(&s, &tm);
    size_t n = strftime(ret, TIME_TEXT_SIZE, "%Y-%m-%dT%H:%M:%S", &tm);
    snprintf(ret + n, TIME_TEXT_SIZE - n, ".%09lldZ", (long long)part);
}

void format_short_id(const char *id, char ret[static SHORT_ID_SIZE])
{
    const char *colon = strchr(id, ':');

    snprintf(ret, SHORT_ID_SIZE, "%.*s", SHORT_ID, colon ? colon + 1 : id);
}

int64_t now_ns(void)
{
    struct timespec t;

    clock_gettime(CLOCK_REALTIME, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}
