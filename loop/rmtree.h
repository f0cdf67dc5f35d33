/* Removes directory trees in a child: a layer may hold a million files. */
#pragma once
#include "core/err.h"
#include "loop/loop.h"

/* paths: NULL-terminated, copied; files or directories; what does not exist is no error. A mount in them is EBUSY.
 * on_done comes once, later; err NULL when all are gone, else the first that is not. */
int rmtree_start(struct loop *l, const char *const *paths, void (*on_done)(void *data, const struct err *err),
                 void *data, struct err *err) must_check;
