#include "cli/json.h"
#include "cli/format.h"
#include "core/buf.h"
#include "core/mem.h"

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

enum { NAME_MAX_LEN = 128, DEPTH_MAX = 32 };

/* "log_path" is "logPath", "CDI_devices" "CDIDevices", "uidMappings" stays. */
static void camel(const char *name, char ret[static NAME_MAX_LEN])
{
    size_t n = 0;
    bool up = false;

    for (; *name && n + 1 < NAME_MAX_LEN; name++) {
        if (*name == '_') {
            up = true;
            continue;
        }
        ret[n++] = up && *name >= 'a' && *name <= 'z' ? (char)(*name - 32) : *name;
        up = false;
    }
    ret[n] = 0;
}

/* Text that is no UTF-8 gets a '?' for each byte above 127: JSON cannot hold it. */
static json_t *text(const char *s, size_t n)
{
    json_t *j = json_stringn(s, n);

    if (j)
        return j;
    cleanup_free char *copy = mem_strndup(s, n);
    for (size_t i = 0; i < n; i++)
        if ((unsigned char)copy[i] > 127)
            copy[i] = '?';
    return json_stringn_nocheck(copy, n);
}

static json_t *base64(const uint8_t *p, size_t n)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    cleanup_free char *s = mem_alloc(n / 3 * 4 + 5);
    size_t o = 0;

    for (size_t i = 0; i < n; i += 3) {
        uint32_t v =
            (uint32_t)p[i] << 16 | (i + 1 < n ? (uint32_t)p[i + 1] << 8 : 0) | (i + 2 < n ? p[i + 2] : 0);
        s[o++] = digits[v >> 18];
        s[o++] = digits[v >> 12 & 63];
        s[o++] = i + 1 < n ? digits[v >> 6 & 63] : '=';
        s[o++] = i + 2 < n ? digits[v & 63] : '=';
    }
    return json_stringn_nocheck(s, o);
}

static json_t *number_text(const char *fmt, ...) printf_like(1, 2);
static json_t *number_text(const char *fmt, ...)
{
    char s[32];
    va_list ap;

    va_start(ap, fmt);
    vsnprintf(s, sizeof(s), fmt, ap);
    va_end(ap);
    return json_string_nocheck(s);
}

static json_t *enum_name(const ProtobufCEnumDescriptor *d, int value)
{
    const ProtobufCEnumValue *v = protobuf_c_enum_descriptor_get_value(d, value);

    return v ? json_string_nocheck(v->name) : json_integer(value);
}

static json_t *real(double v)
{
    json_t *j = json_real(v);

    return j ? j : json_string_nocheck(v != v ? "NaN" : v > 0 ? "Infinity" : "-Infinity");
}

static json_t *message(const ProtobufCMessage *m, int flags, int depth);

static bool is_time(const char *name)
{
    return !strcmp(name, "created_at") || !strcmp(name, "started_at") || !strcmp(name, "finished_at");
}

static json_t *time_text(int64_t ns)
{
    char s[TIME_TEXT_SIZE];

    if (!ns)
        return json_string_nocheck("0001-01-01T00:00:00Z"); /* not yet: Go's zero time, as crictl shows it */
    format_time(ns, s);
    return json_string_nocheck(s);
}

/* One value of a field, at p. */
static json_t *value(const ProtobufCFieldDescriptor *f, const void *p, int flags, int depth)
{
    switch (f->type) {
    case PROTOBUF_C_TYPE_INT32:
    case PROTOBUF_C_TYPE_SINT32:
    case PROTOBUF_C_TYPE_SFIXED32:
        return json_integer(*(const int32_t *)p);
    case PROTOBUF_C_TYPE_UINT32:
    case PROTOBUF_C_TYPE_FIXED32:
        return json_integer(*(const uint32_t *)p);
    case PROTOBUF_C_TYPE_INT64:
    case PROTOBUF_C_TYPE_SINT64:
    case PROTOBUF_C_TYPE_SFIXED64:
        if ((flags & JSON_TIMES) && is_time(f->name))
            return time_text(*(const int64_t *)p);
        return number_text("%lld", (long long)*(const int64_t *)p);
    case PROTOBUF_C_TYPE_UINT64:
    case PROTOBUF_C_TYPE_FIXED64:
        return number_text("%llu", (unsigned long long)*(const uint64_t *)p);
    case PROTOBUF_C_TYPE_FLOAT:
        return real((double)*(const float *)p);
    case PROTOBUF_C_TYPE_DOUBLE:
        return real(*(const double *)p);
    case PROTOBUF_C_TYPE_BOOL:
        return json_boolean(*(const protobuf_c_boolean *)p);
    case PROTOBUF_C_TYPE_ENUM:
        return enum_name(f->descriptor, *(const int *)p);
    case PROTOBUF_C_TYPE_STRING: {
        const char *s = *(char *const *)p;
        return text(s ? s : "", s ? strlen(s) : 0);
    }
    case PROTOBUF_C_TYPE_BYTES: {
        const ProtobufCBinaryData *b = p;
        return base64(b->data, b->len);
    }
    case PROTOBUF_C_TYPE_MESSAGE: {
        const ProtobufCMessage *m = *(ProtobufCMessage *const *)p;
        return m ? message(m, flags, depth + 1) : json_null();
    }
    }
    return json_null();
}

