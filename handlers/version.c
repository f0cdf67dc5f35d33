#include "handlers/methods.h"
#include "handlers/rpc.h"

#include "proto/cri.pb-c.h"

/* The kubelet's own API version; it checks that the reply has it and logs the rest. */
static char KUBE_API_VERSION[] = "0.1.0";
static char RUNTIME_NAME[] = "cricket";
static char RUNTIME_VERSION[] = CRICKET_VERSION;
static char CRI_VERSION[] = "v1";

void handle_version(struct rpc *rpc)
{
    Runtime__V1__VersionResponse reply = RUNTIME__V1__VERSION_RESPONSE__INIT;

    reply.version = KUBE_API_VERSION;
    reply.runtime_name = RUNTIME_NAME;
    reply.runtime_version = RUNTIME_VERSION;
    reply.runtime_api_version = CRI_VERSION;
    rpc_reply(rpc, &reply.base);
}
