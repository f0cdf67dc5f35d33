/* Programs that are run to their end and timed, for the floors and for hooks that the caller of cribench gives. */
#pragma once
#include "core/buf.h"
#include "core/err.h"
#include <sys/types.h>

/*
 * Runs argv[0], looked up in PATH, with `input` (or nothing) on its stdin. *output, when not NULL, gets stdout and stderr.
 * *ret_ms, when not NULL: from before the spawn to after the wait. envp NULL: ours. A status other than 0 is an error with
 * what the program said.
 */
int program_run(const char *const argv[], char *const envp[], const char *input, struct buf *output,
                double *ret_ms, struct err *err) must_check;

/*
 * Starts a shell as the leader of a session of its own: it does `before` (NULL: nothing) at once, and stops in front of
 * `words`, which program_go() lets it do. So what is timed from there is not what a cgroup's entry costs.
 */
int program_prepare(const char *before, const char *words, pid_t *ret_pid, struct err *err) must_check;
int program_go(pid_t pid, struct err *err) must_check;

/* Waits until the process is gone, ours or not; an error after limit_ms. */
int program_wait_gone(int pidfd, pid_t pid, int limit_ms, struct err *err) must_check;
