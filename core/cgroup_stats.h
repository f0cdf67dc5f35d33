/*
 * What the kernel counts for a cgroup, from the files of either version. What a host does not count is marked as unknown,
 * never given as 0. Sources: Documentation/admin-guide/cgroup-v2.rst, cgroup-v1/memory.rst, cgroup-v1/cpuacct.rst,
 * accounting/psi.rst of Linux.
 */
#pragma once
#include "core/cgroup.h"
#include <stdbool.h>
#include <stdint.h>

/* Time that tasks stood still: shares of the last 10, 60 and 300 s in percent, and all of it in microseconds. */
struct cgroup_stall {
    double avg10, avg60, avg300;
    uint64_t total_us;
};

struct cgroup_pressure {
    bool known;                     /* never on v1, nor where the kernel was built or started without PSI */
    struct cgroup_stall some, full; /* at least one task stood still; all of them */
};

#define CGROUP_UNLIMITED UINT64_MAX

struct cgroup_stats {
    bool cpu_known, memory_known, swap_known, pids_known;
    uint64_t cpu_ns;
    uint64_t memory_bytes;        /* with page cache */
    uint64_t inactive_file_bytes; /* cache that the kernel takes back first */
    uint64_t rss_bytes;           /* v1: of anonymous memory with swap cache; v2: "anon", as cAdvisor has it */
    uint64_t page_faults, major_page_faults;
    uint64_t
        memory_limit_bytes; /* v1: the lowest of the cgroup and those above it; v2: its own. CGROUP_UNLIMITED */
    uint64_t swap_bytes;
    uint64_t swap_limit_bytes; /* of swap alone; CGROUP_UNLIMITED */
    uint64_t pids;
    struct cgroup_pressure cpu, memory, io;
};

/* What the kubelet calls the working set: what cannot be taken back at once. */
uint64_t cgroup_working_set(const struct cgroup_stats *s);

enum cgroup_stats_part {
    CGROUP_STATS_USAGE = 1, /* CPU, memory, swap, pressure */
    CGROUP_STATS_PIDS = 2,
};

/*
 * Reads the parts of dir (core/cgroup.h): some 35 us on v1, 100 us on v2 (2 GHz), more where v2 has counters of many
 * processors to add up first; no disk, no heap. A cgroup that is gone has nothing known.
 */
void cgroup_stats_read(const struct cgroups *c, const char *dir, unsigned parts,
                       struct cgroup_stats *ret_stats);

/* The parsers take what one file says into s; lines that they do not know are skipped. Pure. */
void cgroup_stats_memory_v1(struct cgroup_stats *s, const char *memory_stat);
void cgroup_stats_memory_v2(struct cgroup_stats *s, const char *memory_stat);
void cgroup_stats_cpu_v2(struct cgroup_stats *s, const char *cpu_stat);
/* One number, or "max", which is CGROUP_UNLIMITED. False: it is neither. */
bool cgroup_number(const char *text, uint64_t *ret_number);
bool cgroup_pressure_parse(const char *text, struct cgroup_pressure *ret_pressure);
