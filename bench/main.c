/* cribench: measures a CRI runtime on its socket. */
#include "bench/bench.h"
#include "bench/plot.h"
#include "bench/requests.h"
#include "core/mem.h"
#include "proto/cri.pb-c.h"

#include <errno.h>
#include <getopt.h>
#include <stdlib.h>
#include <string.h>

enum kind { TEXT, NUMBER, SECONDS, FLAG, PIDS };

struct option_row {
    const char *name;
    enum kind kind;
    size_t offset; /* in struct bench */
    const char *help;
};
#define ROW(name, kind, field, help)                                                                           \
    {                                                                                                          \
        name, kind, offsetof(struct bench, field), help                                                        \
    }
static const struct option_row rows[] = {
    ROW("endpoint", TEXT, socket, "unix://SOCKET of the runtime"),
    ROW("runtime-pids", PIDS, daemon, "the daemon's process; further ones are found below --cgroup"),
    ROW("cgroup", TEXT, cgroup, "the runtime's own cgroup, from the top of a hierarchy"),
    ROW("cgroup-parent", TEXT, cgroup_parent, "where the pods' cgroups go"),
    ROW("handler", TEXT, handler, "runtime_handler of the pods"),
    ROW("image", TEXT, image, "image of the containers; it must have `sleep` and `true`"),
    ROW("registry", TEXT, registry, "HOST:PORT/PREFIX of the images that `pull` pulls: large, many, small"),
    ROW("root", TEXT, root, "the runtime's directory that survives a reboot"),
    ROW("state", TEXT, state, "the one that does not"),
    ROW("work", TEXT, work, "a directory for logs and mount sources"),
    ROW("start-before", TEXT, start_before, "what the shell of --start-command does first; not timed"),
    ROW("start-command", TEXT, start_command, "starts the daemon: `restart` needs it"),
    ROW("rows-command", TEXT, rows_command, "prints the number of records that the runtime keeps"),
    ROW("stream-client", TEXT, stream_client, "measures a streaming URL: `stream` needs it"),
    ROW("oci-runtime", TEXT, oci_runtime, "for the floors"),
    ROW("cni-conf", TEXT, cni_conf, "a .conflist, for the floors"),
    ROW("cni-bin", TEXT, cni_bin, "the directory of CNI plugins, for the floors"),
    ROW("count", NUMBER, count, "how often; default: the scenario's own"),
    ROW("pods", NUMBER, pods, "the most pods that there are at a time; default: the scenario's own"),
    ROW("callers", NUMBER, callers, "calls at a time where a scenario has several"),
    ROW("seconds", SECONDS, seconds, "how long, where a scenario has a duration"),
    ROW("quick", FLAG, quick, "less of everything"),
};
enum { N_ROWS = countof(rows), OPT_JSON = N_ROWS, OPT_HELP };

static void usage(void)
{
    printf("Usage: cribench --endpoint unix://SOCKET [OPTIONS] SCENARIO...\n"
           "       cribench plot A.json [B.json ...] > distributions.svg\n\nScenarios:\n");
    for (size_t i = 0; scenario_at(i); i++)
        printf("  %-10s %s\n", scenario_at(i)->name, scenario_at(i)->summary);
    printf("\nOptions:\n");
    for (size_t i = 0; i < N_ROWS; i++)
        printf("  --%-14s %s\n", rows[i].name, rows[i].help);
    printf("  --%-14s %s\n", "json", "a file to write the results to, with every sample");
}

static int set_option(struct bench *b, const struct option_row *row, const char *value, struct err *err)
{
    void *field = (char *)b + row->offset;
    char *end = NULL;
    double number = value ? strtod(value, &end) : 0;

    if (row->kind == TEXT) {
        *(const char **)field = value;
        return 0;
    }
    if (row->kind == FLAG) {
        *(bool *)field = true;
        return 0;
    }
    if (end == value || (*end && !(row->kind == PIDS && *end == ',')) || number < 0 || number > 1e9)
        return err_set(err, GRPC_INVALID_ARGUMENT, 0, "--%s %s: it takes a number", row->name, value);
    if (row->kind == SECONDS)
        *(double *)field = number;
    else if (row->kind == PIDS)
        *(pid_t *)field = (pid_t)number;
    else
        *(unsigned *)field = (unsigned)number;
    return 0;
}

