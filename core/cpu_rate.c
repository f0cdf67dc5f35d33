#include "core/cpu_rate.h"

bool cpu_rate_take(struct cpu_rate *r, int64_t at_us, uint64_t cpu_ns, uint64_t *ret_nano_cores)
{
    int64_t passed_us = at_us - r->at_us;
    bool first = r->at_us == 0 || passed_us > CPU_RATE_MAX_US || cpu_ns < r->cpu_ns;

    if (first || passed_us >= CPU_RATE_MIN_US) {
        double rate = first ? 0 : (double)(cpu_ns - r->cpu_ns) * 1e6 / (double)passed_us;
        *r = (struct cpu_rate){.at_us = at_us, .cpu_ns = cpu_ns, .nano_cores = (uint64_t)rate, .known = !first};
    }
    if (r->known)
        *ret_nano_cores = r->nano_cores;
    return r->known;
}
