/* Reads a small file of the kernel's (or an image's) into memory. Not for files whose reading may wait. */
#pragma once
#include "core/cleanup.h"
#include <stddef.h>

/* NUL-terminated text that the caller frees; -EFBIG when it is longer than max bytes, other negative errnos of open and read. */
int procfile_read(const char *path, size_t max, char **ret_text) must_check;
int procfile_read_fd(int fd, size_t max, char **ret_text) must_check; /* the caller keeps fd */
