/* What a CNI plugin printed, read as a result and as an error. */
#include "core/cni_result.h"

#include <stdint.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const struct cni_ip *ips[8];
    struct cni_result *r;
    struct err err = {0};

    if (cni_result_error("fuzz", (const char *)data, size, "exit status 1", &err) >= 0 || !*err.msg)
        abort();
    if (cni_result_parse("fuzz", (const char *)data, size, &r, &err) < 0)
        return 0;
    for (size_t i = 0, n = cni_result_pod_ips(r, ips, 8); i < n; i++)
        if (!*ips[i]->address || ips[i]->prefix > 128)
            abort();
    for (size_t i = 0; i < r->routes_n; i++)
        if (!strchr(r->routes[i].dst, '/'))
            abort();
    cni_result_free(r);
    return 0;
}
