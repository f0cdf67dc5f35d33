/*
 * A command's or container's streams in our own: stdin, stdout and stderr, the size of our terminal, signals, until its
 * status comes. Blocks; one poll loop.
 */
#pragma once
#include "cli/detach_keys.h"
#include "core/err.h"
#include <stdbool.h>

struct session_options {
    const char *command; /* "exec": for a warning on stderr */
    const char *url;
    const char *ca_file; /* see stream.h */
    int timeout_ms;
    bool in; /* our stdin is forwarded; at its end the command's is closed, where the protocol can */
    bool
        tty; /* the command has a terminal: its size follows ours, and ours is raw if it is one and `in` is set */
    struct detach_keys detach; /* only where `in` and `tty` are set and our stdin is a terminal */
};

enum session_how {
    SESSION_EXITED,      /* code: the command's, as its status says */
    SESSION_DETACHED,    /* by the keys */
    SESSION_INTERRUPTED, /* code: the signal's number; SIGPIPE where nobody reads our output any more */
};

struct session_end {
    enum session_how how;
    int code;
};

/* Errors: the streaming server cannot be reached, refuses, breaks off; the runtime's own failure; our output is full. */
int session_run(const struct session_options *options, struct session_end *ret, struct err *err) must_check;

/* The exit code of `cricket`; says on stderr that it was interrupted. */
int session_exit_code(const struct session_end *end, const char *command);
