#include "bench/growth.h"
#include "bench/disk.h"
#include "bench/program.h"

#include <stdlib.h>

static const double QUIET_S = 12, QUICK_QUIET_S = 7; /* cricketd trims itself 5 s after its last work */

static int take_rows(const struct bench *b, long *ret, struct err *err)
{
    const char *const argv[] = {"sh", "-c", b->rows_command, NULL};
    cleanup_buf struct buf text = {0};
    char *end;

    *ret = -1;
    if (!b->rows_command)
        return 0;
    int rc = program_run(argv, NULL, NULL, &text, NULL, err);
    if (rc < 0)
        return err_wrap(err, "--rows-command");
    *ret = strtol(text.data ? text.data : "", &end, 10);
    if (!text.data || end == text.data)
        return err_set(err, GRPC_INVALID_ARGUMENT, 0, "--rows-command printed no number but `%s`",
                       text.data ? text.data : "");
    return 0;
}

int growth_take(const struct bench *b, struct growth *ret, struct err *err)
{
    bench_rest(b->quick ? QUICK_QUIET_S : QUIET_S);
    ret->files = disk_files(b->root) + disk_files(b->state);
    int rc = take_rows(b, &ret->rows, err);
    return rc ? rc : cost_take(b, &ret->cost, err);
}

static unsigned descriptors(const struct growth *g)
{
    return g->cost.part[PART_DAEMON].descriptors + g->cost.part[PART_SHIM].descriptors;
}

static unsigned processes(const struct growth *g)
{
    unsigned n = 0;

    for (int i = 0; i < PARTS; i++)
        n += g->cost.part[i].processes;
    return n;
}

void growth_report(struct bench *b, const struct growth *before, const struct growth *after, const char *what)
{
    double was = before->cost.part[PART_DAEMON].anonymous_kib, is = after->cost.part[PART_DAEMON].anonymous_kib;
    const struct {
        const char *unit, *name;
        double value;
    } rows[] = {
        {"%", "daemon's anonymous memory, percent", was > 0 ? (is - was) * 100 / was : 0},
        {"KiB", "daemon's anonymous memory", is - was},
        {"KiB", "PSS of all its processes", cost_pss_kib(&after->cost) - cost_pss_kib(&before->cost)},
        {"", "descriptors", (double)descriptors(after) - descriptors(before)},
        {"", "processes", (double)processes(after) - processes(before)},
        {"", "files", (double)after->files - (double)before->files},
        {"", "rows", (double)(after->rows - before->rows)},
    };

    for (size_t i = 0; i < countof(rows); i++)
        series_add(series_get(&b->results, rows[i].unit, "growth of %s, %s", rows[i].name, what),
                   rows[i].value);
}
