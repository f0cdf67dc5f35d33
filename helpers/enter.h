/*
 * cricket-enter: runs a command in a container that exists, as `crun exec` and `runc exec` do, from a plan made before.
 *
 * What protects it while it is half inside. It has no privilege that the daemon has not, and for a moment it is visible
 * in the container's PID namespace with all of them:
 * - PR_SET_DUMPABLE is 0 before anything is joined and until execve(2): its memory, its descriptors and /proc/PID/exe are
 *   closed to whoever has no CAP_SYS_PTRACE of the host. (Who has, in a container that shares the host's user namespace, can
 *   attach to the OCI runtimes just so.)
 * - Its program is a sealed memfd (loop/enter.c): a command or a "#!" line "/proc/self/exe" runs a copy that nobody can write.
 * - Every descriptor closes on exec, and what is left of the host's is closed before anything of the container is opened.
 *
 * No heap, no stdio, no threads.
 */
#pragma once
#include "core/enter_wire.h"
#include "core/exec_plan.h"
#include <sys/types.h>

/* One request, and what hangs on it. */
struct enter {
    int fds[ENTER_FDS]; /* -1: none */
    int gate[2];        /* the command waits at its read end until the daemon has been told its pid */
    void *block;        /* outcome and plan, shared with the daemon */
    size_t block_len;
    struct exec_plan plan;
};

/* enter_report.c: notes the first failure, for the daemon; text and object may be NULL. Always false. */
bool enter_failed(struct enter *e, int error, const char *text, const char *object);
void enter_runs(struct enter *e);
bool enter_send(int socket, uint32_t kind, pid_t pid, int fd);

/* enter_join.c: cgroups and namespaces of the container, once a process. */
bool enter_join(struct enter *e);
/* Forks the command into them as a child of our own parent. 0 in the child, -1 with the failure noted. */
pid_t enter_clone(struct enter *e);

/* enter_command.c: never returns */
void enter_command(struct enter *e) __attribute__((noreturn));

/* enter_user.c: user, groups, capabilities, filter; in the order that the filter demands */
bool enter_become(struct enter *e);

/* enter_terminal.c: a terminal of the container as descriptors 0, 1 and 2; its master goes to the daemon */
bool enter_terminal(struct enter *e);

/* enter_path.c */
/* The program's path into buf; NULL with errno ENOENT or EACCES. */
const char *enter_find_program(const char *name, const char *path, char *buf, size_t cap);
/* The home directory of a user by /etc/passwd: its text, as "HOME=...", into buf; false when there is none. */
bool enter_find_home(uint32_t uid, char *buf, size_t cap);
