/* Floors: what no runtime can be below, by calling the same kernel and the same programs with nothing around them. */
#include "bench/floor.h"
#include "core/file.h"
#include "core/mem.h"

static int run(struct bench *b, struct err *err)
{
    static const struct {
        const char *name;
        int (*measure)(struct bench *b, unsigned n, struct err *err);
    } parts[] = {{"kernel", floor_kernel}, {"CNI", floor_cni}, {"OCI", floor_oci}, {"images", floor_image}};
    cleanup_free char *dir = mem_printf("%s/floor", b->work);
    int rc = dir_make(dir, 0755, err);

    for (size_t i = 0; !rc && i < countof(parts); i++) {
        struct err one = {0};
        if (parts[i].measure(b, bench_count(b, 20, 8), &one) < 0)
            series_fail(series_get(&b->results, "ms", "%s", parts[i].name), one.msg);
    }
    return rc;
}

const struct scenario scenario_floor = {
    "floor", "what the parts cost without a runtime: OCI runtime, CNI plugins, kernel", false, run};
