/*
 * A panel a series: the share of calls (upright) that took at most so many milliseconds (across, logarithmic), a line a runtime.
 * Left is faster; where a line bends to the right at its top is its tail.
 */
#include "bench/plot.h"
#include "bench/series.h"
#include "core/mem.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    COLUMNS = 3,
    PANEL_W = 340,
    PANEL_H = 190,
    LEFT = 40, /* of the panel to its axes */
    TOP = 30,
    RIGHT = 26,
    BOTTOM = 34,
    HEAD = 50,       /* title and legend */
    SAMPLES_MIN = 8, /* fewer are no distribution */
    POINTS = 120     /* of a line */
};

enum { RUNTIMES_MAX = 4 };
static const char *const colours[RUNTIMES_MAX] = {"#c0392b", "#1f618d", "#1e8449", "#7d3c98"};

struct panel {
    const char *name; /* "pod: RunPodSandbox, bridge"; the pointer is the table's */
    struct series *line[RUNTIMES_MAX];
};

struct plot {
    char *runtime[RUNTIMES_MAX];
    size_t runtimes;
    struct series_set sets[RUNTIMES_MAX];
    struct panel *panels;
    size_t n, cap;
};

static int runtime_index(struct plot *p, const char *name)
{
    for (size_t i = 0; i < p->runtimes; i++)
        if (!strcmp(p->runtime[i], name))
            return (int)i;
    if (p->runtimes == RUNTIMES_MAX)
        return -1;
    p->runtime[p->runtimes] = mem_strdup(name);
    return (int)p->runtimes++;
}

static void take_series(struct plot *p, int runtime, const char *scenario, const json_t *series)
{
    const char *name = json_string_value(json_object_get(series, "name"));
    const char *unit = json_string_value(json_object_get(series, "unit"));
    const json_t *samples = json_object_get(series, "samples");
    size_t i;
    json_t *v;

    if (!name || !unit || strcmp(unit, "ms") != 0 || json_array_size(samples) < SAMPLES_MIN)
        return;
    struct series *s = series_get(&p->sets[runtime], "ms", "%s: %s", scenario, name);
    json_array_foreach (samples, i, v)
        series_add(s, json_number_value(v));
    for (i = 0; i < p->n && strcmp(p->panels[i].name, s->name) != 0; i++)
        ;
    if (i == p->n) {
        p->panels = mem_grow(p->panels, &p->cap, p->n + 1, sizeof(*p->panels));
        p->panels[p->n++].name = s->name;
    }
    p->panels[i].line[runtime] = s;
}

static int take_file(struct plot *p, const char *path)
{
    json_error_t e;
    json_t *file = json_load_file(path, 0, &e), *scenario, *series;
    const char *runtime = json_string_value(json_object_get(file, "runtime")), *name;
    int index = file ? runtime_index(p, runtime ? runtime : "floors") : -1;
    size_t i;

    if (index < 0) {
        fprintf(stderr, "cribench plot: %s: %s\n", path, file ? "more than four runtimes" : e.text);
        json_decref(file);
        return -1;
    }
    json_object_foreach (json_object_get(file, "scenarios"), name, scenario)
        json_array_foreach (json_object_get(scenario, "series"), i, series)
            take_series(p, index, name, series);
    json_decref(file);
    return 0;
}

/* Names come from files: what XML knows as its own must not get through. */
static void print_text(double x, double y, const char *attributes, const char *text)
{
    printf("<text x=\"%.1f\" y=\"%.1f\" %s>", x, y, attributes);
    for (; *text; text++) {
        if (strchr("<>&\"", *text))
            printf("&#%d;", *text);
        else if ((unsigned char)*text >= 0x20)
            putchar(*text);
    }
    printf("</text>\n");
}

/* Decades around all lines of the panel. */
static void limits(const struct panel *panel, double *ret_low, double *ret_high)
{
    double low = INFINITY, high = 0;

    for (int r = 0; r < RUNTIMES_MAX; r++)
        if (panel->line[r]) {
            low = fmin(low, series_quantile(panel->line[r], 0));
            high = fmax(high, series_quantile(panel->line[r], 1));
        }
    *ret_low = floor(log10(fmax(low, 0.001)));
    *ret_high = fmax(ceil(log10(fmax(high, 0.001))), *ret_low + 1);
}

