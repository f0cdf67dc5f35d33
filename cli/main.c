#include "cli/cli.h"
#include "cli/grpc.h"
#include "cli/suggest.h"
#include "core/mem.h"

#include <curl/curl.h>
#include <errno.h>
#include <locale.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { HELP_COLUMN = 26 };

#define DEFAULT_ENDPOINT "unix:///run/cricket/cricket.sock"

static const struct opt cli_opts[] = {
    {0, "endpoint", OPT_STRING, offsetof(struct cli, endpoint), "ADDRESS",
     "the runtime's socket; or $CRICKET_ENDPOINT, $CONTAINER_RUNTIME_ENDPOINT. Default " DEFAULT_ENDPOINT},
    {0, "timeout", OPT_SECONDS, offsetof(struct cli, timeout_ms), "TIME",
     "how long one call may take; default: depends on the call"},
    {'h', "help", OPT_FLAG, offsetof(struct cli, help), NULL, "how to use the command"},
    {0, "version", OPT_FLAG, offsetof(struct cli, version), NULL, "the version of this program"},
    OPT_END,
};

static void print_opts(const struct opt *opts)
{
    for (const struct opt *o = opts; o && o->name; o++) {
        char left[64];
        int n =
            snprintf(left, sizeof(left), "%c%c%s --%s%s%s", o->letter ? '-' : ' ', o->letter ? o->letter : ' ',
                     o->letter ? "," : " ", o->name, o->value ? " " : "", o->value ? o->value : "");
        printf("  %-*s%s%*s%s\n", HELP_COLUMN, left, n > HELP_COLUMN ? "\n" : "  ",
               n > HELP_COLUMN ? HELP_COLUMN + 4 : 0, "", o->help);
    }
}

void command_help(const struct command *c)
{
    if (!c) {
        printf("Usage: cricket [--endpoint ADDRESS] [--timeout TIME] COMMAND ...\n\nCommands:\n");
        for (size_t i = 0; (c = command_at(i)); i++)
            printf("  %-12s %s\n", c->name, c->summary);
        printf("\nOptions of every command:\n");
        print_opts(cli_opts);
        printf("\n`cricket help COMMAND` says more.\n");
        return;
    }
    printf("Usage: cricket %s%s%s\n\n%c%s.\n", c->name, c->args ? " " : "", c->args ? c->args : "",
           c->summary[0] - 32, c->summary + 1);
    if (c->details)
        printf("%s\n", c->details);
    if (c->opts && c->opts->name) {
        printf("\nOptions:\n");
        print_opts(c->opts);
    }
}

static const char *endpoint_of_environment(void)
{
    static const char *const names[] = {"CRICKET_ENDPOINT", "CONTAINER_RUNTIME_ENDPOINT"};

    for (size_t i = 0; i < countof(names); i++) {
        const char *v = getenv(names[i]);
        if (v && *v)
            return v;
    }
    return DEFAULT_ENDPOINT;
}

static int unknown_command(const char *name)
{
    const char *words[128];
    size_t n = 0;

    for (const struct command *c; n + 1 < countof(words) && (c = command_at(n)); n++)
        words[n] = c->name;
    const char *near = suggest(name, words, n);
    fprintf(stderr, "cricket: there is no command \"%s\". %s`cricket %s`%s\n", name,
            near ? "Did you mean " : "", near ? near : "help", near ? "?" : " lists them.");
    return EXIT_USAGE;
}

static int usage(const struct command *c, const struct err *err)
{
    fprintf(stderr, "cricket %s: %s\nUsage: cricket %s%s%s\n", c->name, err->msg, c->name, c->args ? " " : "",
            c->args ? c->args : "");
    return EXIT_USAGE;
}

static int run_command(struct cli *cli, const struct command *c, int argc, char **argv)
{
    struct err err = {0};
    cleanup_free void *args = mem_alloc(c->size);
    struct opt_parse p = {.sets = {{c->opts, args}, {cli_opts, cli}}, .in_order = c->in_order};
    int n = opt_parse(&p, argc, argv, &err);

    if (cli->help) {
        command_help(c);
        return EXIT_OK;
    }
    if (n < 0)
        return usage(c, &err);
    if (n < c->min_args || (c->max_args >= 0 && n > c->max_args)) {
        if (n < c->min_args)
            err_set(&err, GRPC_INVALID_ARGUMENT, 0, "something is missing");
        else
            err_set(&err, GRPC_INVALID_ARGUMENT, 0, "\"%s\" is one word too many", argv[c->max_args]);
        return usage(c, &err);
    }
    int rc = c->run(cli, args, n, argv, &err);
    fflush(stdout); /* before the error, where both go to one place */
    if (rc == CLI_USAGE)
        return usage(c, &err);
    if (rc < 0) {
        fprintf(stderr, "cricket %s: %s\n", c->name, err.msg);
        return EXIT_ERROR;
    }
    return rc;
}

/* Output that could not be written is an error: `cricket inspect x > /full/disk`. A closed pipe ends us by SIGPIPE. */
static int flush_output(int rc)
{
    if (fflush(stdout) == 0 && !ferror(stdout))
        return rc;
    fprintf(stderr, "cricket: writing the output: %s\n", strerror(errno));
    return rc ? rc : EXIT_ERROR;
}

int main(int argc, char **argv)
{
    struct cli cli = {.endpoint = endpoint_of_environment()};
    struct err err = {0};
    int rc;

    /* Words before the command: the common options only. */
    struct opt_parse p = {.sets = {{cli_opts, &cli}}, .in_order = true};
    int n = opt_parse(&p, argc - 1, argv + 1, &err);
    if (n < 0) {
        fprintf(stderr, "cricket: %s. `cricket help` lists the options.\n", err.msg);
        return EXIT_USAGE;
    }
    if (cli.version) {
        printf("cricket %s\n", CRICKET_VERSION);
        return flush_output(EXIT_OK);
    }
    if (n == 0) {
        command_help(NULL);
        return flush_output(cli.help ? EXIT_OK : EXIT_USAGE);
    }
    const struct command *c = command_find(argv[1]);
    if (!c)
        return unknown_command(argv[1]);
    curl_global_init(CURL_GLOBAL_DEFAULT);
    rc = run_command(&cli, c, n - 1, argv + 2);
    grpc_free(cli.grpc);
    free(cli.socket);
    curl_global_cleanup();
    return flush_output(rc);
}
