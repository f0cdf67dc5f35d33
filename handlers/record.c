#include "handlers/record.h"
#include "core/mem.h"

char *record_string(const json_t *o, const char *key)
{
    return mem_strdup(json_string_value(json_object_get(o, key)));
}

int64_t record_int(const json_t *o, const char *key)
{
    return json_integer_value(json_object_get(o, key));
}

char **record_strings(const json_t *o, const char *key)
{
    json_t *array = json_object_get(o, key), *item;
    size_t i, n = json_array_size(array);

    if (n == 0)
        return NULL;
    char **list = mem_alloc((n + 1) * sizeof(*list));
    json_array_foreach (array, i, item)
        list[i] = mem_strdup(json_string_value(item) ? json_string_value(item) : "");
    return list;
}

json_t *record_array(char *const *strings)
{
    json_t *array = json_array();

    for (size_t i = 0; strings && strings[i]; i++)
        json_array_append_new(array, json_string(strings[i]));
    return array;
}

void strings_free(char **list)
{
    for (size_t i = 0; list && list[i]; i++)
        free(list[i]);
    free(list);
}

char **strings_dup(char *const *list, size_t n)
{
    char **copy = mem_alloc((n + 1) * sizeof(*copy));

    for (size_t i = 0; i < n; i++)
        copy[i] = mem_strdup(list[i]);
    return copy;
}

void *message_pack(const ProtobufCMessage *m, size_t *ret_len)
{
    size_t n = protobuf_c_message_get_packed_size(m);
    void *p = mem_alloc(n);

    protobuf_c_message_pack(m, p);
    *ret_len = n;
    return p;
}

void kv_of_map(struct kv_list *l, void *entries, size_t n)
{
    struct map_entry **e = entries;

    for (size_t i = 0; i < n; i++)
        kv_set(l, e[i]->key, e[i]->value);
}
