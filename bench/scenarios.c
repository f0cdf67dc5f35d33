/* The table of scenarios. A scenario is one file, scenario_<name>.c, and one row here. */
#include "bench/bench.h"

#include <errno.h>
#include <string.h>
#include <time.h>

static const struct scenario *const scenarios[] = {
    &scenario_rpc,  &scenario_pod,    &scenario_container, &scenario_start, &scenario_exec, &scenario_density,
    &scenario_pull, &scenario_stream, &scenario_restart,   &scenario_churn, &scenario_soak, &scenario_floor,
};

const struct scenario *scenario_at(size_t i)
{
    return i < countof(scenarios) ? scenarios[i] : NULL;
}

const struct scenario *scenario_find(const char *name)
{
    for (size_t i = 0; i < countof(scenarios); i++)
        if (!strcmp(scenarios[i]->name, name))
            return scenarios[i];
    return NULL;
}

unsigned bench_count(const struct bench *b, unsigned full, unsigned quick)
{
    return b->count ? b->count : b->quick ? quick : full;
}

unsigned bench_pods(const struct bench *b, unsigned full, unsigned quick)
{
    return b->pods ? b->pods : b->quick ? quick : full;
}

double bench_seconds(const struct bench *b, double full, double quick)
{
    return b->seconds > 0 ? b->seconds : b->quick ? quick : full;
}

void bench_rest(double seconds)
{
    struct timespec t = {.tv_sec = (time_t)seconds,
                         .tv_nsec = (long)((seconds - (double)(time_t)seconds) * 1e9)};

    while (nanosleep(&t, &t) < 0 && errno == EINTR)
        ;
}
