/*
 * Gives memory back when work is over: the allocator's free pages, and library code that the work touched and idling does
 * not need (a TLS handshake, an unpacked message). The kernel reads such pages again from its cache when they are wanted.
 */
#pragma once
#include "loop/loop.h"

enum { TRIM_AFTER_S = 5 };

/* Call at the end of each piece of work: trims once, TRIM_AFTER_S after the last call. */
void trim_later(struct loop *l);
/* Takes the timer back: before the loop is freed. */
void trim_stop(void);
