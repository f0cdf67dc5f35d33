/*
 * What the error channel says at the end of an exec or attach: a Status object as JSON (v4 and v5 of the channels). Pure; the
 * counterpart of proto/exec_status.h.
 */
#pragma once
#include "core/err.h"
#include <stddef.h>

enum { STREAM_STATUS_MAX = 64 * 1024 };

/*
 * The command's exit code. Errors: the runtime's words where the command did not run or was lost (UNKNOWN); INTERNAL where
 * the text is no such object.
 */
int stream_status_parse(const char *text, size_t n, int *ret_code, struct err *err) must_check;
