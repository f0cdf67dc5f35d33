/* Manifests and indexes; of an index the choice as well. */
#include "core/image_ref.h"
#include "core/manifest.h"

#include <assert.h>
#include <stdint.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct platform arm = {"linux", "arm", "v7"};
    struct manifest cleanup_manifest m = {0};
    const struct manifest_entry *e = NULL;
    struct err err = {0};

    if (manifest_parse((const char *)data, size, NULL, &m, &err) < 0) {
        assert(err.msg[0]);
        return 0;
    }
    for (size_t i = 0; i < m.layers_n; i++)
        assert(digest_is_valid(m.layers[i].blob.digest));
    assert(manifest_size(&m) < (uint64_t)1 << 60);
    if (m.kind == MANIFEST_INDEX && manifest_choose(&m, &arm, &e, &err) == 0)
        assert(!e->attestation && digest_is_valid(e->manifest.digest));
    return 0;
}
