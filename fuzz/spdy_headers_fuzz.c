/* An inflated header block: what is parsed can be read, and is written again as the same bytes. */
#include "proto/spdy_headers.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct spdy_header_limits limits = {65536, 64, 256, 16384};
    struct buf cleanup_buf block = {0}, cleanup_buf again = {0};
    struct spdy_headers h = {0};
    struct err err = {0};

    buf_add(&block, data, size);
    if (spdy_headers_parse(&block, &limits, &h, &err) < 0) {
        if (!err.msg[0] || h.items)
            abort();
        return 0;
    }
    for (size_t i = 0; i < h.n; i++)
        for (const char *v = NULL; (v = spdy_header_next(&h.items[i], v));)
            if (v + strlen(v) > h.items[i].value + h.items[i].len)
                abort();
    if (size <= SPDY_STORED_MAX) {
        spdy_headers_put(&again, h.items, h.n, false);
        if (again.len != size + 10 || memcmp(again.data + 5, data, size) != 0)
            abort();
    }
    free(h.items);
    return 0;
}
