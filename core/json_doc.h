/*
 * JSON documents from outside (registries, images, archives): loaded within limits, read field by field with errors that
 * name the document and the field. `what` is that name: "manifest", "image config". JSON null counts as absent, because
 * Go's encoder writes empty lists and maps that way. All errors are INVALID_ARGUMENT.
 */
#pragma once
#include "core/err.h"
#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    JSON_DOC_DEPTH_MAX = 32,
    JSON_DOC_VALUES_MAX = 100000, /* a tree takes up to 50 times its text: this bounds it to about 10 MiB */
};

/* The root must be an object or an array, keys must not repeat. The caller does json_decref(). */
int json_doc_load(const char *what, const char *text, size_t len, size_t max, json_t **ret_json,
                  struct err *err) must_check;

/* key NULL stands for value itself. *ret_x is NULL where the field is absent; it lives as long as the document. */
int json_doc_object(const json_t *object, const char *what, const char *key, const json_t **ret_object,
                    struct err *err) must_check;
int json_doc_array(const json_t *object, const char *what, const char *key, size_t max,
                   const json_t **ret_array, struct err *err) must_check;
int json_doc_text(const json_t *object, const char *what, const char *key, size_t max, const char **ret_text,
                  struct err *err) must_check;
/* 0 to max; *ret_there false and *ret_number 0 where it is absent. */
int json_doc_number(const json_t *object, const char *what, const char *key, uint64_t max, bool *ret_there,
                    uint64_t *ret_number, struct err *err) must_check;

/* An array of strings, copied; NULL-terminated, never NULL, empty where the field is absent. The caller frees with text_list_free(). */
int json_doc_texts(const json_t *object, const char *what, const char *key, size_t max_items, size_t max_bytes,
                   char ***ret_list, size_t *ret_n, struct err *err) must_check;
void text_list_free(char **list);

#define cleanup_json cleanup_with(json_decrefp)
