/*
 * A command in a running container, with descriptors of its owner's: what ExecSync and Exec share. It goes by exec plan
 * (loop/enter.h), or by the OCI runtime's exec where the plan cannot do the same or fails: the runtime has the last word on what
 * is an error. Either way the command is the daemon's child, and nothing else stays in memory while it runs.
 *
 *   exec_process_start() ---> on_started(err) ......................... gone
 *                        '--> on_started() ---> on_exit() ............. gone
 *
 * With the daemon's end the command goes on, without its terminal or pipes.
 */
#pragma once
#include "core/buf.h"
#include "core/err.h"
#include "handlers/containers.h"
#include <stdbool.h>
#include <stddef.h>

struct exec_spec {
    const char *name;        /* for errors */
    const char *const *argv; /* NULL-terminated */
    bool tty;                /* a new terminal; then there are no descriptors */
    int fds
        [3]; /* the command's stdin, stdout and stderr; -1: /dev/null. Taken, and closed when it has them, on an error as well */
};

struct exec_process_events {
    /* It runs, or err says why nothing of it does. pty: the terminal's master, non-blocking, which is the callee's; -1 without. */
    void (*on_started)(void *data, int pty, const struct err *err);
    void (*on_exit)(void *data, int status); /* as waitpid(2) gives it */
};

struct exec_process;

/* spec is copied; the container may go while it runs. INVALID_ARGUMENT: a word is not UTF-8; others: nothing could be started. */
int exec_process_start(struct container *c, const struct exec_spec *spec,
                       const struct exec_process_events *events, void *data, struct exec_process **ret,
                       struct err *err) must_check;

/* SIGKILL, to the command or to what is starting it: nothing of it stays in the container. The events still come. */
void exec_process_kill(struct exec_process *x);

/* Nobody wants to hear of it any more; it goes on. */
void exec_process_leave(struct exec_process *x);

/* ---- the two ways of it; their spec's descriptors are lent, and open on all three unless there is a terminal ---- */

struct exec_by_plan;
int exec_by_plan_start(struct container *c, const struct buf *plan, const struct exec_spec *spec,
                       const struct exec_process_events *events, void *data, struct exec_by_plan **ret,
                       struct err *err) must_check;
void exec_by_plan_kill(struct exec_by_plan *x);

struct exec_by_runtime;
int exec_by_runtime_start(struct container *c, const struct exec_spec *spec,
                          const struct exec_process_events *events, void *data, struct exec_by_runtime **ret,
                          struct err *err) must_check;
void exec_by_runtime_kill(struct exec_by_runtime *x);
/* For child_set_orphan_hook(): true when pid was a command of the second way. */
bool exec_by_runtime_reaped(int pid, int status);
