#include "cli/commands.h"
#include "cli/resolve.h"

#include <stdio.h>

struct args {
    bool interactive, tty;
    int limit_ms;
};

static const struct opt opts[] = {
    {'i', "interactive", OPT_FLAG, offsetof(struct args, interactive), NULL, "not built yet"},
    {'t', "tty", OPT_FLAG, offsetof(struct args, tty), NULL, "not built yet"},
    {0, "limit", OPT_SECONDS, offsetof(struct args, limit_ms), "TIME",
     "kill the command after this long; default: never"},
    OPT_END,
};

enum { REPLY_MS = 10000 };

static void print(const ProtobufCBinaryData *b, FILE *to)
{
    if (b->len) /* an empty one is NULL */
        fwrite(b->data, 1, b->len, to);
    fflush(to);
}

static int run(struct cli *cli, void *data, int argc, char **argv, struct err *err)
{
    const struct args *args = data;
    cleanup_reply Runtime__V1__ExecSyncResponse *r = NULL;
    Runtime__V1__ExecSyncRequest req = RUNTIME__V1__EXEC_SYNC_REQUEST__INIT;
    struct target t;
    int rc;

    if (args->interactive || args->tty)
        return cli_usage(err, "an interactive exec (-i, -t) is not built yet: run the command without them");
    if ((rc = resolve_target(cli, argv[0], TARGET_CONTAINER, TARGET_CONTAINER, &t, err)) < 0)
        return rc;
    if (!t.running)
        return err_set(err, GRPC_FAILED_PRECONDITION, 0,
                       "container %s does not run: `cricket ps` lists those that do", t.name);
    req.container_id = t.id;
    req.cmd = argv + 1;
    req.n_cmd = (size_t)argc - 1;
    req.timeout = (args->limit_ms + 999) / 1000;
    if ((rc = cri_call_within(cli, "ExecSync", &req, args->limit_ms ? args->limit_ms + REPLY_MS : 0, &r, err)) <
        0)
        return rc;
    print(&r->stdout, stdout);
    print(&r->stderr, stderr);
    return r->exit_code & 0xff;
}

const struct command cmd_exec = {
    .name = "exec",
    .args = "[--limit TIME] CONTAINER COMMAND [ARG]...",
    .summary = "run a command in a container, and exit as it did",
    .details = "The output comes when the command has ended, 16 MiB at most.",
    .opts = opts,
    .size = sizeof(struct args),
    .min_args = 2,
    .max_args = -1,
    .in_order = true,
    .run = run,
};
