/*
 * Child processes: the place for everything that may take longer than a millisecond.
 *
 * Two kinds: a program (argv), or a function of ours in a fork (run), for work such as mount(2) and setns(2) that must
 * not happen in the daemon. A child that is done is one whose exit status is known and whose captured output has ended;
 * output that a left-behind grandchild keeps open is waited for only child_spec.drain_ms after the exit.
 *
 * The daemon is a child subreaper: orphans of its children come here too. They are reaped, and child_set_orphan_hook()
 * hears of them.
 */
#pragma once
#include "core/buf.h"
#include "core/err.h"
#include "loop/loop.h"

struct child;

struct child_result {
    int status;     /* as waitpid(2) gives it */
    bool timed_out; /* killed because timeout_ms passed */
    bool cancelled; /* killed because of child_cancel() */
    struct buf out; /* captured stdout; of a run function: what it wrote to out_fd. The callback may steal it */
    struct buf err; /* captured stderr */
};

typedef void child_done_fn(void *data, struct child_result *result);

struct child_spec {
    const char *name;        /* for the log and for errors; argv[0] when NULL */
    const char *const *argv; /* the program, looked up in PATH when it has no slash; NULL for a run function */
    const char *const *envp; /* NULL: the daemon's environment */
    const char *file;        /* the program's file where it is not argv[0]; with a slash */
    int fd3;                 /* > 0: descriptor 3 of the program. The caller keeps it */

    /* Called in a fork of the daemon, with no descriptors but 0, 1, 2 and out_fd. Its return value is the exit status. It
     * must only make system calls and pure computation, and writes its answer to out_fd. It dies with the daemon: what it
     * was at is undone by the next one. */
    int (*run)(void *arg, int out_fd);
    void *arg;

    const void *input; /* written to stdin, then stdin is closed; copied */
    size_t input_len;
    int stdin_fd;  /* with no input: this descriptor (> 0) becomes stdin; else /dev/null. The caller keeps it */
    int stdout_fd; /* > 0: stdout goes there and is not captured. The caller keeps it */
    int stderr_fd; /* > 0: the same for stderr */
    size_t out_max; /* bytes of stdout captured; the rest is read and dropped. 0: 1 MiB */
    size_t err_max; /* 0: 64 KiB */

    int timeout_ms;   /* SIGKILL after this; 0: never */
    int drain_ms;     /* 0: 200 */
    bool new_session; /* setsid(): cancel and timeout kill the whole process group */
};

/* Starts it. on_done is called once, later. On error (0 is returned on success) nothing was started. */
int child_start(struct loop *l, const struct child_spec *spec, child_done_fn *on_done, void *data,
                struct child **ret_child, struct err *err) must_check;

/* Sends SIGKILL. on_done still comes. */
void child_cancel(struct child *c);
void child_signal(struct child *c, int signal);
int child_pid(const struct child *c);

/* Fills err from a result that is not exit 0 and returns its negative errno: "NAME: exit status 3: last stderr line". 0 if it was. */
int child_check(const struct child_result *r, const char *name, struct err *err);

/* fn hears of each reaped process that is no child of child_start(), with its wait status. */
void child_set_orphan_hook(struct loop *l, void (*fn)(void *data, int pid, int status), void *data);

/*
 * A child of ours that child_start() did not start, such as a sibling that a helper made by CLONE_PARENT: on_exit hears of its
 * end, once, on the loop. -ECHILD when there is no such child (any more).
 */
int child_adopt(struct loop *l, int pid, void (*on_exit)(void *data, int status), void *data) must_check;
/* fn is called when a child has ended that nobody knows: whoever awaits news of a child's number looks for it, and adopts. */
void child_set_stranger_hook(struct loop *l, void (*fn)(void));

/* Number of children that run, for the tests and for shutdown. */
size_t child_count(void);
