/*
 * Files inside a container's root file system, whose links and device nodes are the image's: nothing here is led out of it,
 * opens a device or waits on a FIFO. Source: openat2(2), RESOLVE_IN_ROOT.
 */
#pragma once
#include "core/err.h"
#include <stddef.h>

/* openat2(2) below root; a descriptor or a negative errno. */
int in_root_open(int root, const char *path, int flags) must_check;
/* The text of a regular file; "" when it is missing or no regular file. Caller frees. Longer than max is an error. */
int in_root_read(int root, const char *path, size_t max, char **ret_text, struct err *err) must_check;
/* mkdir -p, 0755. INVALID_ARGUMENT when something that is no directory is in the way. */
int in_root_mkdir(int root, const char *path, struct err *err) must_check;
