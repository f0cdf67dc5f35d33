#include "handlers/image_table.h"
#include "handlers/methods.h"
#include "handlers/rpc.h"
#include "proto/cri.pb-c.h"

static Runtime__V1__UInt64Value *number(struct rpc *rpc, uint64_t value)
{
    Runtime__V1__UInt64Value *v = rpc_new(rpc, Runtime__V1__UInt64Value);

    runtime__v1__uint64_value__init(v);
    v->value = value;
    return v;
}

static Runtime__V1__FilesystemUsage *usage(struct rpc *rpc, uint64_t bytes, uint64_t inodes)
{
    Runtime__V1__FilesystemUsage *u = rpc_new(rpc, Runtime__V1__FilesystemUsage);

    runtime__v1__filesystem_usage__init(u);
    u->timestamp = time_now_ns();
    u->fs_id = rpc_new(rpc, Runtime__V1__FilesystemIdentifier);
    runtime__v1__filesystem_identifier__init(u->fs_id);
    u->fs_id->mountpoint = rpc_strdup(rpc, rpc->daemon->config.root);
    u->used_bytes = number(rpc, bytes);
    u->inodes_used = number(rpc, inodes);
    return u;
}

/* What the layers hold, summed when they were unpacked: nothing is walked. Images and containers share one filesystem. */
void handle_image_fs_info(struct rpc *rpc)
{
    Runtime__V1__ImageFsInfoResponse reply = RUNTIME__V1__IMAGE_FS_INFO_RESPONSE__INIT;
    Runtime__V1__FilesystemUsage *one[1], *two[1];
    uint64_t bytes, inodes;

    layers_usage(rpc->daemon->images->layers, &bytes, &inodes);
    one[0] = usage(rpc, bytes, inodes);
    two[0] = usage(rpc, 0, 0);
    reply.n_image_filesystems = reply.n_container_filesystems = 1;
    reply.image_filesystems = one;
    reply.container_filesystems = two;
    rpc_reply(rpc, &reply.base);
}
