/*
 * What a runtime costs the machine. With --cgroup, everything below the runtime's own cgroup counts: the daemon, its shims or
 * keepers, children that have ended meanwhile, and the pods' own processes, which are the same for every runtime. Without it,
 * only the daemon of --runtime-pids and the children that it has waited for.
 * Memory is that of /proc/PID/smaps_rollup.
 */
#pragma once
#include "bench/bench.h"

enum part { PART_DAEMON, PART_SHIM, PART_PAUSE, PART_CONTAINER, PARTS };

struct part_cost {
    unsigned processes, threads, descriptors;
    double pss_kib, anonymous_kib;
};

struct cost {
    struct part_cost
        part[PARTS]; /* SHIM: shims, keepers, whatever else is the runtime's; CONTAINER: `sleep` of the pods */
    double cpu_s;    /* since the cgroup was made */
    double wakeups;  /* context switches of the runtime's processes, pause's not among them */
};

int cost_take(const struct bench *b, struct cost *ret, struct err *err) must_check;
double cost_cpu_s(const struct bench *b);
double cost_anonymous_kib(pid_t pid); /* RssAnon: cheap enough to sample while something runs */

/* PSS of all that the runtime adds: everything but the containers' own processes. */
double cost_pss_kib(const struct cost *c);
