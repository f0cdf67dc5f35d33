/*
 * A command in a running container: how Exec starts one. The command is the daemon's child once its starter has ended, so
 * that nothing else stays in memory while it runs.
 *
 *   exec_process_start() ---> on_started(err) ......................... gone
 *                        '--> on_started() ---> on_exit() ............. gone
 *
 * With the daemon's end the command goes on, without its terminal or pipes.
 */
#pragma once
#include "core/err.h"
#include "handlers/containers.h"
#include <stdbool.h>
#include <stddef.h>

struct exec_process;

struct exec_process_spec {
    struct container *container; /* it runs; needed until exec_process_start() returns */
    char *const *cmd;
    size_t cmd_n;
    bool tty;                             /* a new terminal; then there are no pipes */
    int stdin_fd, stdout_fd, stderr_fd;   /* the command's ends, -1: /dev/null. The caller keeps and closes its copies */
};

struct exec_process_events {
    /* It runs, or err says why not. pty: the terminal's master, non-blocking, which is the callee's; -1 without tty. */
    void (*on_started)(void *data, int pty, const struct err *err);
    /* 0 to 255; 128 + signal when it was killed. */
    void (*on_exit)(void *data, int code);
};

/* Errors: the handler is gone, the command is not UTF-8, no process or descriptor to be had. */
int exec_process_start(const struct exec_process_spec *spec, const struct exec_process_events *events, void *data,
                       struct exec_process **ret, struct err *err) must_check;

/* SIGKILL, to the command or to what is starting it. The completion still comes. */
void exec_process_kill(struct exec_process *x);

/* Nobody wants to hear of it any more; it goes on. */
void exec_process_leave(struct exec_process *x);

/* For child_set_orphan_hook(): true when pid was a command of ours. */
bool exec_process_reaped(int pid, int status);
