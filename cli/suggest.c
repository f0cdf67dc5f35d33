#include "cli/suggest.h"

#include <limits.h>
#include <string.h>

enum { WORD_MAX = 31, NEAR = 2 };

static int min2(int a, int b)
{
    return a < b ? a : b;
}

int suggest_distance(const char *a, const char *b)
{
    int d[WORD_MAX + 1][WORD_MAX + 1];
    size_t na = strlen(a), nb = strlen(b);

    if (na > WORD_MAX || nb > WORD_MAX)
        return INT_MAX;
    for (size_t i = 0; i <= na; i++)
        d[i][0] = (int)i;
    for (size_t j = 0; j <= nb; j++)
        d[0][j] = (int)j;
    for (size_t i = 1; i <= na; i++)
        for (size_t j = 1; j <= nb; j++) {
            int v = min2(min2(d[i - 1][j] + 1, d[i][j - 1] + 1), d[i - 1][j - 1] + (a[i - 1] != b[j - 1]));
            if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
                v = min2(v, d[i - 2][j - 2] + 1);
            d[i][j] = v;
        }
    return d[na][nb];
}

const char *suggest(const char *word, const char *const *words, size_t n)
{
    const char *best = NULL;
    int best_d = NEAR + 1;

    for (size_t i = 0; i < n; i++) {
        int d = suggest_distance(word, words[i]);
        if (*word && !strncmp(word, words[i], strlen(word)))
            d = 1;
        if (d < best_d && d < (int)strlen(words[i]))
            best = words[i], best_d = d;
    }
    return best;
}
