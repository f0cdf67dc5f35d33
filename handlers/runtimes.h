/*
 * The OCI runtimes that this daemon can use ("handlers" in CRI): where each binary is, what it is, whether it works on this
 * host, and its command lines. A row for each handler of the configuration.
 *
 * Usability that can be told without asking the binary (is it there, do the cgroups suit it) is known when runtimes_new()
 * returns; `--version` and `features` are asked by children a moment after the start, or as soon as somebody waits for it.
 */
#pragma once
#include "core/err.h"
#include "core/host.h"
#include "handlers/daemon.h"
#include <stdbool.h>
#include <stddef.h>

enum runtime_kind { RUNTIME_CRUN, RUNTIME_RUNC, RUNTIME_RUNSC, RUNTIME_YOUKI, RUNTIME_OTHER };

struct runtime {
    const struct handler_config *config; /* its name is config->name */
    enum runtime_kind kind;
    char *path;               /* absolute; NULL when the binary was not found */
    char *root;               /* --root; made before the first use */
    char *version;            /* "crun 1.8.1"; NULL until it answered */
    char *unusable;           /* NULL: it works here. Else one line: why, and what to do */
    bool probed;              /* version and features have been asked */
    bool systemd_cgroup;      /* takes "slice:prefix:id" */
    bool recursive_read_only; /* mount option "rro", and a kernel that can do it */
    bool idmapped_mounts;
    struct runtime_program *program; /* see runtime_file() */
};

/* host must outlive it. config->cgroup_driver is resolved by host_cgroup_driver(). */
struct runtimes *runtimes_new(struct daemon *d, const struct host *host);
void runtimes_free(struct runtimes *rs); /* cancels probes; nobody waits by then */
const struct runtime *runtime_at(const struct runtimes *rs, size_t i); /* NULL past the end */
/* The one that "" means: config's, or where no file chose it and it does not work, the first that does. */
const struct runtime *runtime_default(const struct runtimes *rs);
/* "" is the default. INVALID_ARGUMENT lists the known ones; FAILED_PRECONDITION says why it cannot be used here. */
int runtime_find(const struct runtimes *rs, const char *name, const struct runtime **ret_runtime,
                 struct err *err) must_check;

/* Each has told its version and features, or why it cannot be used. */
bool runtimes_probed(const struct runtimes *rs);
/* For those who come before that: fn is called once, from the loop, when it is so. */
struct runtimes_waiter {
    struct runtimes *owner;
    void (*fn)(void *data);
    void *data;
    struct runtimes_waiter *prev, *next;
};
void runtimes_wait(struct runtimes *rs, struct runtimes_waiter *w, void (*fn)(void *data), void *data);
void runtimes_wait_cancel(struct runtimes_waiter *w); /* of one that has not been called */

/*
 * Command lines: NULL-terminated, strings and array in one block, the caller frees it by one free().
 * log_file (NULL: none) gets the runtime's JSON log; runtime_log_error() reads it.
 */
struct runtime_create {
    const char *id, *bundle, *pid_file;
    const char *console_socket; /* tty only; else NULL */
    const char *log_file;
    bool run; /* create and start in one: `run --detach` */
};
struct runtime_exec {
    const char *id;
    const char *process_file;   /* OCI process object */
    const char *pid_file;       /* NULL: none */
    const char *console_socket; /* detached tty only */
    const char *log_file;
    bool detach;
};
char **runtime_create_argv(const struct runtime *r, const struct runtime_create *c);
char **runtime_start_argv(const struct runtime *r, const char *id, const char *log_file);
char **runtime_kill_argv(const struct runtime *r, const char *id, int signal, bool all, const char *log_file);
char **runtime_delete_argv(const struct runtime *r, const char *id, const char *log_file); /* --force */
char **runtime_exec_argv(const struct runtime *r, const struct runtime_exec *x);
char **runtime_state_argv(const struct runtime *r, const char *id, const char *log_file);
char **runtime_features_argv(const struct runtime *r);

/*
 * The handler is crun, which runs its commands from a read-only mount of its file: so start it from one (core/program_mount.h).
 * runtime_file() is the mount's path for child_spec.file, good in this turn of the loop; NULL: by argv[0], as others.
 */
bool runtime_mounts_itself(const struct runtime *r);
const char *runtime_file(const struct runtime *r);
struct runtime_program *runtime_program_new(void);
void runtime_program_free(struct runtime_program *p);

/* The message of the last error in a log file's text (JSON lines), or NULL; the caller frees. Bounded and one line. */
char *runtime_log_error(const char *text, size_t len);
