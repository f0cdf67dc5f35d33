#include "cli/commands.h"
#include "cli/image_list.h"

struct args {
    bool quiet, json;
};

static const struct opt opts[] = {
    {'q', "quiet", OPT_FLAG, offsetof(struct args, quiet), NULL, "ids only, in full"},
    OPT_JSON(struct args, json),
    OPT_END,
};

static int run(struct cli *cli, void *data, int argc, char **argv, struct err *err)
{
    const struct args *args = data;
    (void)argc;
    (void)argv;

    return image_list(cli, args->quiet, args->json, err);
}

const struct command cmd_images = {
    .name = "images",
    .args = "[-q] [-o json]",
    .summary = "list images",
    .opts = opts,
    .size = sizeof(struct args),
    .run = run,
};
