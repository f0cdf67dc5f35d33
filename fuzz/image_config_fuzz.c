#include "core/image_config.h"
#include "core/image_ref.h"

#include <assert.h>
#include <stdint.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct image_config *c = NULL;
    struct err err = {0};

    if (image_config_parse((const char *)data, size, &c, &err) < 0) {
        assert(err.msg[0] && !c);
        return 0;
    }
    for (size_t i = 0; c->env[i]; i++)
        assert(strchr(c->env[i], '='));
    for (size_t i = 0; i < c->diff_ids_n; i++)
        assert(digest_is_valid(c->diff_ids[i]));
    image_config_free(c);
    return 0;
}
