/*
 * Removes directory trees in the background, in one child at a time: rename(2) a tree to a name that nobody uses, then
 * give that name here. What a crash leaves is found by its name at the next start and comes here again.
 */
#pragma once
#include "loop/loop.h"
#include <stdbool.h>

struct trash;

struct trash *trash_new(struct loop *l);
void trash_free(struct trash *t); /* a child that runs is left to end by itself. NULL is fine */

void trash_add(struct trash *t, const char *path); /* absolute; absent is fine; failures are logged */
bool trash_is_empty(const struct trash *t);
