/* Container output in chunks of any size: every byte must come out again, in lines that the kubelet can read. */
#include "core/cri_log.h"
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* The first two bytes choose the chunk size and whether each chunk is flushed; what is unfinished is carried on. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 2)
        return 0;
    size_t n = size - 2, from = 0, to = 0, chunk = 1 + (size_t)data[0] * 97, out = 0;
    const char *text = (const char *)data + 2;
    char *joined = malloc(n + 1);

    while (from < n) {
        struct cri_log_batch b;
        size_t got;
        to = to + chunk > n ? n : to + chunk;
        do {
            cri_log_begin(&b, (int64_t)n << 33, CRI_LOG_STDOUT);
            got = cri_log_add(&b, text + from, to - from, (data[1] & 1) || to == n);
            from += got;
            for (int i = 0; i < b.n; i++) {
                if (b.iov[i].iov_base == b.full || b.iov[i].iov_base == b.partial)
                    continue;
                if ((char *)b.iov[i].iov_base < text || (char *)b.iov[i].iov_base >= text + n)
                    continue; /* the newline behind a partial line */
                memcpy(joined + out, b.iov[i].iov_base, b.iov[i].iov_len);
                out += b.iov[i].iov_len;
            }
        } while (got);
    }
    if (out != n || memcmp(joined, text, n) != 0)
        abort();
    free(joined);
    return 0;
}
