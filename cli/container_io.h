/* Which streams a container was made with, from the verbose info of its status. Pure but for the call. */
#pragma once
#include "cli/cli.h"

struct container_io {
    bool tty;
    bool in, in_known; /* not every runtime tells whether there is a stdin */
};

/* text: the JSON under "info". What it does not tell, or a text that is none, leaves the fields false. */
void container_io_parse(const char *text, struct container_io *ret);
int container_io_get(struct cli *cli, const char *id, struct container_io *ret, struct err *err) must_check;
