/*
 * Where cricket-unpack locks itself in before it reads the first byte: no network, the new directory as its root, no
 * descriptor but three, only the capabilities that making files needs, and a list of system calls.
 */
#pragma once
#include "core/err.h"
#include <stdbool.h>

/* First thing in main(): closes what was inherited, sets limits. */
void sandbox_limits(void);

/* dir becomes the root and the working directory. plain: no capability for device nodes and xattrs is kept. */
int sandbox_enter(int dir, bool plain, struct err *err) must_check;
