/* The three services by method name, and how long each method may take. */
#include "cli/cli.h"
#include "cli/grpc.h"

#include <stdlib.h>
#include <string.h>

static const ProtobufCServiceDescriptor *const services[] = {
    &runtime__v1__runtime_service__descriptor,
    &runtime__v1__image_service__descriptor,
    &cricket__v1__cricket__descriptor,
};

/* Others take DEFAULT_S; 0: as long as it takes. */
enum { DEFAULT_S = 30 };
static const struct {
    const char *method;
    int seconds;
} deadlines[] = {
    {"PullImage", 0},        {"ImportImage", 0},        {"RunPodSandbox", 240},
    {"StopPodSandbox", 240}, {"RemovePodSandbox", 240}, {"CreateContainer", 240},
    {"StartContainer", 240}, {"RemoveContainer", 240},  {"RemoveImage", 120},
};

static int deadline_ms(const char *method)
{
    for (size_t i = 0; i < countof(deadlines); i++)
        if (!strcmp(deadlines[i].method, method))
            return deadlines[i].seconds * 1000;
    return DEFAULT_S * 1000;
}

static int open_once(struct cli *cli, struct err *err)
{
    int rc;

    if (cli->grpc)
        return 0;
    if (!cli->socket && (rc = grpc_endpoint_path(cli->endpoint, &cli->socket, err)) < 0)
        return rc;
    return grpc_open(cli->socket, &cli->grpc, err);
}

int cri_cancel_fd(struct cli *cli, int fd, struct err *err)
{
    int rc = open_once(cli, err);

    if (!rc)
        grpc_set_cancel_fd(cli->grpc, fd);
    return rc;
}

int cri_call_within(struct cli *cli, const char *method, const void *request, int timeout_ms, void *ret_reply,
                    struct err *err)
{
    ProtobufCMessage *reply;
    int rc = open_once(cli, err);

    if (rc < 0)
        return rc;
    for (size_t i = 0; i < countof(services); i++) {
        const ProtobufCMethodDescriptor *m =
            protobuf_c_service_descriptor_get_method_by_name(services[i], method);
        if (!m)
            continue;
        if (cli->timeout_ms)
            timeout_ms = cli->timeout_ms;
        rc = grpc_call(cli->grpc, services[i], m, request, timeout_ms, &reply, err);
        if (!rc)
            memcpy(ret_reply, &reply, sizeof(reply));
        return rc;
    }
    return err_set(err, GRPC_UNIMPLEMENTED, 0, "no service has a method %s", method);
}

int cri_call(struct cli *cli, const char *method, const void *request, void *ret_reply, struct err *err)
{
    return cri_call_within(cli, method, request, deadline_ms(method), ret_reply, err);
}

void cri_reply_free(void *reply_ptr)
{
    ProtobufCMessage *m;

    memcpy(&m, reply_ptr, sizeof(m));
    if (m)
        protobuf_c_message_free_unpacked(m, NULL);
}
