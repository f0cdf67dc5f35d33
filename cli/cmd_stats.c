/* What containers or pods use. CPU shares come from two looks at the counters, so they need nothing of the runtime but those. */
#include "cli/commands.h"
#include "cli/format.h"
#include "cli/json.h"
#include "cli/resolve.h"
#include "cli/table.h"
#include "core/mem.h"

#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { INTERVAL_MS = 1000, PERCENT_SIZE = 16 };

struct args {
    bool pods, watch, json;
    int interval_ms;
};

static const struct opt opts[] = {
    {'p', "pods", OPT_FLAG, offsetof(struct args, pods), NULL, "pods instead of containers"},
    {'w', "watch", OPT_FLAG, offsetof(struct args, watch), NULL, "go on, with a table each interval"},
    {'i', "interval", OPT_SECONDS, offsetof(struct args, interval_ms), "TIME", "between two looks (1s)"},
    OPT_JSON(struct args, json),
    OPT_END,
};

/* A container or a pod; the strings and messages are the reply's. */
struct usage {
    const char *id, *name;
    const Runtime__V1__CpuUsage *cpu;
    const Runtime__V1__MemoryUsage *memory;
    const Runtime__V1__FilesystemUsage *layer;  /* of a container */
    const Runtime__V1__ProcessUsage *processes; /* of a pod */
    const Runtime__V1__NetworkInterfaceUsage *network;
};

struct look {
    void *reply; /* ListContainerStats or ListPodSandboxStats */
    struct usage *list;
    size_t n;
};

static void look_done(struct look *l)
{
    cri_reply_free(&l->reply);
    free(l->list);
    *l = (struct look){0};
}

static bool is_wanted(const char *id, const struct target *only, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (!strcmp(only[i].id, id))
            return true;
    return n == 0;
}

static int look_at_containers(struct cli *cli, const struct target *only, size_t n, struct look *l,
                              struct err *err)
{
    Runtime__V1__ListContainerStatsRequest req = RUNTIME__V1__LIST_CONTAINER_STATS_REQUEST__INIT;
    Runtime__V1__ListContainerStatsResponse *r;
    int rc = cri_call(cli, "ListContainerStats", &req, &r, err);

    if (rc < 0)
        return rc;
    l->reply = r;
    l->list = mem_alloc((r->n_stats + 1) * sizeof(*l->list));
    for (size_t i = 0; i < r->n_stats; i++) {
        const Runtime__V1__ContainerStats *s = r->stats[i];
        if (!s->attributes || !is_wanted(s->attributes->id, only, n))
            continue;
        l->list[l->n++] = (struct usage){
            .id = s->attributes->id,
            .name = s->attributes->metadata ? s->attributes->metadata->name : NULL,
            .cpu = s->cpu,
            .memory = s->memory,
            .layer = s->writable_layer,
        };
    }
    return 0;
}

static int look_at_pods(struct cli *cli, const struct target *only, size_t n, struct look *l, struct err *err)
{
    Runtime__V1__ListPodSandboxStatsRequest req = RUNTIME__V1__LIST_POD_SANDBOX_STATS_REQUEST__INIT;
    Runtime__V1__ListPodSandboxStatsResponse *r;
    int rc = cri_call(cli, "ListPodSandboxStats", &req, &r, err);

    if (rc < 0)
        return rc;
    l->reply = r;
    l->list = mem_alloc((r->n_stats + 1) * sizeof(*l->list));
    for (size_t i = 0; i < r->n_stats; i++) {
        const Runtime__V1__PodSandboxAttributes *a = r->stats[i]->attributes;
        const Runtime__V1__LinuxPodSandboxStats *s = r->stats[i]->linux;
        if (!a || !s || !is_wanted(a->id, only, n))
            continue;
        l->list[l->n++] = (struct usage){
            .id = a->id,
            .name = a->metadata ? a->metadata->name : NULL,
            .cpu = s->cpu,
            .memory = s->memory,
            .processes = s->process,
            .network = s->network ? s->network->default_interface : NULL,
        };
    }
    return 0;
}

static int look(struct cli *cli, bool pods, const struct target *only, size_t n, struct look *l,
                struct err *err)
{
    return pods ? look_at_pods(cli, only, n, l, err) : look_at_containers(cli, only, n, l, err);
}

/* ---- tables -------------------------------------------------------------------------------------------------------- */

/* 100 is one processor; NULL without two looks. */
static const char *percent(const struct usage *now, const struct look *before, char text[static PERCENT_SIZE])
{
    const struct usage *old = NULL;

    for (size_t i = 0; i < before->n && !old; i++)
        if (!strcmp(before->list[i].id, now->id))
            old = &before->list[i];
    if (!old || !old->cpu || !now->cpu || !old->cpu->usage_core_nano_seconds ||
        !now->cpu->usage_core_nano_seconds || now->cpu->timestamp <= old->cpu->timestamp)
        return NULL;
    uint64_t from = old->cpu->usage_core_nano_seconds->value, to = now->cpu->usage_core_nano_seconds->value;
    double share = (double)(to > from ? to - from : 0) / (double)(now->cpu->timestamp - old->cpu->timestamp);
    snprintf(text, PERCENT_SIZE, "%.2f", share * 100);
    return text;
}

