/*
 * Runs a command in a container by setns(2), without its OCI runtime: the daemon's side of the helper cricket-enter, which does
 * all of it from a plan (core/exec_plan.h). The command is a child of the daemon, and nothing of ours stays beside it.
 *
 *              pid and end of the status socket      reaped
 *   STARTING ----------------------------------> RUNS -----> on_exit
 *       \_ failed, killed, too late: on_started with the error, and no more
 *
 * An error means that nothing of the command has run: the OCI runtime may be asked instead.
 */
#pragma once
#include "core/err.h"
#include "loop/loop.h"
#include <stddef.h>

struct enter;
struct enter_door;

struct enter_spec {
    const void *plan; /* with the command; copied */
    size_t plan_len;
    int init_pidfd;                     /* of a process of the container */
    int stdin_fd, stdout_fd, stderr_fd; /* > 0; the caller keeps them. With EXEC_PLAN_TTY none is used */
    int timeout_ms;                     /* until it runs; 0: never */
    struct enter_door *door;            /* NULL: a cricket-enter of its own */
};

struct enter_events {
    /* Once. err NULL: it runs. pidfd stays enter's and is good until on_exit; pty_fd (-1: none) becomes the caller's, and
     * does not block. After an error nothing more comes, and e is gone. */
    void (*on_started)(void *data, int pid, int pidfd, int pty_fd, const struct err *err);
    /* Once, if it had started: its status as waitpid(2) gives it; e is gone. */
    void (*on_exit)(void *data, int status);
};

/* Copies the program at `binary` into a sealed memfd, once, so that an upgrade of its file is not met half-way: at start. */
int enter_load(const char *binary, struct err *err) must_check;

/* binary is loaded if none was. On error nothing was started. */
int enter_start(struct loop *l, const char *binary, const struct enter_spec *spec,
                const struct enter_events *ev, void *data, struct enter **ret_enter,
                struct err *err) must_check;
/* SIGKILL to the command, or to cricket-enter while it has not got that far. The events still come. */
void enter_kill(struct enter *e);

/*
 * A cricket-enter that stays in one container and forks each command there, until enter_door_close(). For hosts with cgroup v1,
 * where entering costs a wait of some 10 ms for the kernel: it is paid once. It counts as a process of the container's
 * cgroups, takes some 50 KiB, and keeps the container's mounts alive: close it when the container ends.
 */
int enter_door_open(struct loop *l, const char *binary, struct enter_door **ret_door,
                    struct err *err) must_check;
/* NULL is fine. It ends by itself then; commands that it has begun are not touched. */
void enter_door_close(struct enter_door *d);
/* It has not ended by itself, for instance by an OOM killer. */
bool enter_door_works(const struct enter_door *d);
