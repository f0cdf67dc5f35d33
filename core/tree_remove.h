/* Removes a file or a directory with all that is in it. Slow: not for the loop. */
#pragma once
#include "core/cleanup.h"

/* 0, also when there is nothing, or -1 with errno. Trees of any depth, with at most 66 descriptors. Links are not followed.
 * A mount in the tree is EBUSY. */
int tree_remove_at(int dir, const char *name) must_check;
