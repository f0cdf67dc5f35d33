/*
 * The counters of some containers and pods, read for one call: cgroups in slices on the loop, so that no turn is long,
 * networks by a child beside it. The call's reply is made when both are there.
 *
 *    stats_job_new, _add_...   stats_job_run     a slice a turn          reply(job), then the job is gone
 *   -------------------------> reading ------------------------> read ---------------------------------->
 *                                 '---- netns_counters_read() ----^
 *
 * An object that goes away meanwhile is left out; when the client does, the job ends by itself.
 */
#pragma once
#include "core/cgroup_stats.h"
#include "core/ids.h"
#include "handlers/containers.h"
#include "handlers/pods.h"
#include "handlers/rpc.h"
#include "netns/netns_counters.h"

enum stats_kind { STATS_POD, STATS_CONTAINER };

struct stats_sample {
    enum stats_kind kind;
    char id[ID_SIZE];
    bool taken;          /* it was there, and a container ran */
    bool shared_parent;  /* a pod whose cgroup is that of other pods, too: its containers are to be summed up */
    bool wants_pids;     /* they are read for pods alone */
    bool rate_known;     /* nano_cores */
    uint64_t nano_cores; /* CPU time a second, in nanoseconds */
    int64_t at_ns;       /* real time */
    int network;         /* of a pod: which of networks; -1: the host's */
    struct cgroup_stats cgroup;
};

struct stats_job {
    struct rpc *rpc; /* NULL: the client went away */
    struct daemon *daemon;
    void (*reply)(struct stats_job *job); /* called once, with an rpc: ends the call */
    struct stats_sample *samples;         /* a pod's containers follow the pod */
    size_t n, cap, next;
    struct netns_counters *networks; /* NULL: not known */
    int networks_n;
    bool awaits_networks;
};

struct stats_job *stats_job_new(struct rpc *rpc, void (*reply)(struct stats_job *job));
void stats_job_add_container(struct stats_job *j, const struct container *c);
/* With its containers that run. */
void stats_job_add_pod(struct stats_job *j, const struct pod *pod);
/* Takes the job. reply is called now or later. */
void stats_job_run(struct stats_job *j);

/* For replies: the objects of samples that were taken and are still there, else NULL. */
struct container *stats_sample_container(const struct stats_job *j, const struct stats_sample *s);
struct pod *stats_sample_pod(const struct stats_job *j, const struct stats_sample *s);
