/* Names from an archive: what passes is relative, without "..", within its limits, and clean already. */
#include "core/tar_entry.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

static void demand(int truth)
{
    if (!truth)
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char path[TAR_PATH_SIZE], again[TAR_PATH_SIZE], quoted[TAR_QUOTED_SIZE];
    size_t max = size > 0 ? (size_t)data[0] * 40 : 0;
    char *name = strndup((const char *)data + (size > 0), size > 0 ? size - 1 : 0);

    tar_quote(name, quoted);
    demand(strlen(quoted) < TAR_QUOTED_SIZE && !strchr(quoted, '\n'));
    (void)tar_xattr_rule(name);
    if (tar_path_clean(name, max, path, NULL) == 0) {
        demand(strlen(path) <= max && path[0] != '/' && !strstr(path, "//"));
        demand(strcmp(path, "..") != 0 && strncmp(path, "../", 3) != 0 && !strstr(path, "/../"));
        demand(!*path || (tar_path_clean(path, max, again, NULL) == 0 && strcmp(path, again) == 0));
        size_t before = strlen(path);
        int kind = tar_whiteout_take(path, NULL);
        demand(strlen(path) <= before);
        if (kind == TAR_WHITEOUT_NAME)
            demand(tar_path_clean(path, max, again, NULL) == 0 && strcmp(path, again) == 0);
    }
    free(name);
    return 0;
}
