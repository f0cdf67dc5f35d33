/*
 * The log: one line an event on standard error, "2026-11-23T15:31:02.123Z warn  text". Under systemd (JOURNAL_STREAM is
 * set) the time is left out and the line gets the journal's "<4>" priority prefix, see sd-daemon(3).
 */
#pragma once
#include "core/cleanup.h"

enum log_level { LOG_LEVEL_ERROR, LOG_LEVEL_WARN, LOG_LEVEL_INFO, LOG_LEVEL_DEBUG };

/* "error", "warn", "info", "debug"; -EINVAL for another word, with the level unchanged. */
int log_level_set(const char *name) must_check;
const char *log_level_name(void);

void log_at(enum log_level level, const char *fmt, ...) printf_like(2, 3);

#define log_error(...) log_at(LOG_LEVEL_ERROR, __VA_ARGS__)
#define log_warn(...)  log_at(LOG_LEVEL_WARN, __VA_ARGS__)
#define log_info(...)  log_at(LOG_LEVEL_INFO, __VA_ARGS__)
#define log_debug(...) log_at(LOG_LEVEL_DEBUG, __VA_ARGS__)
