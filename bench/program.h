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

/* Starts a shell on `words` as the leader of a session of its own. */
int program_start(const char *words, pid_t *ret_pid, struct err *err) must_check;

/* Waits until the process is gone, ours or not; an error after limit_ms. */
int program_wait_gone(int pidfd, pid_t pid, int limit_ms, struct err *err) must_check;
