#include "handlers/cri_stats.h"
#include "handlers/image_table.h"
#include "handlers/methods.h"
#include "handlers/rpc.h"
#include "proto/cri.pb-c.h"

/* What the layers hold, summed when they were unpacked: nothing is walked. Images and containers share one filesystem. */
void handle_image_fs_info(struct rpc *rpc)
{
    Runtime__V1__ImageFsInfoResponse reply = RUNTIME__V1__IMAGE_FS_INFO_RESPONSE__INIT;
    Runtime__V1__FilesystemUsage *one[1], *two[1];
    struct tree_usage layers = {0}, none = {0};
    int64_t now = time_now_ns();

    layers_usage(rpc->daemon->images->layers, &layers.bytes, &layers.inodes);
    one[0] = cri_filesystem_usage(rpc, rpc->daemon->config.root, now, &layers);
    two[0] = cri_filesystem_usage(rpc, rpc->daemon->config.root, now, &none);
    reply.n_image_filesystems = reply.n_container_filesystems = 1;
    reply.image_filesystems = one;
    reply.container_filesystems = two;
    rpc_reply(rpc, &reply.base);
}
