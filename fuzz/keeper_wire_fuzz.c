/* A message of the keeper's socket, any bytes: reading stays inside it, and what is read can be built again. */
#include "core/keeper_wire.h"
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static char copy[KEEPER_MSG_MAX + 1];
    struct keeper_exit_msg m; /* the longest struct */
    struct keeper_builder b;
    char *msg = malloc(size ? size : 1); /* of just this size: a read beyond it is seen */

    memcpy(msg, data, size);
    if (size >= 4) { /* most of the time the size is right */
        uint32_t n = (uint32_t)size;
        if (msg[0] != (char)0xff)
            memcpy(msg, &n, sizeof(n));
    }
    if (keeper_msg_read(msg, size, &m, sizeof(m))) {
        struct keeper_strings s = keeper_msg_strings(msg);
        size_t total = m.head.fixed;
        keeper_build(&b, copy, sizeof(copy), msg, m.head.fixed);
        while (keeper_has_string(&s)) {
            const char *p = keeper_next_string(&s);
            total += strlen(p) + 1;
            keeper_put_string(&b, p);
        }
        if (total != size || keeper_next_string(&s)[0] != '\0')
            abort();
        if (keeper_finish(&b) != size ||
            memcmp(copy + sizeof(m.head), msg + sizeof(m.head), size - sizeof(m.head)) != 0)
            abort();
    }
    free(msg);
    return 0;
}
