#include "core/utf8.h"

#include <stdint.h>
#include <string.h>

/* Per first byte: the length, and the range of the second byte, which alone rules out overlong forms and surrogates. */
static const struct {
    uint8_t first, last, len, second_min, second_max;
} forms[] = {
    {0x00, 0x7f, 1, 0, 0},       {0xc2, 0xdf, 2, 0x80, 0xbf}, {0xe0, 0xe0, 3, 0xa0, 0xbf},
    {0xe1, 0xec, 3, 0x80, 0xbf}, {0xed, 0xed, 3, 0x80, 0x9f}, {0xee, 0xef, 3, 0x80, 0xbf},
    {0xf0, 0xf0, 4, 0x90, 0xbf}, {0xf1, 0xf3, 4, 0x80, 0xbf}, {0xf4, 0xf4, 4, 0x80, 0x8f},
};

size_t utf8_char_len(const char *s, size_t n)
{
    const uint8_t *p = (const uint8_t *)s;

    for (size_t i = 0; i < sizeof(forms) / sizeof(forms[0]); i++) {
        if (p[0] < forms[i].first || p[0] > forms[i].last)
            continue;
        if (forms[i].len > n)
            return 0;
        if (forms[i].len > 1 && (p[1] < forms[i].second_min || p[1] > forms[i].second_max))
            return 0;
        for (size_t j = 2; j < forms[i].len; j++)
            if ((p[j] & 0xc0) != 0x80)
                return 0;
        return forms[i].len;
    }
    return 0;
}

/* Bytes at the beginning that are ASCII, eight at a time: nearly all text is, and every reply's is looked at. */
static size_t ascii_len(const char *s, size_t n)
{
    const uint64_t high_bits = 0x8080808080808080u;
    size_t at = 0;
    uint64_t eight;

    for (; at + sizeof(eight) <= n; at += sizeof(eight)) {
        memcpy(&eight, s + at, sizeof(eight));
        if (eight & high_bits)
            break;
    }
    while (at < n && !(s[at] & 0x80))
        at++;
    return at;
}

bool utf8_is_valid(const char *s)
{
    size_t n = strlen(s), plain = ascii_len(s, n);

    s += plain;
    n -= plain;
    while (n > 0) {
        size_t len = utf8_char_len(s, n);
        if (len == 0)
            return false;
        s += len;
        n -= len;
    }
    return true;
}

void utf8_repair(char *s)
{
    size_t n = strlen(s);

    while (n > 0) {
        size_t len = utf8_char_len(s, n);
        if (len == 0) {
            *s = '?';
            len = 1;
        }
        s += len;
        n -= len;
    }
}
