/* Prints a container's log for as long as the container lives. */
#pragma once
#include "cli/cli.h"
#include "cli/log_file.h"

struct follow_end {
    bool interrupted; /* wake_fd became readable: the container may still run */
    bool gone;        /* it was removed meanwhile */
    int exit_code;    /* when neither */
    char reason[64];
};

/*
 * Returns when the container has exited and all of its log is printed, or wake_fd (-1: none) is readable. A runtime that does
 * not answer for a while (an upgrade) is waited for.
 */
int follow_container(struct cli *cli, const char *id, struct log_file *log, int wake_fd, struct follow_end *ret,
                     struct err *err) must_check;
