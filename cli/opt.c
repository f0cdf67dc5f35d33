#include "cli/opt.h"
#include "core/mem.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

enum { DAY_MS = 86400 * 1000 };

static const struct {
    const char *suffix;
    double ms;
} units[] = {{"", 1000}, {"s", 1000}, {"ms", 1}, {"m", 60e3}, {"h", 3600e3}};

int opt_seconds(const char *s, int *ret_ms)
{
    char *end;
    double v = strtod(s, &end);

    if (end == s || !(v >= 0) || (*s != '.' && (*s < '0' || *s > '9')))
        return -EINVAL;
    for (size_t i = 0; i < countof(units); i++)
        if (!strcmp(end, units[i].suffix)) {
            if (v * units[i].ms > DAY_MS)
                return -EINVAL;
            *ret_ms = (int)(v * units[i].ms + 0.5);
            return 0;
        }
    return -EINVAL;
}

void opt_list_done(struct opt_list *l)
{
    free(l->items);
    *l = (struct opt_list){0};
}

static int set_number(const char *value, long *ret)
{
    char *end;

    errno = 0;
    long n = strtol(value, &end, 10);
    if (end == value || *end || errno || n < 0)
        return -EINVAL;
    *ret = n;
    return 0;
}

static int set_format(const char *value, bool *ret)
{
    if (strcmp(value, "json") && strcmp(value, "table"))
        return -EINVAL;
    *ret = !strcmp(value, "json");
    return 0;
}

static const char *wanted(enum opt_kind kind)
{
    switch (kind) {
    case OPT_NUMBER:
        return "a number, 0 or more";
    case OPT_SECONDS:
        return "a time such as 5, 1.5s, 500ms, 2m or 1h, a day at most";
    case OPT_FORMAT:
        return "json or table";
    default:
        return "another value";
    }
}

static int store(const struct opt *o, void *values, const char *value, struct err *err)
{
    void *at = (char *)values + o->offset;
    int rc = 0;

    switch (o->kind) {
    case OPT_FLAG:
        *(bool *)at = true;
        break;
    case OPT_STRING:
        *(const char **)at = value;
        break;
    case OPT_NUMBER:
        rc = set_number(value, at);
        break;
    case OPT_SECONDS:
        rc = opt_seconds(value, at);
        break;
    case OPT_FORMAT:
        rc = set_format(value, at);
        break;
    case OPT_LIST: {
        struct opt_list *l = at;
        l->items = mem_grow(l->items, &l->cap, l->n + 1, sizeof(*l->items));
        l->items[l->n++] = value;
        break;
    }
    }
    if (rc < 0)
        return err_set(err, GRPC_INVALID_ARGUMENT, 0, "--%s wants %s, not \"%s\"", o->name, wanted(o->kind),
                       value);
    return 0;
}

static const struct opt *find(const struct opt_parse *p, char letter, const char *name, size_t len,
                              void **ret_values)
{
    for (size_t s = 0; s < countof(p->sets); s++)
        for (const struct opt *o = p->sets[s].opts; o && o->name; o++)
            if (name ? strlen(o->name) == len && !memcmp(o->name, name, len)
                     : o->letter && o->letter == letter) {
                *ret_values = p->sets[s].values;
                return o;
            }
    return NULL;
}

/* Takes the word after *i when the option's own word has no value. */
static int take(const struct opt *o, void *values, const char *value, int *i, int argc, char **argv,
                struct err *err)
{
    if (o->kind != OPT_FLAG && !value) {
        if (*i + 1 >= argc)
            return err_set(err, GRPC_INVALID_ARGUMENT, 0, "--%s needs a value: --%s %s", o->name, o->name,
                           o->value);
        value = argv[++*i];
    }
    return store(o, values, value, err);
}

static int parse_long(const struct opt_parse *p, int *i, int argc, char **argv, struct err *err)
{
    const char *name = argv[*i] + 2, *eq = strchr(name, '=');
    size_t len = eq ? (size_t)(eq - name) : strlen(name);
    void *values;
    const struct opt *o = find(p, 0, name, len, &values);

    if (!o)
        return err_set(err, GRPC_INVALID_ARGUMENT, 0, "there is no option --%.*s", (int)len, name);
    if (eq && o->kind == OPT_FLAG)
        return err_set(err, GRPC_INVALID_ARGUMENT, 0, "--%s takes no value", o->name);
    return take(o, values, eq ? eq + 1 : NULL, i, argc, argv, err);
}

static int parse_short(const struct opt_parse *p, int *i, int argc, char **argv, struct err *err)
{
    for (const char *c = argv[*i] + 1; *c; c++) {
        void *values;
        const struct opt *o = find(p, *c, NULL, 0, &values);
        int rc;

        if (!o)
            return err_set(err, GRPC_INVALID_ARGUMENT, 0, "there is no option -%c", *c);
        if (o->kind != OPT_FLAG)
            return take(o, values, c[1] ? c + 1 : NULL, i, argc, argv, err);
        if ((rc = store(o, values, NULL, err)) < 0)
            return rc;
    }
    return 0;
}

int opt_parse(const struct opt_parse *p, int argc, char **argv, struct err *err)
{
    int words = 0;

    for (int i = 0; i < argc; i++) {
        char *a = argv[i];
        bool all_words = p->in_order && words;
        int rc = 0;

        if (!strcmp(a, "--") && !all_words) {
            while (++i < argc)
                argv[words++] = argv[i];
            break;
        }
        if (a[0] != '-' || !a[1] || all_words)
            argv[words++] = a;
        else
            rc = a[1] == '-' ? parse_long(p, &i, argc, argv, err) : parse_short(p, &i, argc, argv, err);
        if (rc < 0)
            return rc;
    }
    return words;
}
