/* RunPodSandbox's flow, for recovery: after a crash its undo column cleans up a pod that was being made. */
#pragma once
#include "handlers/pods.h"

extern const struct flow_step run_pod_steps[];
struct op *run_pod_op(struct pod *pod);
/* Undoes from the named step on (NULL: from the last); the pod is gone afterwards. handlers/recover.c */
void run_pod_undo(struct pod *pod, const char *step);
