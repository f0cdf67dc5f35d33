/* A command in a container whose output is captured: for ExecSync. */
#pragma once
#include "handlers/exec_process.h"

struct exec_result {
    int status; /* as waitpid(2) gives it */
    struct buf out, err;
};

/* Once. err NULL: it ran, and result has its status and output. Else nothing of it ran; result is NULL. */
typedef void exec_done_fn(void *data, const struct exec_result *result, const struct err *err);

struct exec_capture;
/* At most max bytes of each stream; more is read and dropped. What others hold open is waited for 200 ms after the exit. */
int exec_capture_start(struct container *c, const char *name, const char *const *argv, size_t max,
                       exec_done_fn *on_done, void *data, struct exec_capture **ret,
                       struct err *err) must_check;
/* Kills the command, so that nothing of it stays in the container. on_done still comes. */
void exec_capture_kill(struct exec_capture *x);
