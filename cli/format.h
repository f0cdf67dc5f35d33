/* Times, sizes and ids as people read them. */
#pragma once
#include <stddef.h>
#include <stdint.h>

enum { AGE_SIZE = 40, SIZE_TEXT_SIZE = 16, TIME_TEXT_SIZE = 40, SHORT_ID = 13, SHORT_ID_SIZE = SHORT_ID + 1 };

/* "5 minutes ago", "Less than a second ago"; "-" for then_ns 0; "in the future" when the clock was set back. */
void format_age(int64_t then_ns, int64_t now_ns, char ret[static AGE_SIZE]);
void format_size(uint64_t bytes, char ret[static SIZE_TEXT_SIZE]); /* "4.26MB", powers of 1000, three digits */
void format_time(int64_t ns, char ret[static TIME_TEXT_SIZE]);     /* RFC 3339 with nanoseconds, UTC */
void format_short_id(const char *id, char ret[static SHORT_ID_SIZE]); /* without "sha256:" */
int64_t now_ns(void);
