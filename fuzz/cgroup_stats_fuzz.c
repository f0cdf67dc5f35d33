/* The first byte chooses a file of a cgroup. */
#include "core/cgroup_stats.h"
#include "core/mem.h"

#include <stdint.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct cgroup_stats s = {0};
    uint64_t number = 0;

    if (size == 0)
        return 0;
    cleanup_free char *text = mem_strndup((const char *)data + 1, size - 1);
    switch (data[0] % 5) {
    case 0:
        cgroup_stats_memory_v1(&s, text);
        break;
    case 1:
        cgroup_stats_memory_v2(&s, text);
        break;
    case 2:
        cgroup_stats_cpu_v2(&s, text);
        break;
    case 3:
        if (cgroup_pressure_parse(text, &s.cpu) && !(s.cpu.some.avg10 <= 100 && s.cpu.full.avg300 <= 100))
            abort();
        break;
    default:
        if (!cgroup_number(text, &number) && number != 0)
            abort();
    }
    if (cgroup_working_set(&s) > s.memory_bytes)
        abort();
    return 0;
}
