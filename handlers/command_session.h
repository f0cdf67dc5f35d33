/*
 * A session of Exec or Attach: descriptors of a command on one side, a client on the other.
 *
 *   OPENING --streams are there--> STARTING --command_session_run()--> RUNNING --------> ENDING --next turn--> gone
 *      | creation time-out             | command_session_fail()           | the command ended and its output is out
 *      '-------------------------------+----------------------------------+--> ENDING
 *
 * Back-pressure: output is read, 64 KiB at a time, only while nothing waits for the client; the client is read only while nothing
 * waits for the command. So a session holds at most 64 KiB of output and, over SPDY, 128 KiB of input (over WebSocket 64 KiB and
 * a message of at most 1 MiB), whatever either side does.
 * In the kernel there are its socket's buffers and its pipes: 64 KiB each, an exec's stdin 256 KiB; empty ones hold no memory.
 */
#pragma once
#include "handlers/streaming.h"

struct command_session;

struct command_kind {
    const char *doing; /* "error executing command in container": before the words of an error */
    /* The streams are there: start, then command_session_run() or command_session_fail(), now or later. */
    void (*start)(struct command_session *s);
    void (*on_stdin_end)(struct command_session *s); /* all of the client's stdin has been written; close it */
    /* Of a session that lasts as long as its output: one of two has ended, or the last one: then command_session_end() or
     * command_session_fail(). */
    void (*on_output_end)(struct command_session *s, bool last);
    void (*on_gone)(struct command_session *s); /* the session is about to end: let go of self */
};

struct command_fds {
    int in, out,
        err; /* non-blocking, the session's own; -1: none. A terminal is in and out: two descriptors of it */
    int pty; /* to resize: the session's own; -1: no terminal */
};

/* Opens it: takes o's connection and request. self is the kind's. */
void command_session_open(struct stream_opening *o, const struct command_kind *kind, void *self);
void *command_session_self(struct command_session *s);
struct daemon *command_session_daemon(struct command_session *s);
const struct stream_request *command_session_request(const struct command_session *s);

/* The command is there. until_exit: the session lasts until command_session_exited(), and not only as long as its output. */
void command_session_run(struct command_session *s, const struct command_fds *fds, bool until_exit);
/* It has ended. What it has written is still sent; what others hold open is not waited for. */
void command_session_exited(struct command_session *s, int code);
void command_session_close_stdin(struct command_session *s); /* for on_stdin_end */
int command_session_longest_stall_s(
    const struct command_session *s); /* how long the client has once kept output waiting */
/* Ends with success: for an attached client that is through. */
void command_session_end(struct command_session *s);
/* Ends with an error that the client is told. */
void command_session_fail(struct command_session *s, const struct err *why);

/* The refusals that Exec and Attach share, in the reference's words. */
int command_streams_check(const char *rpc, const char *id, bool in, bool out, bool err_stream, bool tty,
                          struct err *err) must_check;