static int parse(struct bench *b, int argc, char **argv, const char **ret_json, struct err *err)
{
    struct option options[N_ROWS + 3] = {0};
    int c, rc;

    for (int i = 0; i < N_ROWS; i++)
        options[i] =
            (struct option){rows[i].name, rows[i].kind == FLAG ? no_argument : required_argument, NULL, i};
    options[OPT_JSON] = (struct option){"json", required_argument, NULL, OPT_JSON};
    options[OPT_HELP] = (struct option){"help", no_argument, NULL, OPT_HELP};
    while ((c = getopt_long(argc, argv, "", options, NULL)) >= 0) {
        if (c == OPT_HELP) {
            usage();
            exit(0);
        }
        if (c == OPT_JSON)
            *ret_json = optarg;
        else if (c >= N_ROWS)
            return err_set(err, GRPC_INVALID_ARGUMENT, 0, "see cribench --help");
        else if ((rc = set_option(b, &rows[c], optarg, err)) < 0)
            return rc;
    }
    if (b->socket && !strncmp(b->socket, "unix://", 7))
        b->socket += 7;
    if (optind == argc)
        return err_set(err, GRPC_INVALID_ARGUMENT, 0, "name a scenario; see cribench --help");
    return 0;
}

static char *runtime_version(struct bench *b, struct err *err)
{
    struct call call = {.path = method_path("Version")};
    char *text = NULL;

    buf_add(&call.request, "\0\0\0\0\0", 5);
    if (conn_call(b->conn, &call, err) == 0) {
        Runtime__V1__VersionResponse *r =
            (Runtime__V1__VersionResponse *)reply_unpack(&call, &runtime__v1__version_response__descriptor);
        text = mem_printf("%s %s", r ? r->runtime_name : "?", r ? r->runtime_version : "?");
        if (r)
            protobuf_c_message_free_unpacked(&r->base, NULL);
    }
    call_done(&call);
    return text;
}

static int run_one(struct bench *b, const struct scenario *s, json_t *report)
{
    struct err err = {0};
    double load = 0; /* what else the machine had to do when this began */

    if (getloadavg(&load, 1) < 1)
        load = -1;
    int rc = s->run(b, &err);
    if (rc < 0)
        series_fail(series_get(&b->results, "", "%s", s->name), err.msg);
    printf("\n%s: %s\n", s->name, s->summary);
    series_print(&b->results);
    fflush(stdout);
    json_object_set_new(report, s->name,
                        json_pack("{s:f, s:o}", "load", load, "series", series_json(&b->results)));
    series_set_done(&b->results);
    return rc;
}

static int run_all(struct bench *b, char **names, const char *json, struct err *err)
{
    cleanup_free char *version = NULL;
    json_t *scenarios = json_object();
    int rc = 0, bad = 0;

    for (char **name = names; !rc && *name; name++) {
        const struct scenario *s = scenario_find(*name);
        if (!s)
            rc = err_set(err, GRPC_INVALID_ARGUMENT, 0, "scenario %s: there is none; see cribench --help",
                         *name);
        else if (s->needs_runtime && !b->socket)
            rc = err_set(err, GRPC_INVALID_ARGUMENT, 0, "scenario %s: give --endpoint unix://SOCKET", *name);
        else if (s->needs_runtime && !b->conn && (!(rc = conn_open(b->socket, &b->conn, err))) &&
                 !(version = runtime_version(b, err)))
            rc = err_errno(err);
        if (!rc)
            bad |= run_one(b, s, scenarios);
    }
    json_t *report = json_pack("{s:s, s:s?, s:i, s:o}", "cribench", CRICKET_VERSION, "runtime", version,
                               "daemon", (int)b->daemon, "scenarios", scenarios);
    if (!rc && json && json_dump_file(report, json, JSON_COMPACT | JSON_REAL_PRECISION(9)) < 0)
        rc = err_set(err, GRPC_INTERNAL, errno, "%s", json);
    json_decref(report);
    return rc ? rc : bad;
}

int main(int argc, char **argv)
{
    struct bench b = {.handler = "",
                      .cgroup_parent = "/cribench",
                      .work = "/tmp/cribench",
                      .image = "127.0.0.1:5000/test/busybox:1",
                      .oci_runtime = "crun",
                      .cni_bin = "/usr/lib/cni",
                      .callers = 10};
    const char *json = NULL;
    struct err err = {0};

    if (argc > 1 && !strcmp(argv[1], "plot"))
        return plot_main(argc - 2, argv + 2);
    int rc = parse(&b, argc, argv, &json, &err);
    if (!rc)
        rc = requests_prepare(&b, &err);
    if (!rc)
        rc = run_all(&b, argv + optind, json, &err);
    conn_free(b.conn);
    if (err.grpc)
        fprintf(stderr, "cribench: %s\n", err.msg);
    return rc ? 1 : 0;
}
