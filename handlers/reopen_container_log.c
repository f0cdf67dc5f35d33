#include "core/mem.h"
#include "handlers/containers.h"
#include "handlers/methods.h"

/* The keeper may answer after the client has gone. */
struct reopen {
    struct rpc *rpc; /* NULL: gone */
};

static void on_gone(void *data)
{
    struct reopen *r = data;
    r->rpc = NULL;
}

static void on_done(void *data, const struct err *err)
{
    struct reopen *r = data;
    Runtime__V1__ReopenContainerLogResponse reply = RUNTIME__V1__REOPEN_CONTAINER_LOG_RESPONSE__INIT;

    if (r->rpc) {
        rpc_on_gone(r->rpc, NULL, NULL);
        if (err)
            rpc_fail(r->rpc, err);
        else
            rpc_reply(r->rpc, &reply.base);
    }
    free(r);
}

void handle_reopen_container_log(struct rpc *rpc)
{
    const Runtime__V1__ReopenContainerLogRequest *req =
        (const Runtime__V1__ReopenContainerLogRequest *)rpc->request;
    struct err err;
    struct container *c = container_find(rpc->daemon->containers, req->container_id, &err);

    if (!c) {
        rpc_fail(rpc, &err);
        return;
    }
    if (c->state != CONTAINER_STATE_RUNNING || !container_pod(c)->keeper) {
        err_set(&err, GRPC_FAILED_PRECONDITION, 0,
                "container %s (%.13s) is not running: it has no log to reopen", c->name, c->id);
        rpc_fail(rpc, &err);
        return;
    }
    struct reopen *r = mem_new(struct reopen);
    r->rpc = rpc;
    if (keeper_reopen_log(container_pod(c)->keeper, c->id, on_done, r, &err) < 0) {
        free(r);
        rpc_fail(rpc, &err);
        return;
    }
    rpc_on_gone(rpc, on_gone, r);
}
