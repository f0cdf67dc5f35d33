/* StopPodSandbox as an operation, also for RemovePodSandbox. */
#pragma once
#include "handlers/pods.h"

/* Made, not started. A pod that is stopped already is fine. */
struct op *stop_pod_op(struct pod *pod);
