/*
 * The parts that a pod is made of, as steps of flows: what RunPodSandbox does and undoes, StopPodSandbox and RemovePodSandbox
 * undo as well. Every undo may be repeated and copes with a part that was never made.
 */
#pragma once
#include "handlers/pods.h"
#include "loop/flow.h"

/* data of every flow on a pod */
struct pod_flow {
    struct pod *pod;
    Runtime__V1__PodSandboxConfig *config;
    struct cni_op *cni;
    struct image_pull *pull;
    struct timer retry; /* of a step that has to wait for a process to be gone */
    int tries;
    bool keeper_starting;    /* beside other steps */
    struct err keeper_err;   /* grpc != 0: that failed */
    struct flow *keeper_for; /* the flow that waits for its end; NULL: none */
};
struct pod_flow *pod_flow_new(struct pod *pod);
void pod_flow_free(struct op *op); /* an op's on_free */

int pod_claim_cgroup(struct flow *f);
int pod_release_cgroup(struct flow *f);
int pod_make_files(struct flow *f);
int pod_remove_files(struct flow *f);
int pod_release_cgroup_and_files(struct flow *f);
int pod_pin_namespaces(struct flow *f);
int pod_unpin_namespaces(struct flow *f);
int pod_cni_add(struct flow *f);
int pod_cni_del(struct flow *f);

/* handlers/pod_keeper.c */
int pod_start_keeper(struct flow *f); /* does not wait for it: namespaces and network are made meanwhile */
int pod_await_keeper(struct flow *f);
int pod_end_keeper(struct flow *f);
/* None of the pod's containers is wanted any more: what runs is dropped when it ends, what is being created is killed. */
void pod_keeper_forget_all(struct pod *pod);

/* handlers/infra.c */
int infra_pull(struct flow *f);
int infra_release_image(struct flow *f);
int infra_start(struct flow *f);
int infra_remove(struct flow *f);
/* Starts one in a pod that runs without; calls that wait are dispatched again when it is there, and fail if it fails. */
struct op *infra_late_op(struct pod *pod);
/* Makes ROOT/pause, the root filesystem of the built-in pause. */
int infra_prepare_pause(struct daemon *d, struct err *err) must_check;

struct keeper_spec pod_keeper_spec(const struct pod *pod); /* its strings are the pod's and the daemon's */
struct cni *pod_cni(const struct pod *pod);
void infra_runs(struct pod *pod, int pid);
void infra_exited(struct pod *pod);

/* What the pod's keeper tells; data is the pod. */
extern const struct keeper_events pod_keeper_events;

struct cgroups;
/* Kills what is in these cgroups and removes them, and then tree (NULL: none) with all in it, in one child. What is absent is
 * fine. */
int cgroups_remove(struct loop *l, const struct cgroups *cgroups,
                   char *const *dirs /* NULL-terminated, copied */, const char *tree /* copied */,
                   void (*on_done)(void *data, const struct err *err), void *data, struct err *err) must_check;