static void print_axes(double x, double y, double w, double h, double low, double high)
{
    char label[24];

    for (int d = (int)low; d <= (int)high; d++) {
        double at = x + w * (d - low) / (high - low);
        printf("<path d=\"M%.1f %.1fv%.1f\" stroke=\"#ddd\"/>\n", at, y, h);
        snprintf(label, sizeof(label), "%g ms", pow(10, d));
        print_text(at, y + h + 14, "text-anchor=\"middle\"", label);
    }
    for (int q = 0; q <= 100; q += 50) {
        printf("<path d=\"M%.1f %.1fh%.1f\" stroke=\"#ddd\"/>\n", x, y + h - h * q / 100, w);
        snprintf(label, sizeof(label), "%d%%", q);
        print_text(x - 4, y + h - h * q / 100 + 4, "text-anchor=\"end\"", label);
    }
}

static void print_line(struct series *s, const char *colour, double x, double y, double w, double h, double low,
                       double high)
{
    printf("<path fill=\"none\" stroke-width=\"1.6\" stroke=\"%s\" d=\"", colour);
    for (int i = 0; i <= POINTS; i++) {
        double v = log10(fmax(series_quantile(s, (double)i / POINTS), 0.001));
        printf("%c%.1f %.1f", i ? 'L' : 'M', x + w * (v - low) / (high - low), y + h - h * i / POINTS);
    }
    printf("\"/>\n");
}

static void print_panel(const struct panel *panel, double x, double y)
{
    double w = PANEL_W - LEFT - RIGHT, h = PANEL_H - TOP - BOTTOM, low, high;

    limits(panel, &low, &high);
    print_text(x + LEFT, y + TOP - 8, "font-weight=\"bold\"", panel->name);
    print_axes(x + LEFT, y + TOP, w, h, low, high);
    for (int r = 0; r < RUNTIMES_MAX; r++)
        if (panel->line[r])
            print_line(panel->line[r], colours[r], x + LEFT, y + TOP, w, h, low, high);
}

static void print_plot(const struct plot *p)
{
    size_t lines = (p->n + COLUMNS - 1) / COLUMNS;
    double x = LEFT;

    printf("<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"%d\" height=\"%zu\" font-family=\"sans-serif\" "
           "font-size=\"11\">\n<rect width=\"100%%\" height=\"100%%\" fill=\"white\"/>\n",
           COLUMNS * PANEL_W, HEAD + lines * PANEL_H);
    print_text(LEFT, 20, "font-size=\"14\"", "Share of calls that took at most so long; left is faster");
    for (size_t r = 0; r < p->runtimes; r++) {
        printf("<path d=\"M%.1f 38h24\" stroke-width=\"3\" stroke=\"%s\"/>\n", x, colours[r]);
        print_text(x + 30, 42, "font-size=\"12\"", p->runtime[r]);
        x += 60 + 8 * (double)strlen(p->runtime[r]);
    }
    for (size_t i = 0; i < p->n; i++) {
        size_t column = i % COLUMNS, row = i / COLUMNS;
        print_panel(&p->panels[i], (double)column * PANEL_W, HEAD + (double)row * PANEL_H);
    }
    printf("</svg>\n");
}

int plot_main(int argc, char **argv)
{
    struct plot p = {0};
    int rc = 0;

    if (argc < 1) {
        fprintf(stderr, "Usage: cribench plot A.json [B.json ...] > distributions.svg\n");
        return 1;
    }
    for (int i = 0; !rc && i < argc; i++)
        rc = take_file(&p, argv[i]);
    if (!rc)
        print_plot(&p);
    for (size_t r = 0; r < p.runtimes; r++) {
        free(p.runtime[r]);
        series_set_done(&p.sets[r]);
    }
    free(p.panels);
    return rc ? 1 : 0;
}
