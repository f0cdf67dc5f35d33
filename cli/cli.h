/*
 * The command line `cricket`: one file and one constant table entry a command. docs/development.md, "a command".
 */
#pragma once
#include "cli/opt.h"
#include "core/err.h"
#include "proto/cri.pb-c.h"
#include "proto/cricket.pb-c.h"
#include <stdbool.h>

struct grpc;

struct cli { /* the options that every command has, and the connection */
    const char *endpoint;
    int timeout_ms; /* 0: each method's own */
    bool help, version;
    char *socket; /* the endpoint's path */
    struct grpc *grpc;
};

/* Exit codes. exec and run give the user's command's own. */
enum { EXIT_OK = 0, EXIT_ERROR = 1, EXIT_USAGE = 2 };

/* What a command returns when it was called wrongly: main prints err and how it is called, and exits with EXIT_USAGE. */
enum { CLI_USAGE = -1000 };
#define cli_usage(err, ...) (err_set(err, GRPC_INVALID_ARGUMENT, 0, __VA_ARGS__), CLI_USAGE)

struct command {
    const char *name;
    const char *alias;   /* another name; NULL */
    const char *args;    /* "[-q] CONTAINER" */
    const char *summary; /* one line, lower case */
    const char *details; /* more for `help NAME`; NULL */
    const struct opt *opts;
    size_t size;            /* of the struct that opts fill; handed zeroed to run */
    int min_args, max_args; /* words after the name; max -1: any */
    bool in_order;          /* what follows the first word is not ours to parse */
    /* argv[0..argc) are the words after the command's name. Returns an exit code, CLI_USAGE, or a negative errno with err. */
    int (*run)(struct cli *cli, void *args, int argc, char **argv, struct err *err);
};

/*
 * For commands that take several objects: calls one() for each word, reports each failure on stderr under the command's
 * name and goes on. Returns the exit code.
 */
int cli_each(struct cli *cli, const char *command, int argc, char **argv,
             int (*one)(struct cli *cli, const char *word, const void *args, struct err *err),
             const void *args);

const struct command *command_find(const char *name);
const struct command *command_at(size_t i); /* NULL past the end */
void command_help(const struct command *c); /* on stdout */

/*
 * Calls a method of CRI, or of cricket's own service, by its name ("ListContainers"). *ret_reply is the method's reply
 * type; the caller frees it, or guards it with cleanup_reply. The deadline is --timeout or the method's own;
 * cri_call_within() gives another (0: none), that --timeout still replaces.
 */
int cri_call(struct cli *cli, const char *method, const void *request, void *ret_reply,
             struct err *err) must_check;
int cri_call_within(struct cli *cli, const char *method, const void *request, int timeout_ms, void *ret_reply,
                    struct err *err) must_check;
void cri_reply_free(void *reply_ptr); /* address of the pointer */
#define cleanup_reply cleanup_with(cri_reply_free)

/* From now on a call ends with CANCELLED when fd becomes readable; -1 takes it back. The caller keeps fd. */
int cri_cancel_fd(struct cli *cli, int fd, struct err *err) must_check;
