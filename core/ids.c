#include "core/ids.h"

#include <string.h>
#include <sys/random.h>

void hex_of(const void *bytes, size_t n, char *ret_hex)
{
    static const char digits[] = "0123456789abcdef";
    const unsigned char *b = bytes;

    for (size_t i = 0; i < n; i++) {
        ret_hex[2 * i] = digits[b[i] >> 4];
        ret_hex[2 * i + 1] = digits[b[i] & 15];
    }
    ret_hex[2 * n] = '\0';
}

void id_new(char id[static ID_SIZE])
{
    unsigned char raw[ID_LEN / 2];

    if (getrandom(raw, sizeof(raw), 0) != sizeof(raw))
        abort();
    hex_of(raw, sizeof(raw), id);
}

bool id_is_valid(const char *s)
{
    return strlen(s) == ID_LEN && strspn(s, "0123456789abcdef") == ID_LEN;
}
