/* ExecSync: a command whose output is captured. A time-out, or a client that goes away, kills it. */
#include "core/mem.h"
#include "handlers/containers.h"
#include "handlers/exec_capture.h"
#include "handlers/methods.h"
#include "handlers/record.h"

#include <sys/wait.h>

/* Of both streams together, so that the reply stays below what clients take (16 MiB); the rest is dropped. */
enum { OUTPUT_MAX = (16 << 20) - 1024 };

struct exec {
    struct rpc *rpc; /* NULL: the client went away */
    struct exec_capture *command;
    struct timer timer;
    char *name;
    int64_t timeout_s;
    bool timed_out;
};

static void exec_free(struct exec *x)
{
    timer_stop(&x->timer);
    free(x->name);
    free(x);
}

static void on_timeout(void *data)
{
    struct exec *x = data;

    x->timed_out = true;
    exec_capture_kill(x->command);
}

static void on_gone(void *data)
{
    struct exec *x = data;

    x->rpc = NULL;
    exec_capture_kill(x->command);
}

static void reply(struct exec *x, const struct exec_result *r)
{
    Runtime__V1__ExecSyncResponse m = RUNTIME__V1__EXEC_SYNC_RESPONSE__INIT;
    size_t room = OUTPUT_MAX - r->err.len;

    m.stderr = (ProtobufCBinaryData){r->err.len, (uint8_t *)r->err.data};
    m.stdout = (ProtobufCBinaryData){r->out.len < room ? r->out.len : room, (uint8_t *)r->out.data};
    m.exit_code = WIFEXITED(r->status) ? WEXITSTATUS(r->status) : 128 + WTERMSIG(r->status);
    rpc_reply(x->rpc, &m.base);
}

static void on_done(void *data, const struct exec_result *r, const struct err *failure)
{
    struct exec *x = data;
    struct err err;

    if (x->rpc) {
        rpc_on_gone(x->rpc, NULL, NULL);
        if (x->timed_out) {
            err_set(&err, GRPC_DEADLINE_EXCEEDED, 0, "%s: took longer than %ld s and was killed", x->name,
                    (long)x->timeout_s);
            rpc_fail(x->rpc, &err);
        } else if (failure) {
            rpc_fail(x->rpc, failure);
        } else {
            reply(x, r);
        }
    }
    exec_free(x);
}

static int start(struct exec *x, struct container *c, const Runtime__V1__ExecSyncRequest *req, struct err *err)
{
    cleanup_free const char **argv = mem_alloc((req->n_cmd + 1) * sizeof(*argv));

    for (size_t i = 0; i < req->n_cmd; i++)
        argv[i] = req->cmd[i];
    return exec_capture_start(c, x->name, argv, OUTPUT_MAX, on_done, x, &x->command, err);
}

void handle_exec_sync(struct rpc *rpc)
{
    const Runtime__V1__ExecSyncRequest *req = (const Runtime__V1__ExecSyncRequest *)rpc->request;
    struct err err;
    struct container *c =
        container_find_running(rpc->daemon->containers, req->container_id, "run a command in", &err);

    if (!c) {
        rpc_fail(rpc, &err);
        return;
    }
    if (req->n_cmd == 0 || !req->cmd[0][0])
        err_set(&err, GRPC_INVALID_ARGUMENT, 0, "ExecSync in container %s: cmd is empty", c->name);
    else if (req->timeout < 0)
        err_set(&err, GRPC_INVALID_ARGUMENT, 0, "ExecSync in container %s: timeout %ld s is negative", c->name,
                (long)req->timeout);
    else
        err.grpc = GRPC_OK;
    if (err.grpc != GRPC_OK) {
        rpc_fail(rpc, &err);
        return;
    }
    struct exec *x = mem_new(struct exec);
    x->rpc = rpc;
    x->timeout_s = req->timeout;
    x->name = mem_printf("exec \"%.40s\" in container %s", req->cmd[0], c->name);
    if (start(x, c, req, &err) < 0) {
        exec_free(x);
        rpc_fail(rpc, &err);
        return;
    }
    rpc_on_gone(rpc, on_gone, x);
    if (req->timeout > 0)
        timer_start(&x->timer, rpc->daemon->loop, (double)req->timeout, on_timeout, x);
}
