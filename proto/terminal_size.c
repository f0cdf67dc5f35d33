#include "proto/terminal_size.h"
#include "core/json_doc.h"

#include <string.h>
#include <strings.h>

static int take_number(const json_t *v, const char *key, uint16_t *ret_number, struct err *err)
{
    uint64_t number;
    bool there;

    int r = json_doc_number(v, "terminal size", NULL, UINT16_MAX, &there, &number, err);
    if (r < 0)
        return err_wrap(err, "%s", key);
    *ret_number = (uint16_t)number;
    return 0;
}

static int parse(const char *text, size_t n, struct terminal_size *ret_size, struct err *err)
{
    json_t *cleanup_json doc = NULL;
    struct terminal_size size = {0};
    const json_t *object;
    const char *key;
    json_t *v;

    int r = json_doc_load("terminal size", text, n, TERMINAL_SIZE_BYTES_MAX, &doc, err);
    if (r == 0)
        r = json_doc_object(doc, "terminal size", NULL, &object, err);
    if (r < 0)
        return r;
    json_object_foreach (doc, key, v) {
        if (strcasecmp(key, "Width") == 0)
            r = take_number(v, "Width", &size.width, err);
        else if (strcasecmp(key, "Height") == 0)
            r = take_number(v, "Height", &size.height, err);
        if (r < 0)
            return r;
    }
    *ret_size = size;
    return 0;
}

/* An object of numbers ends at its first '}': nothing here nests. */
int terminal_size_read(struct terminal_size_reader *reader, const void *data, size_t n, bool *ret_there,
                       struct terminal_size *ret_size, struct err *err)
{
    const char *p = data, *end = p + n;
    struct terminal_size size = {0};
    bool there = false;
    int r;

    for (; p < end; p++) {
        if (reader->len == sizeof(reader->text)) {
            reader->len = 0;
            return err_set(err, GRPC_INVALID_ARGUMENT, 0,
                           "terminal size: more than %zu bytes without an end; send {\"Width\":W,\"Height\":H}",
                           sizeof(reader->text));
        }
        if (reader->len == 0 && (*p == ' ' || *p == '\n' || *p == '\r' || *p == '\t'))
            continue;
        reader->text[reader->len++] = *p;
        if (*p != '}')
            continue;
        r = parse(reader->text, reader->len, &size, err);
        reader->len = 0;
        if (r < 0)
            return r;
        there = true;
    }
    *ret_there = there;
    if (there)
        *ret_size = size;
    return 0;
}
