#include "cli/cli.h"

#include <stdio.h>

int cli_each(struct cli *cli, const char *command, int argc, char **argv,
             int (*one)(struct cli *cli, const char *word, const void *args, struct err *err), const void *args)
{
    int code = EXIT_OK;

    for (int i = 0; i < argc; i++) {
        struct err err = {0};
        if (one(cli, argv[i], args, &err) >= 0)
            continue;
        fprintf(stderr, "cricket %s: %s\n", command, err.msg);
        code = EXIT_ERROR;
    }
    return code;
}
