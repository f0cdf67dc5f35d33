/* A Localhost profile: what passes must pass again, unchanged. */
#include "core/mem.h"
#include "core/seccomp.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    cleanup_free char *text = mem_strndup((const char *)data, size), *once = NULL, *twice = NULL;
    struct err err = {0};

    if (seccomp_localhost(text, &once, &err) < 0) {
        if (err.grpc != GRPC_INVALID_ARGUMENT || !err.msg[0])
            abort();
        return 0;
    }
    if (seccomp_localhost(once, &twice, &err) < 0 || strcmp(once, twice) != 0)
        abort();
    return 0;
}
