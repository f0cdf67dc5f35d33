#include "cli/commands.h"
#include "cli/pod_ops.h"

#include <stdio.h>

struct args {
    bool force;
};

static const struct opt opts[] = {
    {'f', "force", OPT_FLAG, offsetof(struct args, force), NULL, "also what runs: it is killed"},
    OPT_END,
};

static int running(const char *key, struct err *err)
{
    return err_set(err, GRPC_FAILED_PRECONDITION, 0, "%s runs: stop it first (`cricket stop %s`), or give -f",
                   key, key);
}

static int rm_pod(struct cli *cli, const struct target *t, const char *key, bool force, struct err *err)
{
    int n = force ? 0 : pod_running(cli, t->pod_id, err);

    if (n != 0)
        return n < 0 ? n : running(key, err);
    return pod_remove(cli, t->pod_id, t->run_uid, err);
}

static int rm_container(struct cli *cli, const struct target *t, const char *key, bool force, struct err *err)
{
    int rc;

    if (t->running && !force)
        return running(key, err);
    if (t->running && (rc = container_stop(cli, t->id, 0, err)) < 0)
        return rc;
    return container_remove(cli, t->id, err);
}

static int rm_one(struct cli *cli, const char *key, const void *data, struct err *err)
{
    const struct args *args = data;
    struct target t;
    int rc = resolve_target(cli, key, TARGET_CONTAINER | TARGET_POD, TARGET_POD, &t, err);

    if (rc < 0)
        return rc;
    /* The pod of `cricket run` goes with its container. */
    rc = t.kind == TARGET_POD || t.run_uid[0] ? rm_pod(cli, &t, key, args->force, err)
                                              : rm_container(cli, &t, key, args->force, err);
    if (!rc)
        puts(key);
    return rc;
}

static int run(struct cli *cli, void *data, int argc, char **argv, struct err *err)
{
    (void)err;
    return cli_each(cli, "rm", argc, argv, rm_one, data);
}

const struct command cmd_rm = {
    .name = "rm",
    .args = "[-f] CONTAINER|POD...",
    .summary = "remove containers, or pods with all of theirs",
    .details = "A name that a pod shares with its container means the pod.",
    .opts = opts,
    .size = sizeof(struct args),
    .min_args = 1,
    .max_args = -1,
    .run = run,
};
