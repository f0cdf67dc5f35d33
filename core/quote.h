/*
 * Text from outside, made fit for a message: in double quotes, what is not printable ASCII as \xNN, long text cut with
 * "...". So no value can forge a line of the log or fill it.
 */
#pragma once
#include <stddef.h>
#include <string.h>

enum { QUOTE_SIZE = 160, QUOTE_BYTES = 100 }; /* of the result with its NUL; of the source, at most */

/* Fills buf and returns it. s NULL gives "nothing" without quotes. */
const char *quote(char buf[static QUOTE_SIZE], const char *s, size_t n);

/* For an argument of a format: lives until the end of the enclosing block. */
#define QUOTED_N(s, n) quote((char[QUOTE_SIZE]){0}, (s), (n))
#define QUOTED(s)      QUOTED_N((s), (s) ? strlen(s) : 0)
