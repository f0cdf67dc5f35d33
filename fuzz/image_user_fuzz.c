/* Input: user NUL passwd NUL group. The text of a file in an image may be anything. */
#include "core/image_user.h"
#include "core/mem.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const int64_t supplemental[] = {0, 7, 7};
    const char *part[3] = {"", "", ""};
    char *text = mem_strndup((const char *)data, size), *p = text;
    struct image_user u;
    struct err err;

    for (int i = 0; i < 3; i++) {
        part[i] = p;
        p += strlen(p);
        p += p < text + size;
    }
    for (int strict = 0; strict < 2; strict++) {
        struct image_user_spec s = {.image_user = part[0],
                                    .strict = strict,
                                    .supplemental_groups = supplemental,
                                    .supplemental_groups_n = 3};
        if (image_user_resolve(&s, part[1], part[2], &u, &err) < 0)
            continue;
        if (u.uid > INT32_MAX || u.groups_n < 1 || u.groups[0] != u.gid || !u.home[0])
            abort();
        image_user_done(&u);
    }
    free(text);
    return 0;
}
