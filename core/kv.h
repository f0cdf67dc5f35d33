/* An ordered list of string pairs: labels, annotations, sysctls, environment. */
#pragma once
#include "core/cleanup.h"
#include <stdbool.h>
#include <stddef.h>

struct kv {
    char *key;
    char *value;
};

struct kv_list {
    struct kv *items;
    size_t n;
    size_t cap;
};

void kv_set(struct kv_list *l, const char *key,
            const char *value); /* copies; replaces the value of a key that is there */
const char *kv_get(const struct kv_list *l, const char *key); /* NULL if absent */
bool kv_contains_all(const struct kv_list *l,
                     const struct kv_list *want); /* a label selector: every pair of want is in l */
void kv_done(struct kv_list *l);
