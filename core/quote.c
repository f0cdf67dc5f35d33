#include "core/quote.h"

#include <stdio.h>

const char *quote(char buf[static QUOTE_SIZE], const char *s, size_t n)
{
    static const size_t tail = sizeof("...\"");
    size_t at = 0, i;

    if (!s)
        return "nothing";
    buf[at++] = '"';
    for (i = 0; i < n && i < QUOTE_BYTES && at + 4 + tail <= QUOTE_SIZE; i++) {
        unsigned char c = (unsigned char)s[i];
        if (c >= 0x20 && c < 0x7f && c != '"' && c != '\\')
            buf[at++] = (char)c;
        else if (c == '"' || c == '\\')
            at += (size_t)sprintf(buf + at, "\\%c", c);
        else
            at += (size_t)sprintf(buf + at, "\\x%02x", c);
    }
    strcpy(buf + at, i < n ? "...\"" : "\"");
    return buf;
}
