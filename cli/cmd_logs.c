#include "cli/commands.h"
#include "cli/follow.h"
#include "cli/resolve.h"
#include "core/mem.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct args {
    bool follow, timestamps;
    const char *tail;
};

static const struct opt opts[] = {
    {'f', "follow", OPT_FLAG, offsetof(struct args, follow), NULL, "go on until the container has exited"},
    {'n', "tail", OPT_STRING, offsetof(struct args, tail), "N", "only the last N lines that are there now"},
    {'t', "timestamps", OPT_FLAG, offsetof(struct args, timestamps), NULL, "put each line's time before it"},
    OPT_END,
};

static int parse_tail(const char *s, long *ret, struct err *err)
{
    char *end;

    *ret = strtol(s, &end, 10);
    if (*end || end == s || *ret < -1)
        return cli_usage(err, "--tail wants a number of lines, not \"%s\"", s);
    return 0;
}

static int log_path(struct cli *cli, const struct target *t, char **ret, struct err *err)
{
    cleanup_reply Runtime__V1__ContainerStatusResponse *r = NULL;
    Runtime__V1__ContainerStatusRequest req = RUNTIME__V1__CONTAINER_STATUS_REQUEST__INIT;

    req.container_id = (char *)t->id;
    int rc = cri_call(cli, "ContainerStatus", &req, &r, err);
    if (rc < 0)
        return rc;
    if (!r->status || !r->status->log_path[0])
        return err_set(err, GRPC_FAILED_PRECONDITION, 0,
                       "container %s has no log: its pod was made without a log directory", t->name);
    *ret = mem_strdup(r->status->log_path);
    return 0;
}

static int run(struct cli *cli, void *data, int argc, char **argv, struct err *err)
{
    const struct args *args = data;
    cleanup_log_file struct log_file log = {.fd = -1, .inotify = -1};
    cleanup_free char *path = NULL;
    struct follow_end end;
    struct target t;
    long tail = -1;
    int rc;
    (void)argc;

    if (args->tail && (rc = parse_tail(args->tail, &tail, err)) < 0)
        return rc;
    if ((rc = resolve_target(cli, argv[0], TARGET_CONTAINER, TARGET_CONTAINER, &t, err)) < 0 ||
        (rc = log_path(cli, &t, &path, err)) < 0)
        return rc;
    log_file_init(&log, path, args->timestamps, stdout, stderr);
    if (tail >= 0 && (rc = log_file_skip_to_tail(&log, tail, err)) < 0)
        return rc;
    if (args->follow)
        return follow_container(cli, t.id, &log, -1, &end, err);
    ssize_t n = log_file_read(&log, err);
    if (n >= 0 && log.fd < 0)
        return err_set(err, GRPC_NOT_FOUND, 0,
                       "log %s does not exist: container %s was not started yet, or lives on another host",
                       path, t.name);
    return n < 0 ? (int)n : EXIT_OK;
}

const struct command cmd_logs = {
    .name = "logs",
    .args = "[-f] [--tail N] [-t] CONTAINER",
    .summary = "show what a container printed",
    .details = "CONTAINER is an id, the start of one, or a name. What it wrote to stderr goes to stderr.",
    .opts = opts,
    .size = sizeof(struct args),
    .min_args = 1,
    .max_args = 1,
    .run = run,
};
