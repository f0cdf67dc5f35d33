#include "cli/commands.h"
#include "cli/pod_ops.h"

#include <stdio.h>
#include <string.h>

struct args {
    int grace_ms;
    const char *grace; /* kept apart: 0 is a value */
};

static const struct opt opts[] = {
    {'t', "time", OPT_STRING, offsetof(struct args, grace), "TIME",
     "between the stop signal and SIGKILL; default 10s"},
    OPT_END,
};

enum { GRACE_MS = 10000 };

static int stop_one(struct cli *cli, const char *key, const void *data, struct err *err)
{
    const struct args *args = data;
    int grace_s = (args->grace_ms + 999) / 1000;
    struct target t;
    int rc = resolve_target(cli, key, TARGET_CONTAINER | TARGET_POD, TARGET_POD, &t, err);

    if (rc < 0)
        return rc;
    /* The pod of `cricket run` has this one container and no other purpose. */
    if (t.kind == TARGET_POD || t.run_uid[0])
        rc = pod_stop(cli, t.pod_id, grace_s, err);
    else
        rc = container_stop(cli, t.id, grace_s, err);
    if (!rc)
        puts(key);
    return rc;
}

static int run(struct cli *cli, void *data, int argc, char **argv, struct err *err)
{
    struct args *args = data;

    args->grace_ms = GRACE_MS;
    if (args->grace && opt_seconds(args->grace, &args->grace_ms) < 0)
        return cli_usage(err, "--time wants a time such as 5 or 2m, not \"%s\"", args->grace);
    return cli_each(cli, "stop", argc, argv, stop_one, args);
}

const struct command cmd_stop = {
    .name = "stop",
    .args = "[-t TIME] CONTAINER|POD...",
    .summary = "stop containers, or pods with all of theirs",
    .details = "A name that a pod shares with its container means the pod.",
    .opts = opts,
    .size = sizeof(struct args),
    .min_args = 1,
    .max_args = -1,
    .run = run,
};
