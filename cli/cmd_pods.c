#include "cli/commands.h"
#include "cli/format.h"
#include "cli/json.h"
#include "cli/table.h"
#include "core/mem.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct args {
    bool quiet, json;
    const char *state;
    struct opt_list labels;
};

static const struct opt opts[] = {
    {'q', "quiet", OPT_FLAG, offsetof(struct args, quiet), NULL, "ids only, in full"},
    {0, "state", OPT_STRING, offsetof(struct args, state), "STATE", "only those that are ready or notready"},
    {'l', "label", OPT_LIST, offsetof(struct args, labels), "KEY=VALUE",
     "only those with this label; may be given several times"},
    OPT_JSON(struct args, json),
    OPT_END,
};

typedef Runtime__V1__PodSandboxFilter__LabelSelectorEntry label_entry;

static int parse_state(const char *s, Runtime__V1__PodSandboxStateValue *ret, struct err *err)
{
    if (!strcmp(s, "ready"))
        ret->state = RUNTIME__V1__POD_SANDBOX_STATE__SANDBOX_READY;
    else if (!strcmp(s, "notready"))
        ret->state = RUNTIME__V1__POD_SANDBOX_STATE__SANDBOX_NOTREADY;
    else
        return cli_usage(err, "--state is ready or notready, not \"%s\"", s);
    return 0;
}

static int parse_label(const char *s, label_entry *ret, struct err *err)
{
    const char *eq = strchr(s, '=');

    if (!eq || eq == s)
        return cli_usage(err, "--label %s: write KEY=VALUE", s);
    *ret = (label_entry)RUNTIME__V1__POD_SANDBOX_FILTER__LABEL_SELECTOR_ENTRY__INIT;
    ret->key = mem_strndup(s, (size_t)(eq - s));
    ret->value = (char *)eq + 1;
    return 0;
}

static int newest_first(const void *a, const void *b)
{
    const Runtime__V1__PodSandbox *x = *(Runtime__V1__PodSandbox *const *)a,
                                  *y = *(Runtime__V1__PodSandbox *const *)b;

    return x->created_at < y->created_at ? 1 : x->created_at > y->created_at ? -1 : strcmp(x->id, y->id);
}

static void print(const Runtime__V1__ListPodSandboxResponse *r)
{
    static const char *const titles[] = {"POD ID",    "CREATED", "STATE",  "NAME",
                                         "NAMESPACE", "ATTEMPT", "HANDLER"};
    cleanup_table struct table t = {0};
    int64_t now = now_ns();

    table_init(&t, countof(titles), titles);
    for (size_t i = 0; i < r->n_items; i++) {
        const Runtime__V1__PodSandbox *p = r->items[i];
        char id[SHORT_ID_SIZE], age[AGE_SIZE], attempt[16] = "-";
        format_short_id(p->id, id);
        format_age(p->created_at, now, age);
        if (p->metadata)
            snprintf(attempt, sizeof(attempt), "%u", p->metadata->attempt);
        table_row(&t,
                  (const char *[]){
                      id, age, p->state == RUNTIME__V1__POD_SANDBOX_STATE__SANDBOX_READY ? "Ready" : "NotReady",
                      p->metadata ? p->metadata->name : NULL, p->metadata ? p->metadata->namespace_ : NULL,
                      attempt, p->runtime_handler[0] ? p->runtime_handler : "(default)"});
    }
    table_print(&t);
}

static int list(struct cli *cli, const struct args *args, Runtime__V1__PodSandboxFilter *filter,
                struct err *err)
{
    cleanup_reply Runtime__V1__ListPodSandboxResponse *r = NULL;
    Runtime__V1__ListPodSandboxRequest req = RUNTIME__V1__LIST_POD_SANDBOX_REQUEST__INIT;

    req.filter = filter;
    int rc = cri_call(cli, "ListPodSandbox", &req, &r, err);
    if (rc < 0)
        return rc;
    if (r->n_items)
        qsort(r->items, r->n_items, sizeof(r->items[0]), newest_first);
    if (args->json)
        json_print_message(r, 0);
    else if (args->quiet)
        for (size_t i = 0; i < r->n_items; i++)
            puts(r->items[i]->id);
    else
        print(r);
    return EXIT_OK;
}

static int run(struct cli *cli, void *data, int argc, char **argv, struct err *err)
{
    struct args *args = data;
    Runtime__V1__PodSandboxFilter filter = RUNTIME__V1__POD_SANDBOX_FILTER__INIT;
    Runtime__V1__PodSandboxStateValue state = RUNTIME__V1__POD_SANDBOX_STATE_VALUE__INIT;
    cleanup_free label_entry *labels = mem_alloc(args->labels.n * sizeof(*labels));
    cleanup_free label_entry **pointers = mem_alloc(args->labels.n * sizeof(*pointers));
    int rc = 0;
    (void)argc;
    (void)argv;

    if (args->state) {
        rc = parse_state(args->state, &state, err);
        filter.state = &state;
    }
    for (size_t i = 0; !rc && i < args->labels.n; i++) {
        rc = parse_label(args->labels.items[i], &labels[i], err);
        pointers[i] = &labels[i];
        filter.n_label_selector = i + 1;
    }
    filter.label_selector = pointers;
    if (!rc)
        rc = list(cli, args, &filter, err);
    for (size_t i = 0; i < args->labels.n; i++)
        free(labels[i].key);
    opt_list_done(&args->labels);
    return rc;
}

const struct command cmd_pods = {
    .name = "pods",
    .args = "[-q] [--state STATE] [--label KEY=VALUE]... [-o json]",
    .summary = "list pods",
    .opts = opts,
    .size = sizeof(struct args),
    .run = run,
};
