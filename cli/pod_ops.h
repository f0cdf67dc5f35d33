/* Stopping and removing containers and pods: what `run`, `stop` and `rm` share. */
#pragma once
#include "cli/cli.h"
#include "cli/resolve.h"

int container_stop(struct cli *cli, const char *id, int timeout_s, struct err *err) must_check;
int container_remove(struct cli *cli, const char *id, struct err *err) must_check;
/* Stops the pod's containers with that time, then the pod. */
int pod_stop(struct cli *cli, const char *id, int timeout_s, struct err *err) must_check;
/* The pod with all its containers, which are killed where they run; and the logs of a pod of `cricket run`. */
int pod_remove(struct cli *cli, const char *id, const char *run_uid, struct err *err) must_check;
/* Running containers of a pod; negative on error. */
int pod_running(struct cli *cli, const char *id, struct err *err) must_check;

/* SOCKETDIR/cli-logs/UID: where the containers of `cricket run` log. NULL when uid is none of ours; the caller frees. */
char *run_log_dir(const struct cli *cli, const char *uid);
