/*
 * CPU time a second ("usage_nano_cores" of CRI), between two looks at a counter. A look is taken when somebody asks for
 * statistics; nothing wakes up for it.
 */
#pragma once
#include <stdbool.h>
#include <stdint.h>

struct cpu_rate {
    int64_t at_us; /* of the last sample, monotonic; 0: none */
    uint64_t cpu_ns;
    uint64_t nano_cores;
    bool known;
};

/* Shorter than the first, a time says little, and the last rate stands; a sample older than the second says nothing of now. */
enum { CPU_RATE_MIN_US = 1000 * 1000, CPU_RATE_MAX_US = 300 * 1000 * 1000 };

/* A look: at_us is monotonic, cpu_ns the time used so far. True when the rate is known. */
bool cpu_rate_take(struct cpu_rate *r, int64_t at_us, uint64_t cpu_ns, uint64_t *ret_nano_cores);
