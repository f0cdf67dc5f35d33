#include "cli/commands.h"
#include "cli/resolve.h"
#include "cli/session.h"

#include <stdio.h>

struct args {
    bool interactive, tty;
    int limit_ms;
    const char *ca_file;
};

static const struct opt opts[] = {
    {'i', "interactive", OPT_FLAG, offsetof(struct args, interactive), NULL, "forward the input"},
    {'t', "tty", OPT_FLAG, offsetof(struct args, tty), NULL, "give the command a terminal, shown in this one"},
    {0, "limit", OPT_SECONDS, offsetof(struct args, limit_ms), "TIME",
     "kill the command after this long; then the output comes at its end, 16 MiB at most"},
    {0, "tls-ca", OPT_STRING, offsetof(struct args, ca_file), "FILE",
     "verify a https streaming server; default: encrypt only"},
    OPT_END,
};

enum { REPLY_MS = 10000 };

static void print(const ProtobufCBinaryData *b, FILE *to)
{
    if (b->len) /* an empty one is NULL */
        fwrite(b->data, 1, b->len, to);
    fflush(to);
}

/* In one call, for --limit and for a runtime without Exec. */
static int run_at_once(struct cli *cli, const struct args *args, char *id, int argc, char **argv,
                       struct err *err)
{
    cleanup_reply Runtime__V1__ExecSyncResponse *r = NULL;
    Runtime__V1__ExecSyncRequest req = RUNTIME__V1__EXEC_SYNC_REQUEST__INIT;

    req.container_id = id;
    req.cmd = argv;
    req.n_cmd = (size_t)argc;
    req.timeout = (args->limit_ms + 999) / 1000;
    int rc = cri_call_within(cli, "ExecSync", &req, args->limit_ms ? args->limit_ms + REPLY_MS : 0, &r, err);
    if (rc < 0)
        return rc;
    print(&r->stdout, stdout);
    print(&r->stderr, stderr);
    return r->exit_code & 0xff;
}

static int run_streamed(struct cli *cli, const struct args *args, const char *url, struct err *err)
{
    const struct session_options o = {.command = "exec",
                                      .url = url,
                                      .ca_file = args->ca_file,
                                      .timeout_ms = cli->timeout_ms,
                                      .in = args->interactive,
                                      .tty = args->tty};
    struct session_end end;
    int rc = session_run(&o, &end, err);

    return rc < 0 ? rc : session_exit_code(&end, o.command);
}

static int check(const struct args *args, struct err *err)
{
    if (args->limit_ms && (args->interactive || args->tty))
        return cli_usage(err, "--limit is for a command without -i and -t: leave one of them out");
    if (args->tty && !isatty(STDIN_FILENO))
        return cli_usage(err, "-t needs a terminal as the input, and this one is none: leave out -t");
    return 0;
}

static int run(struct cli *cli, void *data, int argc, char **argv, struct err *err)
{
    const struct args *args = data;
    cleanup_reply Runtime__V1__ExecResponse *r = NULL;
    Runtime__V1__ExecRequest req = RUNTIME__V1__EXEC_REQUEST__INIT;
    struct target t;
    int rc = check(args, err);

    if (rc || (rc = resolve_target(cli, argv[0], TARGET_CONTAINER, TARGET_CONTAINER, &t, err)) < 0)
        return rc;
    if (!t.running)
        return err_set(err, GRPC_FAILED_PRECONDITION, 0,
                       "container %s does not run: `cricket ps` lists those that do", t.name);
    if (args->limit_ms)
        return run_at_once(cli, args, t.id, argc - 1, argv + 1, err);
    req.container_id = t.id;
    req.cmd = argv + 1;
    req.n_cmd = (size_t)argc - 1;
    req.tty = args->tty;
    req.stdin = args->interactive;
    req.stdout = true;
    req.stderr = !args->tty; /* a terminal has one output */
    rc = cri_call(cli, "Exec", &req, &r, err);
    if (rc < 0 && err->grpc == GRPC_UNIMPLEMENTED && !args->interactive && !args->tty)
        return run_at_once(cli, args, t.id, argc - 1, argv + 1, err);
    return rc < 0 ? rc : run_streamed(cli, args, r->url, err);
}

const struct command cmd_exec = {
    .name = "exec",
    .args = "[-i] [-t] [--limit TIME] CONTAINER COMMAND [ARG]...",
    .summary = "run a command in a container, and exit as it did",
    .details =
        "With -i the end of the input ends the command's, unless the runtime speaks only\n"
        "v4.channel.k8s.io (containerd 1.x, 2.x), which cannot say it. An interrupt ends cricket, not the\n"
        "command; with -it the keys all go to the command.",
    .opts = opts,
    .size = sizeof(struct args),
    .min_args = 2,
    .max_args = -1,
    .in_order = true,
    .run = run,
};
