#include "core/json_doc.h"
#include "core/mem.h"
#include "core/quote.h"

#include <string.h>

/*
 * Counts what will become nodes and how deep they nest, before anything is allocated: three bytes "[]," become more than
 * a hundred bytes of tree, so that a limit on the text alone would let 4 MiB grow to hundreds.
 */
static int check_shape(const char *what, const char *text, size_t len, struct err *err)
{
    size_t values = 0;
    int depth = 0;
    bool quoted = false;

    for (size_t i = 0; i < len; i++) {
        char c = text[i];
        if (quoted) {
            if (c == '\\')
                i++;
            else if (c == '"')
                quoted = false;
            continue;
        }
        if (c == '"')
            quoted = true;
        else if (c == '{' || c == '[')
            depth++, values++;
        else if (c == '}' || c == ']')
            depth--;
        else if (c == ',')
            values++;
        if (depth > JSON_DOC_DEPTH_MAX)
            return err_set(err, GRPC_INVALID_ARGUMENT, 0, "%s nests deeper than %d levels; it cannot be read",
                           what, JSON_DOC_DEPTH_MAX);
        if (values > JSON_DOC_VALUES_MAX)
            return err_set(err, GRPC_INVALID_ARGUMENT, 0, "%s has more than %d values; it cannot be read", what,
                           JSON_DOC_VALUES_MAX);
    }
    return 0;
}

int json_doc_load(const char *what, const char *text, size_t len, size_t max, json_t **ret_json,
                  struct err *err)
{
    json_error_t at;

    if (len > max)
        return err_set(err, GRPC_INVALID_ARGUMENT, 0, "%s has %zu bytes; at most %zu can be read", what, len,
                       max);
    int r = check_shape(what, text, len, err);
    if (r < 0)
        return r;
    json_t *json = json_loadb(text, len, JSON_REJECT_DUPLICATES, &at);
    if (!json)
        return err_set(err, GRPC_INVALID_ARGUMENT, 0, "%s is not valid JSON: line %d, column %d: %s", what,
                       at.line, at.column, QUOTED(at.text));
    *ret_json = json;
    return 0;
}

static const char *kind_name(const json_t *v)
{
    static const char *const names[] = {
        [JSON_OBJECT] = "an object", [JSON_ARRAY] = "an array",  [JSON_STRING] = "a string",
        [JSON_INTEGER] = "a number", [JSON_REAL] = "a fraction", [JSON_TRUE] = "true",
        [JSON_FALSE] = "false",      [JSON_NULL] = "null",
    };
    return names[json_typeof(v)];
}

static int wrong_kind(const json_t *v, const char *what, const char *key, const char *want, struct err *err)
{
    return err_set(err, GRPC_INVALID_ARGUMENT, 0, "%s%s%s is %s; it must be %s", what, key ? ": " : "",
                   key ? key : "", kind_name(v), want);
}

/* The member, or NULL where it is absent or null. */
static const json_t *member(const json_t *object, const char *key)
{
    const json_t *v = key ? json_object_get(object, key) : object;
    return v && !json_is_null(v) ? v : NULL;
}

int json_doc_object(const json_t *object, const char *what, const char *key, const json_t **ret_object,
                    struct err *err)
{
    const json_t *v = member(object, key);

    if (v && !json_is_object(v))
        return wrong_kind(v, what, key, "an object", err);
    *ret_object = v;
    return 0;
}

int json_doc_array(const json_t *object, const char *what, const char *key, size_t max,
                   const json_t **ret_array, struct err *err)
{
    const json_t *v = member(object, key);

    if (v && !json_is_array(v))
        return wrong_kind(v, what, key, "an array", err);
    if (v && json_array_size(v) > max)
        return err_set(err, GRPC_INVALID_ARGUMENT, 0, "%s%s%s has %zu items; at most %zu are supported", what,
                       key ? ": " : "", key ? key : "", json_array_size(v), max);
    *ret_array = v;
    return 0;
}

int json_doc_text(const json_t *object, const char *what, const char *key, size_t max, const char **ret_text,
                  struct err *err)
{
    const json_t *v = member(object, key);

    if (v && !json_is_string(v))
        return wrong_kind(v, what, key, "a string", err);
    if (v && json_string_length(v) > max)
        return err_set(err, GRPC_INVALID_ARGUMENT, 0, "%s%s%s has %zu bytes; at most %zu are supported", what,
                       key ? ": " : "", key ? key : "", json_string_length(v), max);
    *ret_text = v ? json_string_value(v) : NULL;
    return 0;
}

int json_doc_number(const json_t *object, const char *what, const char *key, uint64_t max, bool *ret_there,
                    uint64_t *ret_number, struct err *err)
{
    const json_t *v = member(object, key);

    if (v && !json_is_integer(v))
        return wrong_kind(v, what, key, "a whole number", err);
    if (v && (json_integer_value(v) < 0 || (uint64_t)json_integer_value(v) > max))
        return err_set(err, GRPC_INVALID_ARGUMENT, 0, "%s%s%s is %lld; it must be from 0 to %llu", what,
                       key ? ": " : "", key ? key : "", (long long)json_integer_value(v),
                       (unsigned long long)max);
    *ret_there = v != NULL;
    *ret_number = v ? (uint64_t)json_integer_value(v) : 0;
    return 0;
}

int json_doc_texts(const json_t *object, const char *what, const char *key, size_t max_items, size_t max_bytes,
                   char ***ret_list, size_t *ret_n, struct err *err)
{
    const json_t *array = NULL, *item;
    size_t i;

    int r = json_doc_array(object, what, key, max_items, &array, err);
    if (r < 0)
        return r;
    char **list = mem_alloc((json_array_size(array) + 1) * sizeof(*list));
    json_array_foreach (array, i, item) {
        const char *text = json_string_value(item);
        if (!text) {
            r = err_set(err, GRPC_INVALID_ARGUMENT, 0, "%s: %s: item %zu is %s; it must be a string", what, key,
                        i, kind_name(item));
            break;
        }
        if (json_string_length(item) > max_bytes) {
            r = err_set(err, GRPC_INVALID_ARGUMENT, 0,
                        "%s: %s: item %zu has %zu bytes; at most %zu are supported", what, key, i,
                        json_string_length(item), max_bytes);
            break;
        }
        list[i] = mem_strdup(text);
    }
    if (r < 0) {
        text_list_free(list);
        return r;
    }
    *ret_n = json_array_size(array);
    *ret_list = list;
    return 0;
}

void text_list_free(char **list)
{
    for (size_t i = 0; list && list[i]; i++)
        free(list[i]);
    free(list);
}
