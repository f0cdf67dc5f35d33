/*
 * Small files, whole. A path may come from outside: a FIFO, a device or a directory in its place is refused and neither
 * waited for nor read. Not for network file systems and other disks that may make the loop wait.
 */
#pragma once
#include "core/buf.h"
#include "core/err.h"
#include <sys/types.h>

/*
 * Adds the content to b. NOT_FOUND (ENOENT) when it is absent, INVALID_ARGUMENT when it is no regular file (those of /proc
 * and /sys are), RESOURCE_EXHAUSTED (EFBIG) when it is longer than max; b then has a part of it.
 */
int file_read(const char *path, size_t max, struct buf *b, struct err *err) must_check;
int file_read_at(int dirfd, const char *path, size_t max, struct buf *b, struct err *err) must_check;

/* Replaces the file at once for every reader: a temporary file beside it, renamed. No fsync. */
int file_write(const char *path, const void *data, size_t len, mode_t mode, struct err *err) must_check;

/* All of it, to a file or to a pipe that blocks: for children. 0 or a negative errno. */
int fd_write_all(int fd, const void *data, size_t len) must_check;

/* Makes the directory with all its parents; one that is there is fine. mode is that of the new ones. */
int dir_make(const char *path, mode_t mode, struct err *err) must_check;
