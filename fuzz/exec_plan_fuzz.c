/* An exec plan, any bytes: reading stays inside them, and what was read can be gone on with. */
#include "core/exec_plan.h"
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static size_t walk(struct exec_plan_strings s)
{
    size_t total = 0;

    for (const char *p; (p = exec_plan_next(&s));)
        total += strlen(p) + 1;
    return total;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char arg[] = "one more";
    char *block = malloc(size + sizeof(arg)); /* of just this size: a read beyond it is seen */
    struct exec_plan_builder b;
    struct exec_plan p;

    memcpy(block, data, size);
    if (size >= 12 && block[0] != (char)0xff) /* most of the time the size is right */
        memcpy(block + 8, &(uint32_t){(uint32_t)size}, 4);
    if (exec_plan_read(block, size, &p) && !p.refused) {
        uint64_t sum = walk(p.cgroups) + walk(p.env) + walk(p.args) + strlen(p.cwd) + strlen(p.keyring);
        for (uint32_t i = 0; i < p.head->bpf_n; i++)
            sum += p.bpf[i].k;
        for (uint32_t i = 0; i < p.head->gids_n; i++)
            sum += p.gids[i];
        uint32_t args = p.head->args_n;
        exec_plan_resume(&b, block, size + sizeof(arg), size);
        exec_plan_put_arg(&b, arg);
        size_t n = exec_plan_finish(&b);
        if (n && (sum == UINT64_MAX || !exec_plan_read(block, n, &p) || p.head->args_n != args + 1))
            abort();
    }
    free(block);
    return 0;
}
