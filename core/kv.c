#include "core/kv.h"
#include "core/mem.h"

#include <string.h>

static struct kv *find(const struct kv_list *l, const char *key)
{
    for (size_t i = 0; i < l->n; i++)
        if (strcmp(l->items[i].key, key) == 0)
            return &l->items[i];
    return NULL;
}

void kv_set(struct kv_list *l, const char *key, const char *value)
{
    struct kv *kv = find(l, key);

    if (kv) {
        char *copy = mem_strdup(value);
        free(kv->value);
        kv->value = copy;
        return;
    }
    l->items = mem_grow(l->items, &l->cap, l->n + 1, sizeof(*l->items));
    l->items[l->n++] = (struct kv){mem_strdup(key), mem_strdup(value)};
}

const char *kv_get(const struct kv_list *l, const char *key)
{
    struct kv *kv = find(l, key);
    return kv ? kv->value : NULL;
}

bool kv_contains_all(const struct kv_list *l, const struct kv_list *want)
{
    for (size_t i = 0; i < want->n; i++) {
        const char *value = kv_get(l, want->items[i].key);
        if (!value || strcmp(value, want->items[i].value) != 0)
            return false;
    }
    return true;
}

void kv_done(struct kv_list *l)
{
    for (size_t i = 0; i < l->n; i++) {
        free(l->items[i].key);
        free(l->items[i].value);
    }
    free(l->items);
    *l = (struct kv_list){0};
}
