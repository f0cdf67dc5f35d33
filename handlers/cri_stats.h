/* From counters to CRI's messages, in the call's arena. What is not known is left out (NULL), never given as 0. */
#pragma once
#include "handlers/stats_job.h"
#include "proto/cri.pb-c.h"

Runtime__V1__UInt64Value *cri_uint64(struct rpc *rpc, uint64_t value);
Runtime__V1__FilesystemUsage *cri_filesystem_usage(struct rpc *rpc, const char *mountpoint, int64_t at_ns,
                                                   const struct tree_usage *usage);
Runtime__V1__CpuUsage *cri_cpu_usage(struct rpc *rpc, const struct stats_sample *s);
Runtime__V1__MemoryUsage *cri_memory_usage(struct rpc *rpc, const struct stats_sample *s);
Runtime__V1__SwapUsage *cri_swap_usage(struct rpc *rpc, const struct stats_sample *s);
Runtime__V1__IoUsage *cri_io_usage(struct rpc *rpc, const struct stats_sample *s);
Runtime__V1__ProcessUsage *cri_process_usage(struct rpc *rpc, const struct stats_sample *s);
/* The default interface is eth0, as CNI names it, or else the first. */
Runtime__V1__NetworkUsage *cri_network_usage(struct rpc *rpc, const struct netns_counters *c, int64_t at_ns);
/* All of one container (handlers/container_stats.c). */
Runtime__V1__ContainerStats *cri_container_stats(struct rpc *rpc, struct container *c,
                                                 const struct stats_sample *s);
