/*
 * The keys by which a person leaves an attached container without ending it: "ctrl-p,ctrl-q", as docker writes them. Pure.
 * What may be their beginning is held back until the next key decides.
 */
#pragma once
#include "core/err.h"
#include <stdbool.h>
#include <stddef.h>

#define DETACH_KEYS_DEFAULT "ctrl-p,ctrl-q"

enum { DETACH_KEYS_MAX = 16 };

struct detach_keys {
    unsigned char keys[DETACH_KEYS_MAX];
    size_t n;    /* 0: there are none */
    size_t held; /* of the keys, seen and held back */
};

/*
 * Keys are single characters or ctrl- with a to z, @, [, \, ], ^ or _, with commas between; "" means none. Errors
 * (INVALID_ARGUMENT) name the key.
 */
int detach_keys_parse(const char *text, struct detach_keys *ret, struct err *err) must_check;

/*
 * What of n typed bytes is for the container: *ret_n bytes in ret, which has room for n + DETACH_KEYS_MAX. True: the whole
 * sequence was typed; what came before it is in ret, what came after it is dropped.
 */
bool detach_keys_filter(struct detach_keys *k, const void *typed, size_t n, unsigned char *ret, size_t *ret_n);
