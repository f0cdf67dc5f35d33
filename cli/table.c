#include "cli/table.h"
#include "core/mem.h"

#include <stdlib.h>
#include <string.h>

enum { GAP = 3 };

void table_init(struct table *t, size_t columns, const char *const *titles)
{
    *t = (struct table){.columns = columns};
    table_row(t, titles);
}

void table_row(struct table *t, const char *const *cells)
{
    t->cells = mem_grow(t->cells, &t->cap, t->n + t->columns, sizeof(*t->cells));
    for (size_t i = 0; i < t->columns; i++) {
        char *s = mem_strdup(cells[i] && *cells[i] ? cells[i] : "-");
        for (char *c = s; *c; c++)
            if ((unsigned char)*c < 0x20 || *c == 0x7f)
                *c = '?';
        t->cells[t->n++] = s;
    }
}

/* Characters, not bytes: what UTF-8 continues is not counted. */
static size_t width(const char *s)
{
    size_t n = 0;

    for (; *s; s++)
        n += ((unsigned char)*s & 0xc0) != 0x80;
    return n;
}

void table_text(const struct table *t, struct buf *out)
{
    cleanup_free size_t *widths = mem_alloc(t->columns * sizeof(*widths));

    for (size_t i = 0; i < t->n; i++)
        if (width(t->cells[i]) > widths[i % t->columns])
            widths[i % t->columns] = width(t->cells[i]);
    for (size_t i = 0; i < t->n; i++) {
        size_t column = i % t->columns;
        buf_adds(out, t->cells[i]);
        if (column + 1 == t->columns)
            buf_adds(out, "\n");
        else
            buf_addf(out, "%*s", (int)(widths[column] - width(t->cells[i]) + GAP), "");
    }
}

void table_print(const struct table *t)
{
    cleanup_buf struct buf b = {0};

    table_text(t, &b);
    fputs(b.data ? b.data : "", stdout);
}

void table_done(struct table *t)
{
    for (size_t i = 0; i < t->n; i++)
        free(t->cells[i]);
    free(t->cells);
    *t = (struct table){0};
}
