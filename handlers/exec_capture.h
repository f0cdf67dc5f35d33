/*
 * A command in a container, its output captured: by its exec plan, or by the OCI runtime's exec. Both give the same: what the
 * plan cannot do, or fails to, is done by the runtime, which has the last word on what is an error.
 */
#pragma once
#include "handlers/containers.h"
#include "loop/child.h"

struct exec_spec {
    const char *name;        /* for errors */
    const char *const *argv; /* NULL-terminated; UTF-8 */
    size_t out_max, err_max; /* bytes captured; more is read and dropped */
};

/* Once. err NULL: it ran, and result has its status and output. Else nothing of it ran; result is NULL. */
typedef void exec_done_fn(void *data, struct child_result *result, const struct err *err);

struct exec_capture;
/* spec is copied. The container may go while it runs. */
int exec_capture_start(struct container *c, const struct exec_spec *spec, exec_done_fn *on_done, void *data,
                       struct exec_capture **ret_exec, struct err *err) must_check;
/* Kills the command, so that nothing of it stays in the container. on_done still comes. */
void exec_capture_kill(struct exec_capture *x);

/* The two ways of it. */
struct exec_by_plan;
int exec_by_plan_start(struct container *c, const struct buf *plan, const struct exec_spec *spec,
                       exec_done_fn *on_done, void *data, struct exec_by_plan **ret_exec,
                       struct err *err) must_check;
void exec_by_plan_kill(struct exec_by_plan *x);

struct exec_by_runtime;
int exec_by_runtime_start(struct container *c, const struct exec_spec *spec, exec_done_fn *on_done, void *data,
                          struct exec_by_runtime **ret_exec, struct err *err) must_check;
void exec_by_runtime_kill(struct exec_by_runtime *x);
