/*
 * A line of a CRI log: "2026-11-23T15:31:02.123456789Z stdout F the text". Tag P: the line goes on in the stream's next
 * line. Source: Kubernetes, design proposal "CRI: Log management".
 */
#pragma once
#include "core/cleanup.h"
#include <stdbool.h>
#include <stddef.h>

struct log_line { /* points into the text that was parsed */
    const char *time;
    size_t time_len;
    bool is_stderr;
    bool partial;
    const char *text;
    size_t text_len;
};

/* p[0..n) without its newline. -EBADMSG when it is no such line. */
int log_line_parse(const char *p, size_t n, struct log_line *ret) must_check;
