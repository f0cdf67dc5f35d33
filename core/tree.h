/* Removing a directory with all in it. Waits for the disk: call it in a child or a helper. */
#pragma once
#include "core/err.h"

/*
 * Removes path, which may be a file; what is not there is fine. Follows no link, does not cross into another file system
 * (an error names the mount point), holds few descriptors however deep the tree is.
 */
int tree_remove(const char *path, struct err *err) must_check;
/* The same for the entry `name` of a directory. */
int tree_remove_at(int dirfd, const char *name, struct err *err) must_check;
