/*
 * Exec by streaming. cribench asks for the URL; a program that --stream-client names speaks to it: `CLIENT KIND URL` prints one
 * sample a line, in the unit of the table below.
 */
#include "bench/ops.h"
#include "bench/program.h"
#include "bench/requests.h"
#include "proto/cri.pb-c.h"

#include <stdlib.h>
#include <string.h>

static const struct kind {
    const char *name; /* the client's first word */
    const char *unit, *series;
    const char *words[6]; /* what runs in the container */
    bool stdin_;
    unsigned times;
} kinds[] = {
    {"first", "ms", "exec by WebSocket, to the first byte", {"echo", "x"}, false, 10},
    {"echo", "ms", "exec by WebSocket, round trip", {"cat"}, true, 1},
    {"bulk",
     "MB/s",
     "exec by WebSocket, 32 MiB from the container",
     {"dd", "if=/dev/zero", "bs=65536", "count=512"},
     false,
     3},
};

static int ask_url(struct bench *b, const struct job *pod, const struct kind *k, char url[static 512],
                   struct err *err)
{
    Runtime__V1__ExecRequest r = RUNTIME__V1__EXEC_REQUEST__INIT;
    struct call call = {.path = method_path("Exec")};

    r.container_id = (char *)pod->container;
    r.cmd = (char **)k->words;
    while (k->words[r.n_cmd])
        r.n_cmd++;
    r.stdin = k->stdin_;
    r.stdout = true;
    request_pack(&call.request, &r.base);
    int rc = conn_call(b->conn, &call, err);
    if (rc < 0)
        err_set(err, call.status, 0, "%s: %s", grpc_code_name(call.status), call.message);
    Runtime__V1__ExecResponse *reply =
        rc ? NULL : (Runtime__V1__ExecResponse *)reply_unpack(&call, &runtime__v1__exec_response__descriptor);
    snprintf(url, 512, "%s", reply ? reply->url : "");
    if (reply)
        protobuf_c_message_free_unpacked(&reply->base, NULL);
    call_done(&call);
    return rc;
}

static int measure(struct bench *b, const struct job *pod, const struct kind *k, struct err *err)
{
    char url[512];
    cleanup_buf struct buf out = {0};
    const char *const argv[] = {b->stream_client, k->name, url, NULL};
    int rc = ask_url(b, pod, k, url, err);

    if (!rc)
        rc = program_run(argv, NULL, NULL, &out, NULL, err);
    for (char *line = rc ? NULL : out.data; line && *line; line = strchr(line, '\n') + 1) {
        series_add(series_get(&b->results, k->unit, "%s", k->series), strtod(line, NULL));
        if (!strchr(line, '\n'))
            break;
    }
    return rc;
}

static int run(struct bench *b, struct err *err)
{
    struct job *pod = jobs_new(b, 1, true);
    int rc = ops_run(b, ops_up, pod, 1, 1, NULL, err);

    if (!rc && !b->stream_client)
        rc = err_set(err, GRPC_INVALID_ARGUMENT, 0, "give --stream-client; bench/stream_client.py is one");
    for (size_t i = 0; !rc && i < countof(kinds); i++)
        for (unsigned n = 0; n < kinds[i].times; n++) {
            struct err one;
            if (measure(b, pod, &kinds[i], &one) < 0) {
                series_fail(series_get(&b->results, kinds[i].unit, "%s", kinds[i].series), one.msg);
                break;
            }
        }
    if (ops_run(b, ops_down, pod, 1, 1, NULL, rc ? NULL : err) < 0 && !rc)
        rc = err_errno(err);
    jobs_free(pod, 1);
    return rc;
}

const struct scenario scenario_stream = {
    "stream", "Exec over WebSocket: to the first byte, round trip, throughput", true, run};
