#include "cli/commands.h"
#include "cli/container_io.h"
#include "cli/resolve.h"
#include "cli/session.h"

#include <poll.h>
#include <stdio.h>

struct args {
    bool no_stdin, tty;
    const char *detach_keys, *ca_file;
};

static const struct opt opts[] = {
    {0, "no-stdin", OPT_FLAG, offsetof(struct args, no_stdin), NULL, "only show the output"},
    {'t', "tty", OPT_FLAG, offsetof(struct args, tty), NULL,
     "the container has a terminal; for a runtime that does not tell"},
    {0, "detach-keys", OPT_STRING, offsetof(struct args, detach_keys), "KEYS",
     "that leave a container with a terminal; default " DETACH_KEYS_DEFAULT ", \"\": none"},
    {0, "tls-ca", OPT_STRING, offsetof(struct args, ca_file), "FILE",
     "verify a https streaming server; default: encrypt only"},
    OPT_END,
};

enum { ASK_TIMES = 40, ASK_MS = 50 }; /* a runtime may end the stream a moment before it knows the exit */

/* The exit code of a container whose output has ended; 0 where it goes on without us. */
static int exit_code_of(struct cli *cli, const struct target *t, struct err *err)
{
    Runtime__V1__ContainerStatusRequest req = RUNTIME__V1__CONTAINER_STATUS_REQUEST__INIT;

    req.container_id = (char *)t->id;
    for (int i = 0; i < ASK_TIMES; i++) {
        cleanup_reply Runtime__V1__ContainerStatusResponse *r = NULL;
        int rc = cri_call(cli, "ContainerStatus", &req, &r, err);
        if (rc < 0)
            return err->grpc == GRPC_NOT_FOUND ? EXIT_OK : rc; /* made to be removed at its end */
        if (r->status && r->status->state == RUNTIME__V1__CONTAINER_STATE__CONTAINER_EXITED)
            return r->status->exit_code & 0xff;
        poll(NULL, 0, ASK_MS);
    }
    fprintf(stderr, "cricket attach: the runtime ended the connection; container %s goes on\n", t->name);
    return EXIT_OK;
}

/* What is known about the container decides; -t where the runtime does not tell. */
static int attach(struct cli *cli, const struct args *args, const struct detach_keys *keys, struct target *t,
                  struct session_end *ret, struct err *err)
{
    cleanup_reply Runtime__V1__AttachResponse *r = NULL;
    Runtime__V1__AttachRequest req = RUNTIME__V1__ATTACH_REQUEST__INIT;
    struct container_io io;
    int rc = container_io_get(cli, t->id, &io, err);

    if (rc < 0)
        return rc;
    req.container_id = t->id;
    req.tty = io.tty || args->tty;
    req.stdin = !args->no_stdin && (io.in || !io.in_known);
    req.stdout = true;
    req.stderr = !req.tty; /* a terminal has one output */
    if ((rc = cri_call(cli, "Attach", &req, &r, err)) < 0)
        return rc;
    if (req.stdin && req.tty && keys->n && isatty(STDIN_FILENO))
        fprintf(stderr, "cricket attach: %s leaves container %s as it is\n",
                args->detach_keys ? args->detach_keys : DETACH_KEYS_DEFAULT, t->name);
    const struct session_options o = {.command = "attach",
                                      .url = r->url,
                                      .ca_file = args->ca_file,
                                      .timeout_ms = cli->timeout_ms,
                                      .in = req.stdin,
                                      .tty = req.tty,
                                      .detach = *keys};
    return session_run(&o, ret, err);
}

static int run(struct cli *cli, void *data, int argc, char **argv, struct err *err)
{
    const struct args *args = data;
    struct detach_keys keys;
    struct session_end end;
    struct target t;
    int rc;
    (void)argc;

    if (detach_keys_parse(args->detach_keys ? args->detach_keys : DETACH_KEYS_DEFAULT, &keys, err) < 0)
        return CLI_USAGE;
    if ((rc = resolve_target(cli, argv[0], TARGET_CONTAINER, TARGET_CONTAINER, &t, err)) < 0)
        return rc;
    if (!t.running)
        return err_set(err, GRPC_FAILED_PRECONDITION, 0,
                       "container %s does not run: `cricket ps` lists those that do", t.name);
    if ((rc = attach(cli, args, &keys, &t, &end, err)) < 0)
        return rc;
    if (end.how == SESSION_EXITED)
        return exit_code_of(cli, &t, err);
    return session_exit_code(&end, "attach");
}

const struct command cmd_attach = {
    .name = "attach",
    .args = "[--no-stdin] [--detach-keys KEYS] CONTAINER",
    .summary = "show a running container's output and give it input",
    .details =
        "Exits as the container does. An interrupt ends cricket, not the container; where the container has\n"
        "a terminal all keys go to it, and the detach keys (ctrl-p, then ctrl-q) leave it.",
    .opts = opts,
    .size = sizeof(struct args),
    .min_args = 1,
    .max_args = 1,
    .run = run,
};
