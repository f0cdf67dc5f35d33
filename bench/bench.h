/* What the scenarios share: the options, the connection, the results. */
#pragma once
#include "bench/conn.h"
#include "bench/series.h"
#include "core/err.h"
#include <stdbool.h>
#include <sys/types.h>

struct bench {
    /* options; a string that was not given is NULL unless a default is named */
    const char *socket;
    const char *handler;       /* runtime_handler of pods; default "" */
    const char *image;         /* of containers */
    const char *registry;      /* HOST:PORT/PREFIX that the images of `pull` are below */
    const char *cgroup;        /* the runtime's own cgroup: daemon, children, pods are below it */
    const char *cgroup_parent; /* pods' cgroups go below it; default "/cribench" */
    const char *root;          /* the runtime's directory: disk figures are those of its file system */
    const char *state;
    const char *work;          /* a directory of ours: logs, mount sources; default "/tmp/cribench" */
    const char *start_before;  /* a shell's words: what is done before start_command and not timed */
    const char *start_command; /* starts the daemon; a shell's words, ending in exec */
    const char *rows_command;  /* prints how many records the runtime keeps */
    const char *stream_client; /* see scenario_stream.c */
    const char *oci_runtime;   /* for the floors; default "crun" */
    const char *cni_conf;      /* a .conflist, for the floors */
    const char *cni_bin;       /* default "/usr/lib/cni" */
    pid_t daemon;              /* the first of --runtime-pids; 0: none */
    unsigned count;            /* 0: each scenario's own */
    unsigned pods;             /* 0: each scenario's own */
    unsigned callers;          /* default 10 */
    double seconds;            /* 0: each scenario's own */
    bool quick;

    struct conn *conn; /* NULL for scenarios that need no runtime */
    struct series_set results;
    unsigned names; /* pods made so far, to name the next */
};

/* How often: what --count says, else the scenario's own number. */
unsigned bench_count(const struct bench *b, unsigned full, unsigned quick);
unsigned bench_pods(const struct bench *b, unsigned full, unsigned quick); /* the same for --pods */
double bench_seconds(const struct bench *b, double full, double quick);

/* Waits without measuring; for what the runtime does by itself after work. */
void bench_rest(double seconds);

struct scenario {
    const char *name;
    const char *summary;
    bool needs_runtime;
    int (*run)(struct bench *b, struct err *err); /* an error stands in the results under the scenario's name */
};

const struct scenario *scenario_at(size_t i); /* NULL behind the last */
const struct scenario *scenario_find(const char *name);

/* What `pull` pulls: large layers, many layers, many files. */
enum { PULL_IMAGES = 3 };
extern const char *const pull_images[PULL_IMAGES];

extern const struct scenario scenario_rpc, scenario_pod, scenario_container, scenario_start, scenario_exec,
    scenario_density, scenario_pull, scenario_stream, scenario_restart, scenario_churn, scenario_soak,
    scenario_floor;
