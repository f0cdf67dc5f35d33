/*
 * The messages between cricketd and cricket-keeper, on a SOCK_SEQPACKET socket, in the byte order of the host.
 *
 *   daemon                       keeper
 *     | <------------- GREETING ---|   then one CONTAINER for each that it has, with its descriptors,
 *     | <------------ CONTAINER ---|   then an EXIT for each exit that was not forgotten
 *     |-- CREATE, REOPEN_LOG, ... ->|
 *     | <------------- GREETING ---|   again when its flags have changed; nothing follows it
 *     | <---------------- REPLY ---|   with the request's seq; later ones may overtake a CREATE
 *     | <----------------- EXIT ---|   whenever a container ends
 *
 * Messages only grow, so that a daemon and a keeper of different versions understand one another: a message is a header, a
 * struct of known size that newer versions lengthen at its end, and NUL-terminated strings, to which newer versions append.
 * A reader takes what it knows and reads what is missing as zero or "". No heap, no libc beyond memcpy.
 */
#pragma once
#include "core/cleanup.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { KEEPER_WIRE_VERSION = 1, KEEPER_MSG_MAX = 65536, KEEPER_ARGC_MAX = 256, KEEPER_FDS = 3 };

enum keeper_type {
    KEEPER_CREATE = 1,
    KEEPER_REOPEN_LOG, /* string: id */
    KEEPER_FORGET,     /* string: id; no answer */
    KEEPER_QUIT,
    KEEPER_ADOPT,
    KEEPER_EXITED,
    KEEPER_ATTACH,
    KEEPER_CLOSE_STDIN, /* string: id. Done already is fine; a terminal's is refused, as it is its output as well */

    KEEPER_GREETING = 101,
    KEEPER_CONTAINER,
    KEEPER_REPLY,
    KEEPER_EXIT,
};

/* Which descriptors come along, in this order. A pty is one descriptor for both ways. */
enum {
    KEEPER_FD_STDIN = 1,
    KEEPER_FD_STDOUT = 2, /* or the pty's master */
    KEEPER_FD_STDERR = 4,
    KEEPER_FD_ALL = 7,
};

struct keeper_head {
    uint32_t size; /* of the whole message */
    uint16_t type;
    uint16_t fixed; /* where the strings begin */
    uint32_t seq;   /* of the request that is answered; 0 in what is no answer */
    uint32_t version;
};

/* PROGRAM_MOUNT: see core/program_mount.h; a keeper that is older than it runs the command by its path */
enum { KEEPER_STDIN_OPEN = 1, KEEPER_STDIN_ONCE = 2, KEEPER_PROGRAM_MOUNT = 4 };

struct keeper_create_msg { /* strings: id, pid file, console socket, log path, argv...; "" for none */
    struct keeper_head head;
    uint32_t flags;
    uint32_t timeout_ms;
    uint32_t argc;
};

struct keeper_adopt_msg { /* strings: id, log path */
    struct keeper_head head;
    int32_t pid;
    uint32_t fds;
};

/* The daemon reaped a container whose keeper had died, and tells the new keeper. String: id. */
struct keeper_exited_msg {
    struct keeper_head head;
    int32_t status; /* as waitpid(2) gives it */
    uint32_t pad;
    int64_t finished_ns;
};

/*
 * The write ends of pipes come along, for stdout, stderr or both: what the container prints from the answer on is written to
 * them, until its stream ends, their reader is gone, or takes nothing for a time. String: id.
 */
struct keeper_attach_msg {
    struct keeper_head head;
    uint32_t fds; /* KEEPER_FD_STDOUT, KEEPER_FD_STDERR */
};

enum { KEEPER_NO_CGROUP = 1, KEEPER_NO_OOM_ADJ = 2 }; /* what the keeper could not do */

struct keeper_greeting_msg {
    struct keeper_head head;
    int32_t pid;
    uint32_t flags;
    uint32_t containers; /* this many CONTAINER messages follow */
};

enum { KEEPER_ENDED = 1, KEEPER_CREATING = 2 };

struct keeper_container_msg { /* strings: id, log path */
    struct keeper_head head;
    int32_t pid;
    uint32_t flags;
    uint32_t fds;
};

struct keeper_reply_msg { /* string: the error */
    struct keeper_head head;
    int32_t grpc; /* enum grpc_code; 0 is success */
    int32_t pid;
    uint32_t fds;
};

enum { KEEPER_EXIT_KNOWN = 1, KEEPER_EXIT_OOM = 2 };

struct keeper_exit_msg { /* string: id */
    struct keeper_head head;
    int32_t code;
    int32_t signal;
    uint32_t flags;
    uint32_t pad;
    int64_t finished_ns;
};

/* Copies the struct of a received message into *ret_fixed, at most `size` bytes, the rest zero. False: not a message. */
bool keeper_msg_read(const void *msg, size_t len, void *ret_fixed, size_t size);

/* Walks the strings behind the struct. Only for messages that keeper_msg_read() took. */
struct keeper_strings {
    const char *at, *end;
};
struct keeper_strings keeper_msg_strings(const void *msg);
const char *keeper_next_string(struct keeper_strings *s); /* "" past the last */
bool keeper_has_string(const struct keeper_strings *s);

/* Builds a message in buf: copies the struct (whose head has type and seq set), then strings are put behind it. */
struct keeper_builder {
    char *buf;
    size_t len, cap, fixed;
    bool overflow;
};
void keeper_build(struct keeper_builder *b, void *buf, size_t cap, const void *fixed, size_t size);
void keeper_put_string(struct keeper_builder *b, const char *s); /* NULL is "" */
size_t keeper_finish(struct keeper_builder *b);                  /* the message's size; 0 when it did not fit */
