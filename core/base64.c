#include "core/base64.h"

#include <errno.h>
#include <stdint.h>

static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/* One more than the value of a digit, so that what is not listed is 0. */
#define DIGIT_ROW(c, v) [c] = (v) + 1
static const uint8_t digit_values[256] = {
    DIGIT_ROW('A', 0),  DIGIT_ROW('B', 1),  DIGIT_ROW('C', 2),  DIGIT_ROW('D', 3),  DIGIT_ROW('E', 4),
    DIGIT_ROW('F', 5),  DIGIT_ROW('G', 6),  DIGIT_ROW('H', 7),  DIGIT_ROW('I', 8),  DIGIT_ROW('J', 9),
    DIGIT_ROW('K', 10), DIGIT_ROW('L', 11), DIGIT_ROW('M', 12), DIGIT_ROW('N', 13), DIGIT_ROW('O', 14),
    DIGIT_ROW('P', 15), DIGIT_ROW('Q', 16), DIGIT_ROW('R', 17), DIGIT_ROW('S', 18), DIGIT_ROW('T', 19),
    DIGIT_ROW('U', 20), DIGIT_ROW('V', 21), DIGIT_ROW('W', 22), DIGIT_ROW('X', 23), DIGIT_ROW('Y', 24),
    DIGIT_ROW('Z', 25), DIGIT_ROW('a', 26), DIGIT_ROW('b', 27), DIGIT_ROW('c', 28), DIGIT_ROW('d', 29),
    DIGIT_ROW('e', 30), DIGIT_ROW('f', 31), DIGIT_ROW('g', 32), DIGIT_ROW('h', 33), DIGIT_ROW('i', 34),
    DIGIT_ROW('j', 35), DIGIT_ROW('k', 36), DIGIT_ROW('l', 37), DIGIT_ROW('m', 38), DIGIT_ROW('n', 39),
    DIGIT_ROW('o', 40), DIGIT_ROW('p', 41), DIGIT_ROW('q', 42), DIGIT_ROW('r', 43), DIGIT_ROW('s', 44),
    DIGIT_ROW('t', 45), DIGIT_ROW('u', 46), DIGIT_ROW('v', 47), DIGIT_ROW('w', 48), DIGIT_ROW('x', 49),
    DIGIT_ROW('y', 50), DIGIT_ROW('z', 51), DIGIT_ROW('0', 52), DIGIT_ROW('1', 53), DIGIT_ROW('2', 54),
    DIGIT_ROW('3', 55), DIGIT_ROW('4', 56), DIGIT_ROW('5', 57), DIGIT_ROW('6', 58), DIGIT_ROW('7', 59),
    DIGIT_ROW('8', 60), DIGIT_ROW('9', 61), DIGIT_ROW('+', 62), DIGIT_ROW('/', 63),
};

void base64_encode(const void *p, size_t n, char *text)
{
    const uint8_t *in = p;

    for (; n > 0; in += 3, text += 4) {
        size_t take = n < 3 ? n : 3;
        unsigned acc = (unsigned)in[0] << 16 | (take > 1 ? (unsigned)in[1] << 8 : 0) | (take > 2 ? in[2] : 0);
        text[0] = digits[acc >> 18];
        text[1] = digits[acc >> 12 & 63];
        text[2] = take > 1 ? digits[acc >> 6 & 63] : '=';
        text[3] = take > 2 ? digits[acc & 63] : '=';
        n -= take;
    }
}

/* Four digits, of which the last `pad` are '='. */
static int decode_group(const char *text, size_t pad, uint8_t *out)
{
    unsigned acc = 0;

    for (size_t i = 0; i < 4; i++) {
        unsigned v = i < 4 - pad ? digit_values[(uint8_t)text[i]] : 1;
        if (v == 0)
            return -EINVAL;
        acc = acc << 6 | (v - 1);
    }
    if (acc & ((1u << 8 * pad) - 1))
        return -EINVAL;
    for (size_t i = 0; i < 3 - pad; i++)
        out[i] = (uint8_t)(acc >> (16 - 8 * i));
    return 0;
}

int base64_decode(const char *text, size_t n, void *out, size_t *ret_n)
{
    uint8_t *to = out;

    if (n % 4 != 0)
        return -EINVAL;
    size_t pad = n == 0 || text[n - 1] != '=' ? 0 : text[n - 2] == '=' ? 2 : 1;
    for (size_t i = 0; i < n; i += 4, to += 3)
        if (decode_group(text + i, i + 4 == n ? pad : 0, to) < 0)
            return -EINVAL;
    *ret_n = n / 4 * 3 - pad;
    return 0;
}
