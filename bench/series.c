#include "bench/series.h"
#include "core/mem.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void series_free(struct series *s)
{
    free(s->name);
    free(s->samples);
    free(s);
}

void series_set_done(struct series_set *set)
{
    for (size_t i = 0; i < set->n; i++)
        series_free(set->all[i]);
    free_ptr(&set->all);
    set->n = set->cap = 0;
}

struct series *series_get(struct series_set *set, const char *unit, const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    cleanup_free char *name = mem_vprintf(fmt, ap);
    va_end(ap);
    for (size_t i = 0; i < set->n; i++)
        if (!strcmp(set->all[i]->name, name))
            return set->all[i];
    struct series *s = mem_new(struct series);
    s->name = steal_ptr(&name);
    s->unit = unit;
    set->all = mem_grow(set->all, &set->cap, set->n + 1, sizeof(*set->all));
    set->all[set->n++] = s;
    return s;
}

void series_reserve(struct series *s, size_t n)
{
    s->samples = mem_grow(s->samples, &s->cap, n, sizeof(*s->samples));
}

void series_add(struct series *s, double value)
{
    if (s->n >= SERIES_SAMPLES_MAX) {
        s->dropped++;
        return;
    }
    if (s->n == s->cap)
        series_reserve(s, s->n + 1);
    s->samples[s->n++] = value;
    s->sorted = false;
}

void series_fail(struct series *s, const char *error)
{
    if (!s->errors++)
        snprintf(s->error, sizeof(s->error), "%s", error);
}

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;

    return (x > y) - (x < y);
}

double series_quantile(struct series *s, double fraction)
{
    if (!s->n)
        return 0;
    if (!s->sorted)
        qsort(s->samples, s->n, sizeof(*s->samples), by_value);
    s->sorted = true;
    size_t rank = (size_t)ceil(fraction * (double)s->n);
    return s->samples[rank ? rank - 1 : 0];
}

/* Three decimals: a microsecond of a millisecond figure, which is below the noise. */
static json_t *number(double v)
{
    return json_real(round(v * 1000) / 1000);
}

static json_t *one_json(struct series *s)
{
    json_t *samples = json_array();
    size_t count = s->n + s->dropped;
    json_t *o = json_pack("{s:s, s:s, s:I, s:I}", "name", s->name, "unit", s->unit, "count", (json_int_t)count,
                          "errors", (json_int_t)s->errors);

    if (s->errors)
        json_object_set_new(o, "error", json_string(s->error));
    if (s->n) {
        json_object_set_new(o, "p50", number(series_quantile(s, 0.5)));
        json_object_set_new(o, "p90", number(series_quantile(s, 0.9)));
        json_object_set_new(o, "p99", number(series_quantile(s, 0.99)));
        json_object_set_new(o, "max", number(s->samples[s->n - 1]));
    }
    for (size_t i = 0; i < s->n; i++)
        json_array_append_new(samples, number(s->samples[i]));
    json_object_set_new(o, "samples", samples);
    return o;
}

json_t *series_json(struct series_set *set)
{
    json_t *list = json_array();

    for (size_t i = 0; i < set->n; i++)
        json_array_append_new(list, one_json(set->all[i]));
    return list;
}

void series_print(struct series_set *set)
{
    printf("%-58s %-6s %6s %10s %10s %10s %10s %6s\n", "", "unit", "count", "p50", "p90", "p99", "max",
           "errors");
    for (size_t i = 0; i < set->n; i++) {
        struct series *s = set->all[i];
        printf("%-58s %-6s %6zu ", s->name, s->unit, s->n + s->dropped);
        if (s->n)
            printf("%10.3f %10.3f %10.3f %10.3f ", series_quantile(s, 0.5), series_quantile(s, 0.9),
                   series_quantile(s, 0.99), series_quantile(s, 1));
        else
            printf("%10s %10s %10s %10s ", "-", "-", "-", "-");
        printf("%6zu%s%s\n", s->errors, s->errors ? "  " : "", s->errors ? s->error : "");
    }
}
