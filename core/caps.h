/* Capability names and the sets that a container's process gets. Source: capabilities(7), linux/capability.h. */
#pragma once
#include "core/err.h"
#include <stdbool.h>
#include <stdint.h>

#define CAP_BIT(n) (UINT64_C(1) << (n))

/* "CAP_X" or "X", in any case; -1 when there is no such capability. */
int cap_number(const char *name);
/* "CAP_CHOWN"; NULL past the last that is known. */
const char *cap_name(int number);
/* Every capability that has a name here. */
uint64_t caps_all(void);

struct caps_request {        /* lists are NULL-terminated, NULL: none */
    const char *const *base; /* the configured default set */
    const char *const *add, *const *drop, *const *ambient;
    uint64_t bounding; /* what we hold ourselves: no set goes beyond it */
    bool privileged;   /* all of bounding, whatever the lists say */
};

struct caps_sets {
    uint64_t permitted; /* also effective and bounding */
    uint64_t ambient;   /* also inheritable: the kernel demands it */
};

/*
 * "ALL" in add makes the base all, in drop nothing; drop's wins. Then the others of add go in and the others of drop go out.
 * INVALID_ARGUMENT names an unknown capability. What is known but not in bounding is left out.
 */
int caps_resolve(const struct caps_request *r, struct caps_sets *ret_sets, struct err *err) must_check;
