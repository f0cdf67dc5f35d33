/* PortForward: a URL at which a client reaches TCP ports on the loopback interface of a pod's network. */
#include "core/mem.h"
#include "handlers/methods.h"
#include "handlers/pods.h"
#include "handlers/port_session.h"
#include "handlers/rpc.h"

static const struct stream_kind port_forward_kind = {
    .path = "portforward", .use = STREAM_PORTS, .open = port_session_open};

static int check(const struct rpc *rpc, const Runtime__V1__PortForwardRequest *req, const struct pod **ret_pod,
                 struct err *err)
{
    if (!*req->pod_sandbox_id)
        return err_set(err, GRPC_INVALID_ARGUMENT, 0, "PortForward: missing required pod_sandbox_id");
    for (size_t i = 0; i < req->n_port; i++)
        if (req->port[i] < 1 || req->port[i] > UINT16_MAX)
            return err_set(err, GRPC_INVALID_ARGUMENT, 0, "PortForward: port %d is not 1 to 65535",
                           req->port[i]);
    if (!(*ret_pod = pod_find(rpc->daemon->pods, req->pod_sandbox_id, err)))
        return err_errno(err);
    if ((*ret_pod)->state != POD_READY)
        return err_set(err, GRPC_FAILED_PRECONDITION, 0,
                       "pod %s/%s (%.13s) is not ready: there is nothing to forward to", (*ret_pod)->namespace,
                       (*ret_pod)->name, (*ret_pod)->id);
    return 0;
}

void handle_port_forward(struct rpc *rpc)
{
    const Runtime__V1__PortForwardRequest *req = (const Runtime__V1__PortForwardRequest *)rpc->request;
    Runtime__V1__PortForwardResponse reply = RUNTIME__V1__PORT_FORWARD_RESPONSE__INIT;
    const struct pod *pod = NULL;
    struct err err;

    if (check(rpc, req, &pod, &err) < 0)
        rpc_fail(rpc, &err);
    else
        streaming_reply(rpc, stream_request_new(&port_forward_kind, pod->id), &reply.base, &reply.url);
}