static size_t value_size(ProtobufCType type)
{
    switch (type) {
    case PROTOBUF_C_TYPE_INT64:
    case PROTOBUF_C_TYPE_SINT64:
    case PROTOBUF_C_TYPE_SFIXED64:
    case PROTOBUF_C_TYPE_UINT64:
    case PROTOBUF_C_TYPE_FIXED64:
    case PROTOBUF_C_TYPE_DOUBLE:
        return 8;
    case PROTOBUF_C_TYPE_BOOL:
        return sizeof(protobuf_c_boolean);
    case PROTOBUF_C_TYPE_STRING:
    case PROTOBUF_C_TYPE_MESSAGE:
        return sizeof(void *);
    case PROTOBUF_C_TYPE_BYTES:
        return sizeof(ProtobufCBinaryData);
    default:
        return 4;
    }
}

/* protobuf-c keeps no mark of a map: its entries are messages "...Entry" with exactly the fields key and value. */
static bool is_map(const ProtobufCFieldDescriptor *f)
{
    if (f->type != PROTOBUF_C_TYPE_MESSAGE || f->label != PROTOBUF_C_LABEL_REPEATED)
        return false;
    const ProtobufCMessageDescriptor *d = f->descriptor;
    size_t n = strlen(d->name);
    return n > 5 && !strcmp(d->name + n - 5, "Entry") && d->n_fields == 2 &&
           !strcmp(d->fields[0].name, "key") && !strcmp(d->fields[1].name, "value");
}

static const void *field_at(const ProtobufCMessage *m, unsigned offset)
{
    return (const char *)m + offset;
}

static json_t *map_value(const ProtobufCFieldDescriptor *map, const ProtobufCFieldDescriptor *f, const void *p,
                         int flags, int depth)
{
    if ((flags & JSON_INFO) && !strcmp(map->name, "info") && f->type == PROTOBUF_C_TYPE_STRING) {
        const char *s = *(char *const *)p;
        json_t *j = s ? json_loads(s, JSON_ALLOW_NUL, NULL) : NULL;
        if (j)
            return j;
    }
    return value(f, p, flags, depth);
}

static json_t *map(const ProtobufCMessage *m, const ProtobufCFieldDescriptor *f, int flags, int depth)
{
    size_t n = *(const size_t *)field_at(m, f->quantifier_offset);
    ProtobufCMessage *const *entries = *(ProtobufCMessage *const *const *)field_at(m, f->offset);
    json_t *o = json_object();

    for (size_t i = 0; i < n; i++) {
        const ProtobufCFieldDescriptor *fields = entries[i]->descriptor->fields;
        json_t *key = value(&fields[0], field_at(entries[i], fields[0].offset), flags, depth);
        json_t *val = map_value(f, &fields[1], field_at(entries[i], fields[1].offset), flags, depth);
        json_object_set_new_nocheck(o, json_is_string(key) ? json_string_value(key) : "", val);
        json_decref(key);
    }
    return o;
}

static json_t *list(const ProtobufCMessage *m, const ProtobufCFieldDescriptor *f, int flags, int depth)
{
    size_t n = *(const size_t *)field_at(m, f->quantifier_offset);
    const char *items = *(const char *const *)field_at(m, f->offset);
    json_t *a = json_array();

    for (size_t i = 0; i < n; i++)
        json_array_append_new(a, value(f, items + i * value_size(f->type), flags, depth));
    return a;
}

static json_t *field(const ProtobufCMessage *m, const ProtobufCFieldDescriptor *f, int flags, int depth)
{
    if (is_map(f))
        return map(m, f, flags, depth);
    if (f->label == PROTOBUF_C_LABEL_REPEATED)
        return list(m, f, flags, depth);
    if (f->type == PROTOBUF_C_TYPE_BYTES && !strcmp(m->descriptor->name, "runtime.v1.KeyValue")) {
        const ProtobufCBinaryData *b = field_at(m, f->offset);
        return text((const char *)b->data, b->len);
    }
    return value(f, field_at(m, f->offset), flags, depth);
}

static json_t *message(const ProtobufCMessage *m, int flags, int depth)
{
    json_t *o = json_object();

    for (unsigned i = 0; i < m->descriptor->n_fields && depth < DEPTH_MAX; i++) {
        const ProtobufCFieldDescriptor *f = &m->descriptor->fields[i];
        char name[NAME_MAX_LEN];
        camel(f->name, name);
        json_object_set_new_nocheck(o, name, field(m, f, flags, depth));
    }
    return o;
}

json_t *json_of_message(const ProtobufCMessage *m, int flags)
{
    return message(m, flags, 0);
}

void json_print(const json_t *j)
{
    json_dumpf(j, stdout, JSON_INDENT(2));
    putchar('\n');
}

void json_print_message(const void *m, int flags)
{
    json_t *j = json_of_message(m, flags);

    json_print(j);
    json_decref(j);
}
