/*
 * Between cricketd and cricket-enter, which runs one command in a container.
 *
 *   cricketd                      cricket-enter                  the command, a child of cricketd
 *      |-- REQUEST + descriptors ---->|                                |
 *      |                              | joins cgroups, namespaces      |
 *      |                              |-- clone ---------------------->| waits
 *      |<------------------ its pid --|-- go ------------------------->|
 *      |<--------------------------------------- a terminal's master --| (only with one)
 *      |<------------- end of the status socket, by exec or by death --| what became of it is in struct enter_outcome
 *
 * The outcome is in memory that both see, at the head of the memfd that also carries the plan: the filter of a container may
 * forbid every call by which a failure could be told, and a command that was killed before it began must not pass for one
 * that ran.
 */
#pragma once
#include <stdint.h>

enum {
    ENTER_VERSION = 1,
    ENTER_FD = 3,            /* SOCK_SEQPACKET, where requests come in */
    ENTER_PLAN_OFFSET = 512, /* of the plan in the memfd */
    ENTER_TEXT_MAX = 400,
};

enum { ENTER_LAST = 1 }; /* end after this request */

/* Descriptors that come along, in this order; with a terminal only the first three. */
enum {
    ENTER_FD_STATUS,
    ENTER_FD_PLAN,
    ENTER_FD_INIT,
    ENTER_FD_STDIN,
    ENTER_FD_STDOUT,
    ENTER_FD_STDERR,
    ENTER_FDS
};

struct enter_request {
    uint32_t version, flags;
};

enum enter_kind { ENTER_PID = 1, ENTER_TERMINAL };

struct enter_reply { /* on the status socket */
    uint32_t kind;
    int32_t pid;
};

enum enter_state {
    ENTER_PREPARING, /* nothing of the command has run */
    ENTER_FAILED,    /* text says why */
    ENTER_RUNS,      /* execve(2) was called, and came back only if the state changed to FAILED */
};

struct enter_outcome {
    uint32_t state;
    int32_t error; /* errno; 0: none */
    char text[ENTER_TEXT_MAX];
};
