/* The status of an exec: an exit code, or an error that a terminal can show. */
#include "cli/stream_status.c"

#include <stdint.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct err err = {0};
    int code = -1;

    if ((stream_status_parse((const char *)data, size, &code, &err) == 0) != (err.grpc == 0))
        abort();
    if (err.grpc == 0 && code < 0)
        abort();
    for (const char *c = err.msg; err.grpc == GRPC_UNKNOWN && *c; c++)
        if ((unsigned char)*c < ' ' || *c == 0x7f)
            abort();
    return 0;
}
