/* What the rows of pods and containers share: JSON fields, lists of strings, lookups by id prefix. */
#pragma once
#include "core/err.h"
#include "core/kv.h"
#include <jansson.h>
#include <protobuf-c/protobuf-c.h>

/* Values of a row that was written by another version may be missing: they read as NULL and 0. */
char *record_string(const json_t *o, const char *key); /* a copy, or NULL */
int64_t record_int(const json_t *o, const char *key);
char **record_strings(const json_t *o, const char *key); /* NULL-terminated, or NULL; strings_free() */
json_t *record_array(char *const *strings);              /* NULL gives an empty array */

/* A NULL-terminated list of strings. */
void strings_free(char **list);
char **strings_dup(char *const *list, size_t n);

/* Packs a message into memory that the caller frees. */
void *message_pack(const ProtobufCMessage *m, size_t *ret_len);

/* Fills a kv_list from a protobuf map, whose generated entry types all have this shape. */
struct map_entry {
    ProtobufCMessage base;
    char *key;
    char *value;
};
void kv_of_map(struct kv_list *l, void *entries, size_t n);
