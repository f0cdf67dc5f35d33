/* The CRI log reader's line parser: whatever it accepts lies within the line. */
#include "cli/log_line.c"

#include <stdint.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const char *p = (const char *)data;
    struct log_line l;

    if (log_line_parse(p, size, &l) < 0)
        return 0;
    if (l.time < p || l.time + l.time_len > p + size || l.text < p || l.text + l.text_len != p + size)
        abort();
    return 0;
}
