/* From what a person types (an id, the start of one, a name) to a pod or container. */
#pragma once
#include "cli/cli.h"
#include "core/ids.h"

struct candidate {
    const char *id;
    const char *name;
    bool alive; /* running or ready: preferred among several of one name */
};

/*
 * The one that key means: the full id, else the name, else the unique start of an id. Of several with one name the only
 * live one; when that does not decide either, INVALID_ARGUMENT lists them. NOT_FOUND otherwise. kind: "container".
 */
int resolve_pick(const struct candidate *c, size_t n, const char *kind, const char *key, size_t *ret_index,
                 struct err *err) must_check;

enum target_kind { TARGET_CONTAINER = 1, TARGET_POD = 2 };

struct target {
    enum target_kind kind;
    char id[128];
    char name[256];
    char pod_id[128]; /* of a container */
    char run_uid[64]; /* of a pod that `cricket run` made, or of such a pod's container; else empty */
    bool running;
};

/* kinds: which to look for. A name that both a pod and its container have means the first of the two in `prefer`. */
int resolve_target(struct cli *cli, const char *key, int kinds, enum target_kind prefer, struct target *ret,
                   struct err *err) must_check;

/* The label by which pods of `cricket run` are known; its value is the pod's uid. */
#define RUN_LABEL "io.cricket.run"
