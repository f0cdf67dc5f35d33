/* The table of commands, in the order in which help shows them. To add one: a file cmd_NAME.c, and a row here. */
#include "cli/commands.h"

#include <string.h>

static const struct command *const commands[] = {
    &cmd_run,    &cmd_pods,         &cmd_ps,      &cmd_stats,  &cmd_logs,    &cmd_exec,
    &cmd_attach, &cmd_port_forward, &cmd_inspect, &cmd_stop,   &cmd_rm,      &cmd_pull,
    &cmd_images, &cmd_image,        &cmd_info,    &cmd_doctor, &cmd_version, &cmd_help,
};

const struct command *command_at(size_t i)
{
    return i < countof(commands) ? commands[i] : NULL;
}

const struct command *command_find(const char *name)
{
    for (size_t i = 0; i < countof(commands); i++)
        if (!strcmp(commands[i]->name, name) || (commands[i]->alias && !strcmp(commands[i]->alias, name)))
            return commands[i];
    return NULL;
}
