#include "core/archive_index.h"

#include <assert.h>
#include <stdint.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct docker_archive a = {0};
    struct err err = {0};

    (void)!oci_layout_check((const char *)data, size, &err);
    if (docker_archive_parse((const char *)data, size, &a, &err) < 0) {
        assert(err.msg[0] && !a.images);
        return 0;
    }
    for (size_t i = 0; i < a.n; i++)
        for (size_t k = 0; k < a.images[i].layers_n; k++)
            assert(a.images[i].layers[k][0] != '/' && strncmp(a.images[i].layers[k], "../", 3) != 0);
    docker_archive_done(&a);
    return 0;
}
