/* Between kv lists and protobuf maps, whose generated entry types all have the shape of struct map_entry (record.h). */
#pragma once
#include "core/kv.h"
#include "handlers/record.h"
#include "handlers/rpc.h"

#include <string.h>

/* Entries in the call's arena that point into the list. */
static inline void **map_of_kv(struct rpc *rpc, const struct kv_list *l,
                               const ProtobufCMessageDescriptor *entry)
{
    void **list = rpc_alloc(rpc, (l->n + 1) * sizeof(*list));
    char *entries = rpc_alloc(rpc, (l->n + 1) * entry->sizeof_message);

    for (size_t i = 0; i < l->n; i++) {
        struct map_entry *e = (struct map_entry *)(void *)(entries + i * entry->sizeof_message);
        protobuf_c_message_init(entry, e);
        e->key = l->items[i].key;
        e->value = l->items[i].value;
        list[i] = e;
    }
    return list;
}

#define MAP_OF_KV(rpc, message, field, list, entry_descriptor)                                                 \
    do {                                                                                                       \
        (message)->n_##field = (list)->n;                                                                      \
        (message)->field = (void *)map_of_kv(rpc, list, &(entry_descriptor));                                  \
    } while (0)

/* A label selector of a filter. */
static inline bool map_selects_entries(const struct kv_list *l, void *entries, size_t n)
{
    struct map_entry **e = entries;

    for (size_t i = 0; i < n; i++) {
        const char *value = kv_get(l, e[i]->key);
        if (!value || strcmp(value, e[i]->value) != 0)
            return false;
    }
    return true;
}
#define map_selects(list, entries, n) map_selects_entries(list, (void *)(entries), n)
