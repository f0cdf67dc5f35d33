/* Object ids: 64 lower-case hex digits from the kernel's random source, as both peers make them. */
#pragma once
#include "core/cleanup.h"
#include <stdbool.h>

enum { ID_LEN = 64, ID_SIZE = ID_LEN + 1 };

void id_new(char id[static ID_SIZE]);
bool id_is_valid(const char *s);                         /* exactly 64 of [0-9a-f] */
void hex_of(const void *bytes, size_t n, char *ret_hex); /* writes 2n digits and a NUL */
