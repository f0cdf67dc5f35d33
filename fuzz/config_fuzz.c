/* The same bytes as config.yaml and as registries.yaml; what is taken as a configuration must survive its dump. */
#include "core/config_keys.h"
#include "core/mem.h"
#include "core/registries.h"

#include <assert.h>
#include <stdint.h>
#include <string.h>

static void resolve(const struct registries *r)
{
    struct registry_endpoints cleanup_registry_endpoints l = {0};
    struct image_ref cleanup_image_ref ref = {0};
    struct err err = {0};

    if (image_ref_parse("busybox", &ref, &err) == 0 && registries_resolve(r, &ref, &l, &err) == 0)
        assert(l.n > 0 && l.items[l.n - 1].url);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct config cleanup_with(config_done) c = {0}, cleanup_with(config_done) again = {0};
    struct registries *r = NULL;
    struct err err = {0};

    if (registries_parse((const char *)data, size, "f", &r, &err) == 0)
        resolve(r);
    registries_free(r);
    config_init(&c);
    config_init(&again);
    if (config_read_text(&c, (const char *)data, size, "f", &err) == 0) {
        char *cleanup_free dump = config_dump(&c);
        assert(config_read_text(&again, dump, strlen(dump), "dump", &err) == 0);
        char *cleanup_free second = config_dump(&again);
        assert(strcmp(dump, second) == 0);
    }
    return 0;
}
