/*
 * Our own terminal: raw while a command's terminal is shown in it, and as it was at every end of the process that runs exit(3)
 * or terminal_restore(). One a process.
 */
#pragma once
#include "core/err.h"
#include "proto/terminal_size.h"

/* Every key goes to the command, also Ctrl-C. fd is a terminal. */
int terminal_make_raw(int fd, struct err *err) must_check;
void terminal_restore(void); /* may be repeated, and called without the other */

/* False where fd is no terminal or does not know its size. */
bool terminal_size_of(int fd, struct terminal_size *ret);
