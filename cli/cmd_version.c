#include "cli/commands.h"
#include "cli/json.h"

#include <stdio.h>

struct args {
    bool json;
};

static const struct opt opts[] = {OPT_JSON(struct args, json), OPT_END};

static void print_json(const ProtobufCMessage *server)
{
    json_t *j = json_pack("{s:{s:s,s:s}, s:o}", "client", "name", "cricket", "version", CRICKET_VERSION,
                          "server", server ? json_of_message(server, 0) : json_null());

    json_print(j);
    json_decref(j);
}

static int run(struct cli *cli, void *data, int argc, char **argv, struct err *err)
{
    const struct args *args = data;
    cleanup_reply Runtime__V1__VersionResponse *r = NULL;
    Runtime__V1__VersionRequest req = RUNTIME__V1__VERSION_REQUEST__INIT;
    (void)argc;
    (void)argv;

    req.version = "v1";
    int rc = cri_call(cli, "Version", &req, &r, err);
    if (args->json) {
        print_json(rc < 0 ? NULL : &r->base);
        return rc;
    }
    printf("client   cricket %s\n", CRICKET_VERSION);
    if (rc < 0)
        return rc;
    printf("server   %s %s (CRI %s) on %s\n", r->runtime_name, r->runtime_version, r->runtime_api_version,
           cli->socket);
    return EXIT_OK;
}

const struct command cmd_version = {
    .name = "version",
    .summary = "show the versions of this program and of the runtime",
    .opts = opts,
    .size = sizeof(struct args),
    .run = run,
};
