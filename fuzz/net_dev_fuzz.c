/* /proc/net/dev. */
#include "core/mem.h"
#include "core/net_dev.h"

#include <stdint.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct net_dev devs[4];
    cleanup_free char *text = mem_strndup((const char *)data, size);
    size_t n = net_dev_parse(text, devs, countof(devs));

    if (n > countof(devs))
        abort();
    for (size_t i = 0; i < n; i++)
        if (!devs[i].name[0] || strnlen(devs[i].name, sizeof(devs[i].name)) == sizeof(devs[i].name))
            abort();
    return 0;
}
