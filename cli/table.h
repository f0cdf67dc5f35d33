/* A table for people: columns as wide as their widest cell, three spaces between them, no trailing blanks. */
#pragma once
#include "core/buf.h"
#include <stddef.h>
#include <stdio.h>

struct table {
    size_t columns;
    char **cells; /* row by row; the first row is the head */
    size_t n, cap;
};

/* titles: columns strings. */
void table_init(struct table *t, size_t columns, const char *const *titles);
/* cells: columns strings, copied; NULL is "-". Control bytes become '?': names come from outside and go to a terminal. */
void table_row(struct table *t, const char *const *cells);
void table_text(const struct table *t, struct buf *out);
void table_print(const struct table *t); /* on stdout */
void table_done(struct table *t);
#define cleanup_table cleanup_with(table_done)
