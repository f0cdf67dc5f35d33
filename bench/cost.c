#include "bench/cost.h"
#include "bench/requests.h"
#include "core/file.h"
#include "core/mem.h"

#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

enum { FILE_MAX = 1 << 20 };

/* "" when it cannot be read: a process may end at any time. */
static char *read_text(const char *path)
{
    struct buf b = {0};

    if (file_read(path, FILE_MAX, &b, NULL) < 0)
        b.len = 0;
    if (b.data)
        b.data[b.len] = '\0';
    return buf_steal(&b);
}

static char *proc_text(pid_t pid, const char *name)
{
    cleanup_free char *path = mem_printf("/proc/%d/%s", pid, name);
    return read_text(path);
}

/* The number behind `key` at a line's start; 0 when it is absent, and for no text. */
static double value_of(const char *text, const char *key)
{
    size_t n = strlen(key);

    for (const char *line = text; line; line = strchr(line, '\n'), line = line ? line + 1 : NULL)
        if (!strncmp(line, key, n))
            return strtod(line + n, NULL);
    return 0;
}

static unsigned entries(pid_t pid, const char *name)
{
    cleanup_free char *path = mem_printf("/proc/%d/%s", pid, name);
    DIR *d = opendir(path);
    unsigned n = 0;

    for (struct dirent *e; d && (e = readdir(d));)
        n += e->d_name[0] != '.';
    if (d)
        closedir(d);
    return n;
}

/* The containers' processes are known by their command line, which is that of requests.c. */
static enum part part_of(const struct bench *b, pid_t pid)
{
    static const char container[] = "sleep\0" CONTAINER_SECONDS;
    cleanup_free char *path = mem_printf("/proc/%d/exe", pid);
    cleanup_free char *line_path = mem_printf("/proc/%d/cmdline", pid);
    cleanup_buf struct buf line = {0};
    char exe[PATH_MAX] = "";

    if (pid == b->daemon)
        return PART_DAEMON;
    if (file_read(line_path, FILE_MAX, &line, NULL) == 0 && line.len == sizeof(container) &&
        !memcmp(line.data, container, sizeof(container)))
        return PART_CONTAINER;
    ssize_t n = readlink(path, exe, sizeof(exe) - 1);
    const char *name = n > 0 ? strrchr(exe, '/') : NULL;
    return name && (!strcmp(name, "/pause") || !strcmp(name, "/cricket-pause")) ? PART_PAUSE : PART_SHIM;
}

/* Of every thread: /proc/PID/status counts those of the first one only. */
static double context_switches(pid_t pid)
{
    cleanup_free char *path = mem_printf("/proc/%d/task", pid);
    DIR *d = opendir(path);
    double n = 0;

    for (struct dirent *e; d && (e = readdir(d));) {
        cleanup_free char *thread = mem_printf("task/%s/status", e->d_name);
        cleanup_free char *status = e->d_name[0] == '.' ? NULL : proc_text(pid, thread);
        n += value_of(status, "voluntary_ctxt_switches:") + value_of(status, "nonvoluntary_ctxt_switches:");
    }
    if (d)
        closedir(d);
    return n;
}

static void add_process(const struct bench *b, pid_t pid, struct cost *c)
{
    cleanup_free char *rollup = proc_text(pid, "smaps_rollup");
    enum part part = part_of(b, pid);
    struct part_cost *p = &c->part[part];

    if (!*rollup)
        return;
    p->processes++;
    p->pss_kib += value_of(rollup, "Pss:");
    p->anonymous_kib += value_of(rollup, "Anonymous:");
    p->threads += entries(pid, "task");
    p->descriptors += entries(pid, "fd");
    if (part == PART_DAEMON || part == PART_SHIM)
        c->wakeups += context_switches(pid);
}

static char *cgroup_dir(const struct bench *b)
{
    static const char *const trees[] = {"/sys/fs/cgroup/cpuacct", "/sys/fs/cgroup/cpu,cpuacct",
                                        "/sys/fs/cgroup"};

    for (size_t i = 0; b->cgroup && i < countof(trees); i++) {
        char *dir = mem_printf("%s/%s", trees[i], b->cgroup);
        if (!access(dir, F_OK))
            return dir;
        free(dir);
    }
    return NULL;
}

static void add_cgroup(const struct bench *b, const char *dir, struct cost *c)
{
    cleanup_free char *procs = mem_printf("%s/cgroup.procs", dir);
    cleanup_free char *pids = read_text(procs);
    DIR *d = opendir(dir);

    for (char *at = pids, *end; (end = strchr(at, '\n')); at = end + 1)
        add_process(b, (pid_t)strtol(at, NULL, 10), c);
    for (struct dirent *e; d && (e = readdir(d));) {
        cleanup_free char *below = mem_printf("%s/%s", dir, e->d_name);
        if (e->d_type == DT_DIR && e->d_name[0] != '.')
            add_cgroup(b, below, c);
    }
    if (d)
        closedir(d);
}

static double daemon_cpu_s(pid_t pid)
{
    cleanup_free char *stat = proc_text(pid, "stat");
    const char *p = strrchr(stat, ')');
    unsigned long user, system, child_user, child_system;

    if (!p || sscanf(p + 1, " %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %lu %lu %lu %lu", &user, &system,
                     &child_user, &child_system) != 4)
        return 0;
    return (double)(user + system + child_user + child_system) / (double)sysconf(_SC_CLK_TCK);
}

double cost_cpu_s(const struct bench *b)
{
    cleanup_free char *dir = cgroup_dir(b);

    if (!dir)
        return b->daemon ? daemon_cpu_s(b->daemon) : 0;
    cleanup_free char *v1 = mem_printf("%s/cpuacct.usage", dir);
    cleanup_free char *usage = read_text(v1);
    if (*usage)
        return strtod(usage, NULL) / 1e9;
    cleanup_free char *v2 = mem_printf("%s/cpu.stat", dir);
    cleanup_free char *stat = read_text(v2);
    return value_of(stat, "usage_usec") / 1e6;
}

double cost_anonymous_kib(pid_t pid)
{
    cleanup_free char *status = proc_text(pid, "status");
    return value_of(status, "RssAnon:");
}

int cost_take(const struct bench *b, struct cost *ret, struct err *err)
{
    cleanup_free char *dir = cgroup_dir(b);

    *ret = (struct cost){0};
    if (b->cgroup && !dir)
        return err_set(err, GRPC_NOT_FOUND, 0, "cgroup %s: no hierarchy with cpuacct has it; see --cgroup",
                       b->cgroup);
    if (!dir && !b->daemon)
        return err_set(err, GRPC_INVALID_ARGUMENT, 0, "no process to look at: give --runtime-pids or --cgroup");
    if (dir)
        add_cgroup(b, dir, ret);
    else
        add_process(b, b->daemon, ret);
    if (!ret->part[PART_DAEMON].processes)
        return err_set(err, GRPC_NOT_FOUND, 0,
                       "process %d is not below cgroup %s: give the daemon's number to --runtime-pids",
                       b->daemon, b->cgroup ? b->cgroup : "-");
    ret->cpu_s = cost_cpu_s(b);
    return 0;
}

double cost_pss_kib(const struct cost *c)
{
    return c->part[PART_DAEMON].pss_kib + c->part[PART_SHIM].pss_kib + c->part[PART_PAUSE].pss_kib;
}
