/* A reference that is taken must be normal: its text is taken again and gives the same. Signals ride along. */
#include "core/image_ref.h"
#include "core/mem.h"
#include "core/signals.h"

#include <assert.h>
#include <stdint.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct image_ref cleanup_image_ref ref = {0}, cleanup_image_ref again = {0};
    char *cleanup_free text = mem_strndup((const char *)data, size);
    struct err err = {0};
    int number;

    if (signal_parse(text, &number, &err) == 0)
        assert(number >= 1 && number <= 64);
    if (image_ref_parse(text, &ref, &err) < 0) {
        assert(err.msg[0] && !strchr(err.msg, '\n'));
        return 0;
    }
    char *cleanup_free normal = image_ref_text(&ref);
    assert(image_ref_parse(normal, &again, &err) == 0);
    char *cleanup_free twice = image_ref_text(&again);
    assert(strcmp(normal, twice) == 0);
    return 0;
}
