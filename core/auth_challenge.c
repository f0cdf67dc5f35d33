#include "core/auth_challenge.h"
#include "core/buf.h"
#include "core/json_doc.h"
#include "core/mem.h"
#include "core/quote.h"

#include <string.h>
#include <strings.h>

/* Where the reading of a header stands. */
struct cursor {
    const char *at;
    const char *header; /* for messages */
};

static bool is_token_char(char c)
{
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
           (c && strchr("!#$%&'*+-.^_`|~", c));
}

static bool is_token68_char(char c)
{
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
           (c && strchr("-._~+/", c));
}

static char lower(char c)
{
    return c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
}

static void skip_space(struct cursor *c)
{
    while (*c->at == ' ' || *c->at == '\t')
        c->at++;
}

/* An empty list element is legal: ", ,a=b". */
static void skip_commas(struct cursor *c)
{
    for (skip_space(c); *c->at == ','; skip_space(c))
        c->at++;
}

static int refuse(const struct cursor *c, const char *why, struct err *err)
{
    return err_set(err, GRPC_INVALID_ARGUMENT, 0,
                   "WWW-Authenticate header: %s at byte %zu of %s; the registry is faulty", why,
                   (size_t)(c->at - c->header), QUOTED(c->header));
}

/* A token in lower case; NULL where none stands. */
static char *take_token(struct cursor *c)
{
    const char *start = c->at;

    while (is_token_char(*c->at))
        c->at++;
    if (c->at == start)
        return NULL;
    char *token = mem_strndup(start, (size_t)(c->at - start));
    for (char *p = token; *p; p++)
        *p = lower(*p);
    return token;
}

static int take_quoted(struct cursor *c, char **ret_value, struct err *err)
{
    struct buf value = {0};

    for (c->at++; *c->at != '"'; c->at++) {
        if (*c->at == '\\' && c->at[1])
            c->at++;
        if (!*c->at || ((unsigned char)*c->at < 0x20 && *c->at != '\t') || *c->at == 0x7f) {
            buf_done(&value);
            return refuse(c, *c->at ? "a control character" : "a quoted string without an end", err);
        }
        buf_add(&value, c->at, 1);
    }
    c->at++;
    *ret_value = buf_steal(&value);
    return 0;
}

/*
 * An unquoted value. More than a token is let through, up to the next comma or blank: registries send realm=https://host/token
 * without quotes, and every client takes it.
 */
static int take_bare(struct cursor *c, char **ret_value, struct err *err)
{
    size_t n = strcspn(c->at, ", \t\"");

    for (size_t i = 0; i < n; i++)
        if ((unsigned char)c->at[i] <= 0x20 || c->at[i] == 0x7f)
            return refuse(c, "a control character", err);
    if (n == 0)
        return refuse(c, "a parameter without a value", err);
    *ret_value = mem_strndup(c->at, n);
    c->at += n;
    return 0;
}

/* Whether NAME = VALUE stands here, rather than the next scheme. */
static bool param_ahead(const struct cursor *c)
{
    struct cursor look = *c;

    while (is_token_char(*look.at))
        look.at++;
    if (look.at == c->at)
        return false;
    skip_space(&look);
    return *look.at == '=';
}

static int take_param(struct cursor *c, struct auth_challenge *ch, struct err *err)
{
    char *cleanup_free name = take_token(c), *cleanup_free value = NULL;

    if (ch->params.n >= AUTH_PARAMS_MAX)
        return refuse(c, "more parameters than any challenge has", err);
    if (kv_get(&ch->params, name))
        return refuse(c, "a parameter that was there before", err);
    skip_space(c);
    c->at++; /* '=' */
    skip_space(c);
    int r = *c->at == '"' ? take_quoted(c, &value, err) : take_bare(c, &value, err);
    if (r == 0)
        kv_set(&ch->params, name, value);
    return r;
}

/* token68 is told from a parameter by what follows its '=' signs: nothing, or the end of the element. */
static bool take_token68(struct cursor *c, struct auth_challenge *ch)
{
    struct cursor look = *c;

    while (is_token68_char(*look.at))
        look.at++;
    if (look.at == c->at)
        return false;
    while (*look.at == '=')
        look.at++;
    const char *end = look.at;
    skip_space(&look);
    if (*look.at && *look.at != ',')
        return false;
    ch->token68 = mem_strndup(c->at, (size_t)(end - c->at));
    c->at = end;
    return true;
}

static int take_params(struct cursor *c, struct auth_challenge *ch, struct err *err)
{
    while (param_ahead(c)) {
        int r = take_param(c, ch, err);
        if (r < 0)
            return r;
        skip_space(c);
        if (!*c->at)
            return 0;
        if (*c->at != ',')
            return refuse(c, "no comma behind a parameter", err);
        skip_commas(c);
    }
    return 0;
}

static void challenge_done(struct auth_challenge *ch)
{
    free(ch->scheme);
    free(ch->token68);
    kv_done(&ch->params);
}

static int take_challenge(struct cursor *c, struct auth_challenge *ch, struct err *err)
{
    ch->scheme = take_token(c);
    if (!ch->scheme)
        return refuse(c, "no authentication scheme", err);
    if (!*c->at || *c->at == ',')
        return 0;
    if (*c->at != ' ' && *c->at != '\t')
        return refuse(c, "no blank behind the scheme", err);
    skip_space(c);
    if (!*c->at || *c->at == ',' || take_token68(c, ch))
        return 0;
    if (!param_ahead(c))
        return refuse(c, "neither a parameter nor a token behind the scheme", err);
    return take_params(c, ch, err);
}

static int take_all(struct cursor *c, struct auth_challenges *l, struct err *err)
{
    for (skip_commas(c); *c->at; skip_commas(c)) {
        if (l->n >= AUTH_CHALLENGES_MAX)
            return refuse(c, "more challenges than can be handled", err);
        l->items = mem_grow(l->items, &l->cap, l->n + 1, sizeof(*l->items));
        int r = take_challenge(c, &l->items[l->n++], err);
        if (r < 0)
            return r;
    }
    return 0;
}

static void truncate_to(struct auth_challenges *l, size_t n)
{
    while (l->n > n) {
        challenge_done(&l->items[--l->n]);
        l->items[l->n] = (struct auth_challenge){0};
    }
}

int auth_challenges_add(struct auth_challenges *l, const char *header, struct err *err)
{
    struct cursor c = {header, header};
    size_t before = l->n;

    if (strlen(header) > AUTH_HEADER_MAX)
        return err_set(err, GRPC_INVALID_ARGUMENT, 0,
                       "WWW-Authenticate header has %zu bytes; at most %d can be read", strlen(header),
                       AUTH_HEADER_MAX);
    int r = take_all(&c, l, err);
    if (r < 0)
        truncate_to(l, before);
    return r;
}

void auth_challenges_done(struct auth_challenges *l)
{
    truncate_to(l, 0);
    free(l->items);
    *l = (struct auth_challenges){0};
}

const struct auth_challenge *auth_challenge_find(const struct auth_challenges *l, const char *scheme)
{
    for (size_t i = 0; i < l->n; i++)
        if (strcmp(l->items[i].scheme, scheme) == 0)
            return &l->items[i];
    return NULL;
}

const char *auth_challenge_param(const struct auth_challenge *c, const char *name)
{
    return kv_get(&c->params, name);
}
