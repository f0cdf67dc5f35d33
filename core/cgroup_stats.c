#include "core/cgroup_stats.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stddef.h>
#include <string.h>

/* memory.stat of today's kernels has 1.5 KiB; what such a file shows comes with one read(2). */
enum { FILE_MAX = 8192 };

/* v1's "no limit" is the largest multiple of a page. */
static const uint64_t NO_LIMIT_V1 = UINT64_C(1) << 62;

/* ---- parsers ------------------------------------------------------------------------------------------------------- */

/* Digits and then the end of a word; more than 64 bits are no number. */
static bool number_parse(const char *s, uint64_t *ret)
{
    char *end;

    if (*s < '0' || *s > '9')
        return false;
    errno = 0;
    unsigned long long n = strtoull(s, &end, 10);
    if (errno || (*end && *end != '\n' && *end != ' '))
        return false;
    *ret = n;
    return true;
}

bool cgroup_number(const char *text, uint64_t *ret_number)
{
    if (strcmp(text, "max\n") == 0 || strcmp(text, "max") == 0) {
        *ret_number = CGROUP_UNLIMITED;
        return true;
    }
    return number_parse(text, ret_number);
}

struct wanted {
    const char *key;
    size_t to; /* offset in struct cgroup_stats */
};

static const char *next_line(const char *s)
{
    const char *end = strchr(s, '\n');

    return end ? end + 1 : s + strlen(s);
}

/* Takes "key number" lines and returns how many of the n that are wanted were there. */
static size_t lines_take(struct cgroup_stats *s, const char *text, const struct wanted *wanted, size_t n)
{
    size_t found = 0;

    for (; *text; text = next_line(text)) {
        for (size_t i = 0; i < n; i++) {
            size_t len = strlen(wanted[i].key);
            if (strncmp(text, wanted[i].key, len) != 0 || text[len] != ' ')
                continue;
            found += number_parse(text + len + 1, (uint64_t *)(void *)((char *)s + wanted[i].to));
            break;
        }
    }
    return found;
}

#define WANT(key, field)                                                                                       \
    {                                                                                                          \
        key, offsetof(struct cgroup_stats, field)                                                              \
    }

/* The total_ ones are of the cgroup and all below it. */
void cgroup_stats_memory_v1(struct cgroup_stats *s, const char *memory_stat)
{
    static const struct wanted usage[] = {
        WANT("total_inactive_file", inactive_file_bytes),
        WANT("total_rss", rss_bytes),
        WANT("total_pgfault", page_faults),
        WANT("total_pgmajfault", major_page_faults),
        WANT("hierarchical_memory_limit", memory_limit_bytes),
    };
    static const struct wanted swap[] = {
        WANT("total_swap", swap_bytes),
        WANT("hierarchical_memsw_limit", swap_limit_bytes), /* of memory and swap together */
    };

    s->memory_known = lines_take(s, memory_stat, usage, countof(usage)) == countof(usage);
    s->swap_known = lines_take(s, memory_stat, swap, countof(swap)) == countof(swap);
    if (s->swap_limit_bytes >= NO_LIMIT_V1)
        s->swap_limit_bytes = CGROUP_UNLIMITED;
    else
        s->swap_limit_bytes -=
            s->memory_limit_bytes < s->swap_limit_bytes ? s->memory_limit_bytes : s->swap_limit_bytes;
    if (s->memory_limit_bytes >= NO_LIMIT_V1)
        s->memory_limit_bytes = CGROUP_UNLIMITED;
}

void cgroup_stats_memory_v2(struct cgroup_stats *s, const char *memory_stat)
{
    static const struct wanted usage[] = {
        WANT("inactive_file", inactive_file_bytes),
        WANT("anon", rss_bytes),
        WANT("pgfault", page_faults),
        WANT("pgmajfault", major_page_faults),
    };

    s->memory_known = lines_take(s, memory_stat, usage, countof(usage)) == countof(usage);
}

void cgroup_stats_cpu_v2(struct cgroup_stats *s, const char *cpu_stat)
{
    static const struct wanted usage[] = {WANT("usage_usec", cpu_ns)};

    s->cpu_known = lines_take(s, cpu_stat, usage, countof(usage)) == countof(usage);
    s->cpu_ns *= 1000;
}

/* "avg10=1.23": the share in percent. */
static bool share_parse(const char **p, const char *key, double *ret)
{
    size_t n = strlen(key);
    char *end;

    if (strncmp(*p, key, n) != 0 || (*p)[n] < '0' || (*p)[n] > '9')
        return false;
    double share = strtod(*p + n, &end);
    if (*end != ' ' || share > 100)
        return false;
    *ret = share;
    *p = end + 1;
    return true;
}

