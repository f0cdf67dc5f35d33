#include "cli/commands.h"

static int run(struct cli *cli, void *args, int argc, char **argv, struct err *err)
{
    const struct command *c = argc ? command_find(argv[0]) : NULL;
    (void)cli;
    (void)args;

    if (argc && !c)
        return cli_usage(err, "there is no command \"%s\"", argv[0]);
    command_help(c);
    return EXIT_OK;
}

const struct command cmd_help = {
    .name = "help",
    .args = "[COMMAND]",
    .summary = "show the commands, or how to use one",
    .max_args = 1,
    .run = run,
};