static const char *size_of(const Runtime__V1__UInt64Value *v, char text[static SIZE_TEXT_SIZE])
{
    if (!v)
        return NULL;
    format_size(v->value, text);
    return text;
}

static const char *count_of(const Runtime__V1__UInt64Value *v, char text[static SIZE_TEXT_SIZE])
{
    if (!v)
        return NULL;
    snprintf(text, SIZE_TEXT_SIZE, "%llu", (unsigned long long)v->value);
    return text;
}

static void container_row(struct table *t, const struct usage *u, const char *id, const char *cpu)
{
    const Runtime__V1__MemoryUsage *m = u->memory;
    char set[SIZE_TEXT_SIZE], available[SIZE_TEXT_SIZE], disk[SIZE_TEXT_SIZE], inodes[SIZE_TEXT_SIZE];

    table_row(t, (const char *[]){id, u->name, cpu, m ? size_of(m->working_set_bytes, set) : NULL,
                                  m ? size_of(m->available_bytes, available) : NULL,
                                  u->layer ? size_of(u->layer->used_bytes, disk) : NULL,
                                  u->layer ? count_of(u->layer->inodes_used, inodes) : NULL});
}

static void pod_row(struct table *t, const struct usage *u, const char *id, const char *cpu)
{
    char set[SIZE_TEXT_SIZE], n[SIZE_TEXT_SIZE], rx[SIZE_TEXT_SIZE], tx[SIZE_TEXT_SIZE];

    table_row(t,
              (const char *[]){id, u->name, cpu, u->memory ? size_of(u->memory->working_set_bytes, set) : NULL,
                               u->processes ? count_of(u->processes->process_count, n) : NULL,
                               u->network ? size_of(u->network->rx_bytes, rx) : NULL,
                               u->network ? size_of(u->network->tx_bytes, tx) : NULL});
}

static void print(bool pods, const struct look *now, const struct look *before)
{
    static const char *const titles[2][7] = {
        {"CONTAINER", "NAME", "CPU %", "MEMORY", "AVAILABLE", "DISK", "INODES"},
        {"POD ID", "NAME", "CPU %", "MEMORY", "PROCESSES", "RECEIVED", "SENT"},
    };
    cleanup_table struct table t = {0};
    char id[SHORT_ID_SIZE], cpu[PERCENT_SIZE];

    table_init(&t, countof(titles[pods]), titles[pods]);
    for (size_t i = 0; i < now->n; i++) {
        const struct usage *u = &now->list[i];
        format_short_id(u->id, id);
        (pods ? pod_row : container_row)(&t, u, id, percent(u, before, cpu));
    }
    table_print(&t);
    fflush(stdout);
}

/* ---- command ------------------------------------------------------------------------------------------------------- */

static void pause_ms(int ms)
{
    const struct timespec t = {.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000L};

    nanosleep(&t, NULL);
}

static int show(struct cli *cli, const struct args *args, const struct target *only, size_t n, struct err *err)
{
    int interval = args->interval_ms ? args->interval_ms : INTERVAL_MS;
    struct look before = {0}, now = {0};
    int rc = look(cli, args->pods, only, n, &before, err);

    while (!rc && !args->json) {
        pause_ms(interval);
        if ((rc = look(cli, args->pods, only, n, &now, err)) < 0)
            break;
        if (args->watch && isatty(STDOUT_FILENO))
            fputs("\033[H\033[2J", stdout); /* home, clear */
        print(args->pods, &now, &before);
        look_done(&before);
        before = now;
        now = (struct look){0};
        if (!args->watch)
            break;
    }
    if (!rc && args->json)
        json_print_message(before.reply, 0);
    look_done(&before);
    return rc;
}

static int run(struct cli *cli, void *data, int argc, char **argv, struct err *err)
{
    const struct args *args = data;
    int kind = args->pods ? TARGET_POD : TARGET_CONTAINER, rc = 0;

    if (args->json && (args->watch || argc))
        return cli_usage(err, "-o json prints one reply with everything: leave out --watch and names");
    cleanup_free struct target *only = mem_alloc((size_t)(argc + 1) * sizeof(*only));
    for (int i = 0; !rc && i < argc; i++)
        rc = resolve_target(cli, argv[i], kind, kind, &only[i], err);
    return rc < 0 ? rc : show(cli, args, only, (size_t)argc, err);
}

const struct command cmd_stats = {
    .name = "stats",
    .args = "[-p] [-w] [-i TIME] [-o json] [NAME...]",
    .summary = "show what running containers, or pods, use",
    .details =
        "CPU: 100 is one processor, over the interval. MEMORY: the working set, which cannot be taken back at\n"
        "once; AVAILABLE: what its limit leaves. DISK, INODES: of the writable layer; \"-\" until it was "
        "counted.",
    .opts = opts,
    .size = sizeof(struct args),
    .max_args = -1,
    .run = run,
};
