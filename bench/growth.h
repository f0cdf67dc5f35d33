/* What a runtime holds, before and after much work: what must be the same again. */
#pragma once
#include "bench/cost.h"

struct growth {
    struct cost cost;
    unsigned long files; /* below --root and --state */
    long rows;           /* what --rows-command prints; -1 without it */
};

/* Once the runtime is quiet: what it gives back, it has given back. */
int growth_take(const struct bench *b, struct growth *ret, struct err *err) must_check;

/* Puts the differences into the results, as "growth of ..., WHAT". */
void growth_report(struct bench *b, const struct growth *before, const struct growth *after, const char *what);
