/*
 * The daemon's side of a cricket-keeper: one per pod, parent of the pod's containers. core/keeper_wire.h has the messages.
 *
 * A keeper outlives the daemon: keeper_connect() finds one that an earlier daemon started, and the exits that happened
 * meanwhile come through on_exit as if they had just happened.
 */
#pragma once
#include "core/err.h"
#include "loop/loop.h"
#include <stdbool.h>
#include <stdint.h>

struct keeper;

struct keeper_exit {
    const char *container_id;
    bool known; /* false: the kernel could not tell any more (the keeper itself had died) */
    int code;   /* 0..255; 128 + signal when it was killed */
    int signal; /* 0 when it exited by itself */
    bool oom_killed;
    int64_t finished_ns; /* CLOCK_REALTIME */
};

struct keeper_events {
    /* A container's process ended and its output is in the log. Comes again after a reconnect until keeper_forget(). */
    void (*on_exit)(void *data, const struct keeper_exit *x);
    /* The keeper died. Requests that wait have ended with UNAVAILABLE. keeper_restart() or keeper_disconnect() from here. */
    void (*on_lost)(void *data);
};

enum { KEEPER_SINK_LIMIT_S = 10 }; /* see keeper_attach() */

struct keeper_spec {
    const char *binary; /* path of cricket-keeper */
    const char *dir;    /* the pod's directory below --state: keeper.sock and exits/ go there */
    const char *pod_id;
    const char *
        cgroup; /* absolute path of the pod's parent cgroup, for cgroupfs; NULL: it stays where the daemon is */
    int sink_limit_ms; /* keeper_attach()'s limit; 0: KEEPER_SINK_LIMIT_S */
};

typedef void keeper_ready_fn(void *data, struct keeper *k, const struct err *err); /* k NULL on error */
typedef void keeper_done_fn(void *data, const struct err *err);                    /* err NULL on success */

/* Starts one, detached from the daemon (own session, survives it), and connects. */
int keeper_start(struct loop *l, const struct keeper_spec *spec, const struct keeper_events *events, void *data,
                 keeper_ready_fn *on_ready, void *ready_data, struct err *err) must_check;

/* Connects to one that runs. NOT_FOUND through on_ready when nobody listens. After on_ready, keeper_container() tells what it has. */
int keeper_connect(struct loop *l, const char *dir, const struct keeper_events *events, void *data,
                   keeper_ready_fn *on_ready, void *ready_data, struct err *err) must_check;

/*
 * After on_lost: starts a new keeper in the same directory and gives it what runs: each container's process, log and
 * descriptors, of which we hold duplicates. Exits that the old one recorded come through on_exit; those that happened
 * meanwhile too, with their status where keeper_orphan() or the kernel (6.15) can tell. on_ready's k is this one; on an
 * error k stays lost and is still the caller's: try again, or keeper_disconnect().
 */
int keeper_restart(struct keeper *k, const struct keeper_spec *spec, keeper_ready_fn *on_ready,
                   void *ready_data, struct err *err) must_check;

/* For child_set_orphan_hook(): a container whose keeper died becomes the daemon's child. True when pid was one of k's. */
bool keeper_orphan(struct keeper *k, int pid, int status);

struct keeper_container_state {
    char id[65];
    int pid; /* of the container's init; 0 when it has ended, or while it is being created for an earlier daemon */
    bool ended; /* on_exit follows */
};
/* The i-th container that the keeper has and that was not forgotten; NULL past the end. */
const struct keeper_container_state *keeper_container(const struct keeper *k, size_t i);

struct keeper_create {
    const char *container_id;
    const char *const *
        argv; /* the whole command line of `crun create ...`, with --pid-file and, for a tty, --console-socket */
    const char *pid_file; /* read by the keeper after the command succeeded */
    const char
        *console_socket;  /* tty: path (<= 107 bytes) at which the keeper listens for the pty; NULL: pipes */
    const char *log_path; /* CRI log; created with its directories' being there; NULL: output is dropped */
    bool stdin_open, stdin_once;
    bool program_mount; /* argv[0] is an absolute path, run as core/program_mount.h has it, where that can be */
    int timeout_ms;     /* the command is killed after it */
};
typedef void keeper_created_fn(void *data, int pid, const struct err *err); /* err: the runtime's own words */

int keeper_create(struct keeper *k, const struct keeper_create *c, keeper_created_fn *on_done, void *data,
                  struct err *err) must_check;
/* The new log file exists when on_done comes. */
int keeper_reopen_log(struct keeper *k, const char *container_id, keeper_done_fn *on_done, void *data,
                      struct err *err) must_check;
/*
 * Copies of what the container prints from now on go to these pipes' write ends (-1: not wanted), until the container's
 * stream ends, the reader closes, or it takes nothing for 10 s: then the pipe ends. Meanwhile a reader that does not take
 * what it gets holds the container up. What was printed before its exit still comes after on_exit and keeper_forget().
 * A terminal prints on stdout only: its stderr ends at once, as does the stream of a container that has ended. The caller
 * keeps and closes its descriptors; the pipes do not block any more.
 */
int keeper_attach(struct keeper *k, const char *container_id, int stdout_fd, int stderr_fd,
                  keeper_done_fn *on_done, void *data, struct err *err) must_check;
/*
 * The container's stdin ends once its reader has read what is in it: both we and the keeper close our ends, we at once. Those
 * that the caller has duplicated it closes itself. Again, or without a stdin, it is done already; a terminal's is refused
 * with FAILED_PRECONDITION.
 */
int keeper_close_stdin(struct keeper *k, const char *container_id, keeper_done_fn *on_done, void *data,
                       struct err *err) must_check;
/* The write end of its stdin, or the pty's master (also for resizing); -1: it has none, or it was closed. Does not block.
 * It is k's: dup it to keep it beyond this turn. */
int keeper_stdin(const struct keeper *k, const char *container_id);
/* The container is removed, or its exit is in the store: the keeper may drop its record. One that runs is dropped when it
 * ends, one that is being created is killed (on_done then says CANCELLED). No answer. */
void keeper_forget(struct keeper *k, const char *container_id);
/* Ends the keeper; it refuses (FAILED_PRECONDITION) while a container runs. on_lost does not come. Frees k. */
int keeper_quit(struct keeper *k, keeper_done_fn *on_done, void *data, struct err *err) must_check;
/* Drops the connection only; waiting requests are dropped without a call. NULL is fine. */
void keeper_disconnect(struct keeper *k);
int keeper_pid(const struct keeper *k);
