#include "proto/grpc_frame.h"
#include "core/buf.h"

#include <errno.h>

int grpc_frame_parse(const void *body, size_t n, const uint8_t **ret_message, size_t *ret_len, struct err *err)
{
    const uint8_t *p = body;

    if (n == 0)
        return err_set(err, GRPC_UNIMPLEMENTED, 0, "the request has no message: the method takes exactly one");
    if (n < GRPC_FRAME_PREFIX)
        return err_set(err, GRPC_INTERNAL, 0,
                       "the request ends after %zu bytes, within the prefix of its message", n);
    if (p[0] == 1)
        return err_set(err, GRPC_UNIMPLEMENTED, 0,
                       "the request's message is compressed: send it with grpc-encoding identity");
    if (p[0] != 0)
        return err_set(err, GRPC_INTERNAL, 0,
                       "the request's message has the flag byte 0x%02x: only 0 and 1 are defined", p[0]);

    size_t len = (size_t)p[1] << 24 | (size_t)p[2] << 16 | (size_t)p[3] << 8 | p[4];
    if (len > GRPC_MESSAGE_MAX)
        return err_set(err, GRPC_RESOURCE_EXHAUSTED, 0,
                       "the request's message has %zu bytes: at most %d are accepted", len, GRPC_MESSAGE_MAX);
    if (len > n - GRPC_FRAME_PREFIX)
        return err_set(err, GRPC_INTERNAL, 0, "the request's message ends after %zu of %zu bytes",
                       n - GRPC_FRAME_PREFIX, len);
    if (len < n - GRPC_FRAME_PREFIX)
        return err_set(err, GRPC_UNIMPLEMENTED, 0,
                       "%zu bytes follow the request's message: the method takes exactly one",
                       n - GRPC_FRAME_PREFIX - len);
    *ret_message = p + GRPC_FRAME_PREFIX;
    *ret_len = len;
    return 0;
}

void grpc_frame_prefix(uint8_t prefix[static GRPC_FRAME_PREFIX], uint32_t n)
{
    prefix[0] = 0;
    prefix[1] = (uint8_t)(n >> 24);
    prefix[2] = (uint8_t)(n >> 16);
    prefix[3] = (uint8_t)(n >> 8);
    prefix[4] = (uint8_t)n;
}

static const struct {
    char unit;
    int64_t ns;
} timeout_units[] = {
    {'H', 3600000000000}, {'M', 60000000000}, {'S', 1000000000}, {'m', 1000000}, {'u', 1000}, {'n', 1},
};

int grpc_timeout_parse(const char *s, int64_t *ret_us)
{
    int64_t value = 0;
    int digits = 0;

    for (; s[digits] >= '0' && s[digits] <= '9'; digits++) {
        if (digits == 8)
            return -EINVAL;
        value = value * 10 + (s[digits] - '0');
    }
    if (digits == 0 || !s[digits] || s[digits + 1])
        return -EINVAL;
    for (size_t i = 0; i < countof(timeout_units); i++) {
        if (timeout_units[i].unit != s[digits])
            continue;
        int64_t ns = timeout_units[i].ns; /* 99999999 hours are 3.6e17 us: it fits */
        *ret_us = ns >= 1000 ? value * (ns / 1000) : (value + 999) / 1000;
        return 0;
    }
    return -EINVAL;
}

char *grpc_message_encode(const char *s)
{
    struct buf b = {0};

    for (; *s; s++) {
        unsigned char c = (unsigned char)*s;
        if (c < 0x20 || c > 0x7e || c == '%')
            buf_addf(&b, "%%%02X", c);
        else
            buf_add(&b, s, 1);
    }
    return buf_steal(&b);
}

static int hex_value(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'A' && c <= 'F')
        return c - 'A' + 10;
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    return -1;
}

char *grpc_message_decode(const char *s)
{
    struct buf b = {0};

    while (*s) {
        int high = s[0] == '%' ? hex_value(s[1]) : -1;
        int low = high >= 0 ? hex_value(s[2]) : -1;
        char c = low >= 0 ? (char)(high << 4 | low) : *s;
        buf_add(&b, &c, 1);
        s += low >= 0 ? 3 : 1;
    }
    return buf_steal(&b);
}
