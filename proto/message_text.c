#include "proto/message_text.h"
#include "core/mem.h"
#include "core/utf8.h"

#include <stdlib.h>

/* Hears of each string; false ends the walk. */
typedef bool visit_fn(char *s, const char *field, void *data);

static bool walk(const ProtobufCMessage *m, visit_fn *visit, void *data);

static bool walk_value(const ProtobufCFieldDescriptor *f, const void *value, visit_fn *visit, void *data)
{
    void *p = *(void *const *)value;

    if (!p)
        return true;
    return f->type == PROTOBUF_C_TYPE_STRING ? visit(p, f->name, data) : walk(p, visit, data);
}

static bool walk_field(const ProtobufCMessage *m, const ProtobufCFieldDescriptor *f, visit_fn *visit,
                       void *data)
{
    const char *at = (const char *)m + f->offset;
    const char *quantifier = (const char *)m + f->quantifier_offset;

    if (f->type != PROTOBUF_C_TYPE_STRING && f->type != PROTOBUF_C_TYPE_MESSAGE)
        return true;
    if (f->label == PROTOBUF_C_LABEL_REPEATED) {
        size_t n = *(const size_t *)(const void *)quantifier;
        void *const *items = *(void *const *const *)(const void *)at;
        for (size_t i = 0; i < n; i++)
            if (!walk_value(f, &items[i], visit, data))
                return false;
        return true;
    }
    /* of a oneof, only the member that is set owns the union */
    if ((f->flags & PROTOBUF_C_FIELD_FLAG_ONEOF) && *(const uint32_t *)(const void *)quantifier != f->id)
        return true;
    return walk_value(f, at, visit, data);
}

static bool walk(const ProtobufCMessage *m, visit_fn *visit, void *data)
{
    for (unsigned i = 0; i < m->descriptor->n_fields; i++)
        if (!walk_field(m, &m->descriptor->fields[i], visit, data))
            return false;
    return true;
}

static bool check(char *s, const char *field, void *data)
{
    const char **bad = data;

    if (utf8_is_valid(s))
        return true;
    *bad = field;
    return false;
}

static bool repair(char *s, const char *field, void *data)
{
    (void)field;
    (void)data;
    if (!utf8_is_valid(s)) /* a default value is a constant, and valid */
        utf8_repair(s);
    return true;
}

bool message_text_is_valid(const ProtobufCMessage *m, const char **ret_field)
{
    const char *bad = NULL;

    if (walk(m, check, &bad))
        return true;
    if (ret_field)
        *ret_field = bad;
    return false;
}

void message_text_repair(ProtobufCMessage *m)
{
    walk(m, repair, NULL);
}

static uint8_t *pack_as_is(const ProtobufCMessage *m, size_t room, size_t max, size_t *ret_n)
{
    size_t n = protobuf_c_message_get_packed_size(m);

    *ret_n = n;
    if (n > max)
        return NULL;
    uint8_t *bytes = mem_alloc(room + n);
    protobuf_c_message_pack(m, bytes + room);
    return bytes;
}

/* Repairs a copy: a string keeps its length, so that the size stays what it was. */
uint8_t *message_text_pack(const ProtobufCMessage *m, size_t room, size_t max, size_t *ret_n)
{
    uint8_t *bytes = pack_as_is(m, room, max, ret_n);

    if (!bytes || message_text_is_valid(m, NULL))
        return bytes;
    ProtobufCMessage *copy = protobuf_c_message_unpack(m->descriptor, NULL, *ret_n, bytes + room);
    if (!copy)
        abort(); /* of our own bytes: out of memory */
    message_text_repair(copy);
    protobuf_c_message_pack(copy, bytes + room);
    protobuf_c_message_free_unpacked(copy, NULL);
    return bytes;
}
