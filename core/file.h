/* Small files, whole. Only for files that cannot make the loop wait: those of the state directory, /proc, /sys and /etc. */
#pragma once
#include "core/buf.h"
#include "core/err.h"
#include <sys/types.h>

/* Adds the content to b. A file longer than max is an error. NOT_FOUND (sys ENOENT) when it is absent. */
int file_read(const char *path, size_t max, struct buf *b, struct err *err) must_check;

/* Replaces the file at once for every reader: a temporary file beside it, renamed. No fsync. */
int file_write(const char *path, const void *data, size_t len, mode_t mode, struct err *err) must_check;

/* Makes the directory with all its parents; one that is there is fine. mode is that of the new ones. */
int dir_make(const char *path, mode_t mode, struct err *err) must_check;
