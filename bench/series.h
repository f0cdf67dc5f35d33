/*
 * What was measured: named series of samples. A latency is a series of milliseconds, a single figure (memory, CPU) one of one
 * sample. A series that could not be measured stays in the set with its error, so that nothing drops out of a table.
 */
#pragma once
#include "core/cleanup.h"
#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

enum { SERIES_SAMPLES_MAX = 100000 }; /* further ones are counted, and not kept */

struct series {
    char *name;       /* "RunPodSandbox, bridge" */
    const char *unit; /* "ms", "KiB", "s", ...; static */
    double *samples;
    size_t n, cap;
    size_t dropped;
    bool sorted;
    size_t errors;
    char error[256]; /* the first one's text */
};

struct series_set {
    struct series **all; /* pointers stay valid while the set grows */
    size_t n, cap;
};

void series_set_done(struct series_set *set);

/* The series of that name and unit, made empty when it is not there. */
struct series *series_get(struct series_set *set, const char *unit, const char *fmt, ...) printf_like(3, 4);

void series_reserve(struct series *s, size_t n); /* room for n samples, so that adding them allocates nothing */
void series_add(struct series *s, double value);
void series_fail(struct series *s, const char *error);

/* The sample below which `fraction` of them are, by nearest rank; 0 when there is none. Sorts the samples. */
double series_quantile(struct series *s, double fraction);

/* [{"name", "unit", "count", "errors", "error", "p50", "p90", "p99", "max", "samples"}]; the caller does json_decref(). */
json_t *series_json(struct series_set *set);

void series_print(struct series_set *set); /* a table on stdout */
