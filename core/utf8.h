/* UTF-8 as RFC 3629 has it: no surrogates, no overlong forms, nothing above U+10FFFF. */
#pragma once
#include <stdbool.h>
#include <stddef.h>

/* Length of the valid character at s, of which n bytes (n > 0) can be read; 0 if none begins there. */
size_t utf8_char_len(const char *s, size_t n);
bool utf8_is_valid(const char *s);
/* Puts '?' in the place of each byte that belongs to no valid character. */
void utf8_repair(char *s);
