#include "cli/commands.h"
#include "cli/json.h"
#include "cli/table.h"

#include <string.h>

struct args {
    bool json;
};

static const struct opt opts[] = {OPT_JSON(struct args, json), OPT_END};

static void print(const Runtime__V1__StatusResponse *r)
{
    static const char *const titles[] = {"CONDITION", "STATUS", "REASON", "MESSAGE"};
    static const char *const handler_titles[] = {"HANDLER", "USER NAMESPACES", "RECURSIVE READ-ONLY"};
    cleanup_table struct table t = {0};
    cleanup_table struct table h = {0};

    table_init(&t, countof(titles), titles);
    for (size_t i = 0; r->status && i < r->status->n_conditions; i++) {
        const Runtime__V1__RuntimeCondition *c = r->status->conditions[i];
        table_row(&t, (const char *[]){c->type, c->status ? "true" : "false", c->reason, c->message});
    }
    table_print(&t);
    table_init(&h, countof(handler_titles), handler_titles);
    for (size_t i = 0; i < r->n_runtime_handlers; i++) {
        const Runtime__V1__RuntimeHandler *x = r->runtime_handlers[i];
        table_row(&h, (const char *[]){x->name[0] ? x->name : "(default)",
                                       x->features && x->features->user_namespaces ? "yes" : "no",
                                       x->features && x->features->recursive_read_only_mounts ? "yes" : "no"});
    }
    if (r->n_runtime_handlers) {
        putchar('\n');
        table_print(&h);
    }
}

static int run(struct cli *cli, void *data, int argc, char **argv, struct err *err)
{
    const struct args *args = data;
    cleanup_reply Runtime__V1__StatusResponse *r = NULL;
    Runtime__V1__StatusRequest req = RUNTIME__V1__STATUS_REQUEST__INIT;
    (void)argc;
    (void)argv;

    req.verbose = args->json;
    int rc = cri_call(cli, "Status", &req, &r, err);
    if (rc < 0)
        return rc;
    if (args->json)
        json_print_message(r, JSON_INFO);
    else
        print(r);
    return EXIT_OK;
}

const struct command cmd_info = {
    .name = "info",
    .summary = "show the runtime's conditions and handlers",
    .opts = opts,
    .size = sizeof(struct args),
    .run = run,
};
