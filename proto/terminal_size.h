/*
 * The resize stream of Exec and Attach: {"Width":80,"Height":24} again and again, with or without white space between,
 * split anywhere. Pure. Source: TerminalSize of client-go's remotecommand; member names in any case, as Go reads them.
 */
#pragma once
#include "core/err.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct terminal_size {
    uint16_t width, height; /* columns, rows; 0: not given */
};

enum { TERMINAL_SIZE_BYTES_MAX = 256 }; /* of one object */

/* Zero it to begin. */
struct terminal_size_reader {
    char text[TERMINAL_SIZE_BYTES_MAX];
    size_t len;
};

/*
 * Takes all n bytes. Only the last size counts: *ret_there says whether one became whole. Errors (INVALID_ARGUMENT: not
 * such an object, a number outside 0 to 65535, too long): what was whole before is not told, and the reader is empty again.
 */
int terminal_size_read(struct terminal_size_reader *reader, const void *data, size_t n, bool *ret_there,
                       struct terminal_size *ret_size, struct err *err) must_check;
