/*
 * Prints a CRI log file: what was on stdout to one stream, what was on stderr to another, partial lines joined. Goes on in
 * the new file when the log was rotated (renamed and made anew) and from the start when it was truncated.
 */
#pragma once
#include "cli/log_line.h"
#include "core/buf.h"
#include "core/err.h"
#include <stdio.h>
#include <sys/types.h>

struct log_file {
    char *path;
    int fd; /* -1: does not exist yet */
    dev_t dev;
    ino_t ino;
    off_t offset;
    struct buf rest; /* a line that has no newline yet */
    bool timestamps;
    bool middle[2]; /* the stream's last line was partial */
    FILE *to[2];    /* stdout, stderr */
    int inotify;    /* on the directory; -1: none, log_file_wait() looks every now and then */
};

/* A file that is missing is waited for: log_file_read() opens it. to_out and to_err stay the caller's. */
void log_file_init(struct log_file *f, const char *path, bool timestamps, FILE *to_out, FILE *to_err);
void log_file_done(struct log_file *f);
#define cleanup_log_file cleanup_with(log_file_done)

/* Prints all that is there, and flushes. Returns the number of bytes read; 0: nothing new. */
ssize_t log_file_read(struct log_file *f, struct err *err) must_check;
/* Leaves out all but the last n lines of what is there; before the first log_file_read(). */
int log_file_skip_to_tail(struct log_file *f, long n, struct err *err) must_check;
/* Until something may be new, timeout_ms passed, or wake_fd (-1: none) is readable: true then. */
bool log_file_wait(struct log_file *f, int timeout_ms, int wake_fd);
