/* Other programs, asked for one line. */
#pragma once
#include <stdbool.h>
#include <stddef.h>

/* name in PATH and the sbin directories, or itself when it has a slash; NULL if it is not executable. The caller frees. */
char *program_find(const char *name);

/* The first line of what it prints (stdout and stderr), without the newline. Its exit status; -1 if it did not run or took longer than timeout_ms. */
int program_first_line(const char *const *argv, int timeout_ms, char *ret_line, size_t size);
