/* The one table of all methods: 43 of CRI and cricket's own. To add an RPC is to add a row here and a file beside it. */
#pragma once
#include <protobuf-c/protobuf-c.h>
#include <stddef.h>

struct rpc;

struct method {
    const ProtobufCServiceDescriptor *service;
    const char *name;                /* as in the service descriptor */
    void (*handle)(struct rpc *rpc); /* NULL: UNIMPLEMENTED, with the method's name */
    const char *path;                /* "/runtime.v1.RuntimeService/Version" */
    const ProtobufCMethodDescriptor *descriptor;
};

/* Resolves paths and descriptors; aborts when a row and the .proto disagree. Call once. */
void methods_init(void);
const struct method *method_find(const char *path);
const struct method *method_at(size_t i); /* NULL past the end */

/* one file each, handlers/<snake_case>.c, or one file for a small family */
void handle_version(struct rpc *rpc);
void handle_status(struct rpc *rpc);
void handle_runtime_config(struct rpc *rpc);
void handle_update_runtime_config(struct rpc *rpc);
void handle_run_pod_sandbox(struct rpc *rpc);
void handle_stop_pod_sandbox(struct rpc *rpc);
void handle_remove_pod_sandbox(struct rpc *rpc);
void handle_pod_sandbox_status(struct rpc *rpc);
void handle_list_pod_sandbox(struct rpc *rpc);
void handle_create_container(struct rpc *rpc);
void handle_start_container(struct rpc *rpc);
void handle_stop_container(struct rpc *rpc);
void handle_remove_container(struct rpc *rpc);
void handle_list_containers(struct rpc *rpc);
void handle_container_status(struct rpc *rpc);
void handle_reopen_container_log(struct rpc *rpc);
void handle_container_stats(struct rpc *rpc);
void handle_list_container_stats(struct rpc *rpc);
void handle_pod_sandbox_stats(struct rpc *rpc);
void handle_list_pod_sandbox_stats(struct rpc *rpc);
void handle_exec_sync(struct rpc *rpc);
void handle_exec(struct rpc *rpc);
void handle_attach(struct rpc *rpc);
void handle_port_forward(struct rpc *rpc);
void handle_list_images(struct rpc *rpc);
void handle_image_status(struct rpc *rpc);
void handle_pull_image(struct rpc *rpc);
void handle_remove_image(struct rpc *rpc);
void handle_image_fs_info(struct rpc *rpc);
void handle_import_image(struct rpc *rpc);
