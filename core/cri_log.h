/*
 * The log format of CRI: `2026-11-23T15:31:02.123456789Z stdout F text`, one line a piece of output. F ends a line of the
 * container, P is a part of one whose rest follows. Source: kubernetes/design-proposals kubelet-cri-logging.md.
 *
 * Pure, without heap and stdio, for cricket-keeper: it fills an array for writev(2) that points into the caller's chunk.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

enum {
    CRI_LOG_TEXT_MAX = 16384, /* bytes of text in a line; longer ones become P, ..., P, F */
    CRI_LOG_TIME_LEN = 30,    /* "2026-11-23T15:31:02.123456789Z" */
    CRI_LOG_HEAD_LEN = 40,    /* time, blank, stdout or stderr, blank, F or P, blank */
    CRI_LOG_IOV = 64,
};

/* UTC. Times outside the years 1970 to 9999 are clamped. No NUL is written. */
void cri_log_time(char ret_text[static CRI_LOG_TIME_LEN], int64_t ns);

struct cri_log_batch {
    struct iovec iov[CRI_LOG_IOV];
    int n;       /* of iov; always whole log lines */
    size_t size; /* bytes in all of them */
    char full[CRI_LOG_HEAD_LEN], partial[CRI_LOG_HEAD_LEN];
};

enum cri_log_stream { CRI_LOG_STDOUT, CRI_LOG_STDERR };

/* Empties the batch and sets time (CLOCK_REALTIME, ns) and stream of the lines to come. */
void cri_log_begin(struct cri_log_batch *b, int64_t ns, enum cri_log_stream stream);

/*
 * Adds the lines of a chunk and returns how many of its bytes they cover; the chunk must stay until the batch is written.
 * Returns less than n when the batch is full (write it, begin anew, go on), or when what is left, at most
 * CRI_LOG_TEXT_MAX bytes, is an unfinished line whose rest may follow. With flush that too is added, as P.
 */
size_t cri_log_add(struct cri_log_batch *b, const char *chunk, size_t n, bool flush);