static bool stall_parse(const char *text, const char *kind, struct cgroup_stall *ret)
{
    struct cgroup_stall s;
    const char *line = text;
    size_t n = strlen(kind);

    while (*line && (strncmp(line, kind, n) != 0 || line[n] != ' '))
        line = next_line(line);
    if (!*line)
        return false;
    line += n + 1;
    if (!share_parse(&line, "avg10=", &s.avg10) || !share_parse(&line, "avg60=", &s.avg60) ||
        !share_parse(&line, "avg300=", &s.avg300) || strncmp(line, "total=", 6) != 0 ||
        !number_parse(line + 6, &s.total_us))
        return false;
    *ret = s;
    return true;
}

bool cgroup_pressure_parse(const char *text, struct cgroup_pressure *ret_pressure)
{
    struct cgroup_pressure p = {0};

    p.known = stall_parse(text, "some", &p.some) && stall_parse(text, "full", &p.full);
    if (p.known)
        *ret_pressure = p;
    return p.known;
}

uint64_t cgroup_working_set(const struct cgroup_stats *s)
{
    return s->memory_bytes > s->inactive_file_bytes ? s->memory_bytes - s->inactive_file_bytes : 0;
}

/* ---- files --------------------------------------------------------------------------------------------------------- */

/* What one file of a cgroup says; "" if it is not there. */
struct reading {
    char path[PATH_MAX];
    size_t dir_len;
    char text[FILE_MAX];
};

static bool reading_begin(struct reading *r, const struct cgroup_mount *m, const char *dir)
{
    size_t root = strlen(m->root);

    if (root > 1 && strncmp(dir, m->root, root) == 0 && (dir[root] == '/' || dir[root] == '\0'))
        dir += root;
    int n = snprintf(r->path, sizeof(r->path), "%s%s/", m->path, dir);
    r->dir_len = n < 0 ? 0 : (size_t)n;
    return n > 0 && r->dir_len + NAME_MAX < sizeof(r->path);
}

static const char *read_text(struct reading *r, const char *name)
{
    strcpy(r->path + r->dir_len, name);
    cleanup_close int fd = open(r->path, O_RDONLY | O_CLOEXEC);
    ssize_t n = fd < 0 ? -1 : read(fd, r->text, sizeof(r->text) - 1);

    r->text[n < 0 ? 0 : n] = '\0';
    return r->text;
}

static bool read_number(struct reading *r, const char *name, uint64_t *ret)
{
    return cgroup_number(read_text(r, name), ret);
}

static void read_v2(struct reading *r, struct cgroup_stats *s)
{
    cgroup_stats_cpu_v2(s, read_text(r, "cpu.stat"));
    cgroup_stats_memory_v2(s, read_text(r, "memory.stat"));
    s->memory_known = s->memory_known && read_number(r, "memory.current", &s->memory_bytes) &&
                      read_number(r, "memory.max", &s->memory_limit_bytes);
    s->swap_known = read_number(r, "memory.swap.current", &s->swap_bytes) &&
                    read_number(r, "memory.swap.max", &s->swap_limit_bytes);
    (void)cgroup_pressure_parse(read_text(r, "cpu.pressure"), &s->cpu);
    (void)cgroup_pressure_parse(read_text(r, "memory.pressure"), &s->memory);
    (void)cgroup_pressure_parse(read_text(r, "io.pressure"), &s->io);
}

static void read_memory_v1(struct reading *r, struct cgroup_stats *s)
{
    cgroup_stats_memory_v1(s, read_text(r, "memory.stat"));
    s->memory_known = s->memory_known && read_number(r, "memory.usage_in_bytes", &s->memory_bytes);
}

static bool enter(struct reading *r, const struct cgroups *c, const char *controller, const char *dir)
{
    const struct cgroup_mount *m = cgroup_controller(c, controller);

    return m && reading_begin(r, m, dir);
}

static void read_usage(const struct cgroups *c, const char *dir, struct reading *r, struct cgroup_stats *s)
{
    if (c->kind == CGROUP_V2) {
        if (reading_begin(r, cgroup_unified(c), dir))
            read_v2(r, s);
        return;
    }
    if (enter(r, c, "cpuacct", dir))
        s->cpu_known = read_number(r, "cpuacct.usage", &s->cpu_ns);
    if (enter(r, c, "memory", dir))
        read_memory_v1(r, s);
}

void cgroup_stats_read(const struct cgroups *c, const char *dir, unsigned parts, struct cgroup_stats *ret_stats)
{
    struct cgroup_stats s = {0};
    struct reading r;

    if (parts & CGROUP_STATS_USAGE)
        read_usage(c, dir, &r, &s);
    if ((parts & CGROUP_STATS_PIDS) && enter(&r, c, "pids", dir))
        s.pids_known = read_number(&r, "pids.current", &s.pids);
    *ret_stats = s;
}
