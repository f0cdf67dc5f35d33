/*
 * Command line options from a table: -a, -abc, -n5, -n 5, --name 5, --name=5, --. Values go into the command's own struct.
 */
#pragma once
#include "core/err.h"
#include <stdbool.h>
#include <stddef.h>

enum opt_kind {
    OPT_FLAG,    /* bool */
    OPT_STRING,  /* const char *: points into argv */
    OPT_NUMBER,  /* long, 0 or more */
    OPT_SECONDS, /* int, milliseconds: "5", "1.5", "2s", "500ms", "3m", "1h" */
    OPT_LIST,    /* struct opt_list: each use adds one */
    OPT_FORMAT,  /* bool: "json" sets it, "table" clears it */
};

struct opt_list {
    const char **items;
    size_t n;
    size_t cap;
};

struct opt {
    char letter;      /* 0: none */
    const char *name; /* NULL ends a table */
    enum opt_kind kind;
    size_t offset;     /* of the value in the command's struct */
    const char *value; /* what help calls the value; NULL for a flag */
    const char *help;
};

#define OPT_END                                                                                                \
    {                                                                                                          \
        0                                                                                                      \
    }
#define OPT_JSON(type, field)                                                                                  \
    {                                                                                                          \
        'o', "output", OPT_FORMAT, offsetof(type, field), "FORMAT", "table (default) or json"                  \
    }

/* One table with the struct that its values go to. */
struct opt_set {
    const struct opt *opts; /* NULL: none */
    void *values;
};

struct opt_parse {
    struct opt_set sets[2]; /* looked up in this order */
    bool
        in_order; /* options end at the first word that is none: what follows belongs to a command of the user's */
};

/*
 * Sorts the words that are no options to the front of argv and returns their number; argv[0] is a word like the others.
 * A negative errno with INVALID_ARGUMENT names the option and what it wants. `--help` and `-h` are the caller's to define.
 */
int opt_parse(const struct opt_parse *p, int argc, char **argv, struct err *err) must_check;

/* "2s" and the like to milliseconds, at most one day; -EINVAL otherwise. */
int opt_seconds(const char *s, int *ret_ms) must_check;
void opt_list_done(struct opt_list *l);
