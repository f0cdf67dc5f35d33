/* "Did you mean": the nearest of some words. */
#pragma once
#include <stddef.h>

/* Edits (insert, delete, replace, swap neighbours) from a to b; words longer than 31 bytes count as far away. */
int suggest_distance(const char *a, const char *b);
/* words[i] that is at most 2 edits from word, or that word is a prefix of; NULL if none is. */
const char *suggest(const char *word, const char *const *words, size_t n);
