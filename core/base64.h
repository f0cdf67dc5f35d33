/* Base64 with the standard alphabet and padding (RFC 4648 section 4), strict: no line breaks, no spare bits set. */
#pragma once
#include "core/cleanup.h"
#include <stddef.h>

/* Digits that n bytes become, padding included, without a NUL. */
#define BASE64_LEN(n) (((n) + 2) / 3 * 4)

/* Writes BASE64_LEN(n) digits and no NUL. text must not overlap p. */
void base64_encode(const void *p, size_t n, char *text);
/* Writes at most n / 4 * 3 bytes to out, which may be text itself; "" gives none. -EINVAL for anything that is not base64. */
int base64_decode(const char *text, size_t n, void *out, size_t *ret_n) must_check;
