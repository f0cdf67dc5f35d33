/* The loopback interface of the network namespace that the calling process is in. For forked children. */
#pragma once
#include "core/err.h"

/* Sets lo up; the kernel gives it 127.0.0.1 and ::1 by itself. */
int loopback_up(struct err *err) must_check;
