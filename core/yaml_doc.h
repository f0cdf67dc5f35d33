/*
 * A YAML file from the node's administrator, as libyaml's tree of nodes that know their lines. What YAML allows and a
 * configuration never needs is refused here, once for all readers: several documents, aliases, repeated keys, keys that are
 * no text, NUL characters, deep nesting. All errors are INVALID_ARGUMENT "FILE:LINE: ..." but those of reading the file.
 */
#pragma once
#include "core/err.h"
#include <stdbool.h>
#include <stddef.h>
#include <yaml.h>

enum {
    YAML_DOC_DEPTH_MAX = 16,
    YAML_DOC_KEYS_MAX = 1000, /* of one mapping */
    YAML_DOC_TEXT_MAX = 4096, /* bytes of one scalar */
};

struct yaml_doc {
    char *name; /* the file, for messages */
    char *text;
    size_t len;
    yaml_document_t tree;
    bool loaded;
    yaml_node_t *root; /* a mapping; NULL where the file says nothing at all */
};

/* NOT_FOUND where there is no such file. */
int yaml_doc_open(struct yaml_doc *d, const char *path, size_t max, struct err *err) must_check;
int yaml_doc_parse(struct yaml_doc *d, const char *text, size_t len, const char *name,
                   struct err *err) must_check;
void yaml_doc_done(struct yaml_doc *d);
#define cleanup_yaml_doc cleanup_with(yaml_doc_done)

/* Iteration: the i-th pair or item, false past the end. Keys are text. */
bool yaml_doc_pair(struct yaml_doc *d, const yaml_node_t *mapping, size_t i, const char **ret_key,
                   yaml_node_t **ret_value);
yaml_node_t *yaml_doc_item(struct yaml_doc *d, const yaml_node_t *sequence, size_t i); /* NULL past the end */
/* The value of a key; NULL where absent. */
yaml_node_t *yaml_doc_value(struct yaml_doc *d, const yaml_node_t *mapping, const char *key);

const char *yaml_node_text(const yaml_node_t *node); /* NULL unless it is a scalar */
size_t yaml_node_line(const yaml_node_t *node);      /* from 1 */
const char *yaml_node_kind(const yaml_node_t *node); /* "text", "a list", "a mapping" */

/* "FILE:LINE: ..." with the line of node; NULL: without a line. */
int yaml_doc_error(const struct yaml_doc *d, const yaml_node_t *node, struct err *err, const char *fmt, ...)
    printf_like(4, 5);
