/* The helper's answer: what is taken reads back the same. */
#include "core/unpack_result.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct unpack_result r, back;
    struct err err = {0};
    char line[UNPACK_RESULT_SIZE];

    memset(&r, 0, sizeof(r));
    memset(&back, 0, sizeof(back));
    if (unpack_result_parse((const char *)data, size, &r, &err) < 0)
        return err.grpc ? 0 : (abort(), 0);
    size_t n = unpack_result_format(&r, NULL, line);
    if (unpack_result_parse(line, n, &back, NULL) < 0 || memcmp(&r, &back, sizeof(r)) != 0)
        abort();
    return 0;
}
