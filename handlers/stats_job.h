/*
 * The counters of some containers and pods, read for one call: cgroups in slices on the loop, so that no turn is long,
 * networks by a child beside it. When both are there the reply's items are packed, in slices again.
 *
 *    stats_job_new, _add_...   stats_job_run     a slice a turn          a slice a turn        replied, the job is gone
 *   -------------------------> reading ------------------------> packing ------------------->
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

struct stats_job;

/* Packs the reply with the object of samples[i] as its only one; false: it is none, or is gone. The caller frees. */
typedef bool stats_pack_fn(struct stats_job *j, size_t i, uint8_t **ret_bytes, size_t *ret_n);

struct stats_job {
    struct rpc *rpc; /* NULL: the client went away */
    struct daemon *daemon;
    stats_pack_fn *pack;
    bool single;                  /* one was asked for: none is an error */
    struct stats_sample *samples; /* a pod's containers follow the pod */
    size_t n, cap, next;          /* next to be read */
    size_t packed;                /* of n */
    struct rpc_piece *pieces;
    size_t pieces_n;
    struct netns_counters *networks; /* NULL: not known */
    int networks_n;
    bool awaits_networks;
};

struct stats_job *stats_job_new(struct rpc *rpc, bool single, stats_pack_fn *pack);
void stats_job_add_container(struct stats_job *j, const struct container *c);
/* With their containers that run: one pass over those, however many pods there are. */
void stats_job_add_pods(struct stats_job *j, struct pod *const *pods, size_t n);
/* Takes the job. The call ends now or later. */
void stats_job_run(struct stats_job *j);

/* For pack: the objects of samples that were taken and are still there, else NULL. */
struct container *stats_sample_container(const struct stats_job *j, const struct stats_sample *s);
struct pod *stats_sample_pod(const struct stats_job *j, const struct stats_sample *s);
