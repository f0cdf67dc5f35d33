/* Tokens of registries that are good still, by what was asked to get them: at most 64. */
#pragma once
#include <stdint.h>

struct token_cache {
    struct cached_token *first; /* the latest */
};

/* The Authorization, good until the next call; NULL: none that is good. */
const char *token_cache_find(struct token_cache *c, const char *key, int64_t now_us);
/* In the place of an earlier one. For nine tenths of the seconds: not used in its last moment. Copies. */
void token_cache_keep(struct token_cache *c, const char *key, const char *authorization, unsigned seconds,
                      int64_t now_us);
void token_cache_done(struct token_cache *c);
