#include "cli/commands.h"
#include "cli/pull.h"

#include <stdio.h>

struct args {
    const char *creds;
};

static const struct opt opts[] = {
    {0, "creds", OPT_STRING, offsetof(struct args, creds), "USER:PASSWORD", "for a registry that asks"},
    OPT_END,
};

static int run(struct cli *cli, void *data, int argc, char **argv, struct err *err)
{
    const struct args *args = data;
    cleanup_free char *ref = NULL;
    (void)argc;

    int rc = image_fetch(cli, argv[0], args->creds, &ref, err);
    if (rc < 0)
        return rc;
    puts(ref);
    return EXIT_OK;
}

const struct command cmd_pull = {
    .name = "pull",
    .args = "[--creds USER:PASSWORD] IMAGE",
    .summary = "fetch an image from its registry",
    .details = "Registries that are mirrored, or need passwords or certificates, belong in "
               "/etc/cricket/registries.yaml.",
    .opts = opts,
    .size = sizeof(struct args),
    .min_args = 1,
    .max_args = 1,
    .run = run,
};
