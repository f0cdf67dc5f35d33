#include "core/token_cache.h"
#include "core/mem.h"

#include <string.h>

enum { TOKENS_MAX = 64 };

struct cached_token {
    struct cached_token *next;
    char *key, *authorization;
    int64_t good_until_us;
};

static void drop(struct cached_token **p)
{
    struct cached_token *t = *p;

    *p = t->next;
    free(t->key);
    free(t->authorization);
    free(t);
}

/* Those that are not good any more go on the way. */
static struct cached_token **find(struct token_cache *c, const char *key, int64_t now_us)
{
    struct cached_token **p = &c->first;

    while (*p) {
        if ((*p)->good_until_us <= now_us)
            drop(p);
        else if (strcmp((*p)->key, key) == 0)
            return p;
        else
            p = &(*p)->next;
    }
    return NULL;
}

const char *token_cache_find(struct token_cache *c, const char *key, int64_t now_us)
{
    struct cached_token **t = find(c, key, now_us);

    return t ? (*t)->authorization : NULL;
}

void token_cache_keep(struct token_cache *c, const char *key, const char *authorization, unsigned seconds,
                      int64_t now_us)
{
    struct cached_token **old = find(c, key, now_us);
    size_t n = 0;

    if (old)
        drop(old);
    for (struct cached_token **p = &c->first; *p; p = &(*p)->next)
        if (++n >= TOKENS_MAX) {
            drop(p);
            break;
        }
    struct cached_token *t = mem_new(struct cached_token);
    *t = (struct cached_token){
        .next = c->first,
        .key = mem_strdup(key),
        .authorization = mem_strdup(authorization),
        .good_until_us = now_us + (int64_t)(seconds - seconds / 10) * 1000000,
    };
    c->first = t;
}

void token_cache_done(struct token_cache *c)
{
    while (c->first)
        drop(&c->first);
}
