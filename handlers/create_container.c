#include "core/file.h"
#include "core/log.h"
#include "core/mem.h"
#include "core/signals.h"
#include "handlers/container_ops.h"
#include "handlers/container_spec.h"
#include "handlers/images.h"
#include "handlers/methods.h"
#include "handlers/pod_parts.h"
#include "handlers/record.h"
#include "handlers/runtimes.h"
#include "loop/rootfs.h"

#include <string.h>

static int take_image(struct flow *f);
static int make_files(struct flow *f);
static int look_at_host_paths(struct flow *f);
static int make_rootfs(struct flow *f);
static int write_bundle(struct flow *f);
static int commit(struct flow *f);

const struct flow_step create_container_steps[] = {
    {"image", take_image, container_release_image},
    {"files", make_files, container_remove_files},
    {"host paths", look_at_host_paths, NULL},
    {"root filesystem", make_rootfs, container_remove_rootfs},
    {"bundle", write_bundle, NULL},
    {"commit", commit, NULL},
    {0},
};

static int choose_stop_signal(struct container *c, const struct container_inputs *in, struct err *err)
{
    int n = signal_of_cri((int)in->config->stop_signal);

    if (n < 0)
        return err_set(err, GRPC_INVALID_ARGUMENT, 0, "stop_signal %d is not known",
                       (int)in->config->stop_signal);
    if (n == 0 && in->image->stop_signal && signal_parse(in->image->stop_signal, &n, err) < 0)
        return err_wrap(err, "image %s: stop signal", c->image);
    c->stop_signal = n;
    return 0;
}

static int take_image(struct flow *f)
{
    struct container_flow *cf = f->data;
    struct container *c = cf->container;
    struct images *images = c->daemon->images;
    const struct image *image = image_find(images, c->image);
    struct err err;

    if (!image) {
        err_set(&err, GRPC_NOT_FOUND, 0, "container %s: image %s is not on this node: pull it first", c->name,
                c->image);
        return flow_error(f, &err);
    }
    image_use(images, image);
    c->image_used = true;
    c->image_id = mem_strdup(image->id);
    c->image_ref = mem_strdup(image->digests && image->digests[0] ? image->digests[0] : image->id);
    cf->inputs->image = image->config;
    if (container_spec_check(c, cf->inputs, &err) < 0 || choose_stop_signal(c, cf->inputs, &err) < 0)
        return flow_error(f, &err);
    return 0;
}

static int make_files(struct flow *f)
{
    struct container_flow *cf = f->data;
    struct err err;

    return dir_make(cf->container->dir, 0711, &err) < 0 ? flow_error(f, &err) : 0;
}

static void on_host_paths(void *data, const struct host_devices *devices, const struct err *err)
{
    struct flow *f = data;
    struct container_flow *cf = f->data;

    if (devices)
        cf->inputs->devices = *devices;
    flow_done(f, err);
}

static bool wants_host_devices(const struct container *c, const Runtime__V1__ContainerConfig *config)
{
    const struct runtime *rt;
    struct err err;

    return config->linux && config->linux->security_context && config->linux->security_context->privileged &&
           runtime_find(c->daemon->runtimes, container_pod(c)->runtime, &rt, &err) == 0 &&
           !rt->config->privileged_without_host_devices;
}

static int look_at_host_paths(struct flow *f)
{
    struct container_flow *cf = f->data;
    struct err err;

    cf->inputs->host_devices = wants_host_devices(cf->container, cf->config);
    if (host_paths_prepare(f->loop, cf->config, cf->container->log_path, cf->inputs->host_devices,
                           &cf->inputs->pool, on_host_paths, f, NULL, &err) < 0)
        return flow_error(f, &err);
    return FLOW_WAIT;
}

static void on_rootfs(void *data, struct image_user *user, const struct err *err)
{
    struct flow *f = data;
    struct container_flow *cf = f->data;
    struct container *c = cf->container;

    if (user) {
        c->uid = user->uid;
        c->gid = user->gid;
        c->gids = steal_ptr(&user->groups);
        c->gids_n = user->groups_n;
    }
    flow_done(f, err);
}

static struct image_user_spec user_spec(const struct container_flow *cf)
{
    const Runtime__V1__LinuxContainerSecurityContext *sec =
        cf->config->linux ? cf->config->linux->security_context : NULL;
    struct image_user_spec u = {.image_user = cf->inputs->image->user};

    if (!sec)
        return u;
    u.username = sec->run_as_username;
    u.uid_set = sec->run_as_user != NULL;
    u.uid = u.uid_set ? sec->run_as_user->value : 0;
    u.gid_set = sec->run_as_group != NULL;
    u.gid = u.gid_set ? sec->run_as_group->value : 0;
    u.supplemental_groups = sec->supplemental_groups;
    u.supplemental_groups_n = sec->n_supplemental_groups;
    u.strict = sec->supplemental_groups_policy == RUNTIME__V1__SUPPLEMENTAL_GROUPS_POLICY__Strict;
    return u;
}

/* The image once more, after a wait. NULL with err when it is gone. */
static const struct image *image_again(struct container_flow *cf, struct err *err)
{
    struct container *c = cf->container;
    const struct image *image = image_find_used(c->daemon->images, c->image_id);

    if (image)
        cf->inputs->image = image->config;
    else
        err_set(err, GRPC_NOT_FOUND, 0, "container %s: image %s was removed meanwhile: pull it again", c->name,
                c->image);
    return image;
}

static int make_rootfs(struct flow *f)
{
    struct container_flow *cf = f->data;
    struct container *c = cf->container;
    struct err err;
    const struct image *image = image_again(cf, &err);

    if (!image)
        return flow_error(f, &err);
    cleanup_free char *data = mem_printf("%s/containers/%s", c->daemon->config.root, c->id);
    cleanup_free char *target = container_path(c, "rootfs");
    struct image_user_spec user = user_spec(cf);
    struct rootfs_spec spec = {
        .name = c->name,
        .layers = (const char *const *)image->layers,
        .data_dir = data,
        .target = target,
        .user = &user,
        .working_dir = cf->inputs->cwd,
    };
    if (rootfs_prepare(f->loop, &spec, on_rootfs, f, NULL, &err) < 0)
        return flow_error(f, &err);
    return FLOW_WAIT;
}

static int write_bundle(struct flow *f)
{
    struct container_flow *cf = f->data;
    struct container *c = cf->container;
    cleanup_free char *path = container_path(c, "config.json");
    cleanup_free char *json = NULL;
    struct err err;

    if (!image_again(cf, &err))
        return flow_error(f, &err);
    if (container_spec_build(c, cf->inputs, &json, &err) < 0 ||
        file_write(path, json, strlen(json), 0600, &err) < 0) {
        err_wrap(&err, "container %s", c->name);
        return flow_error(f, &err);
    }
    return 0;
}

static int commit(struct flow *f)
{
    struct container_flow *cf = f->data;
    struct container *c = cf->container;
    struct err err;

    free(c->step);
    c->step = NULL;
    c->state = CONTAINER_STATE_CREATED;
    if (container_save(c, &err) < 0) {
        c->state = CONTAINER_STATE_CREATING;
        return flow_error(f, &err);
    }
    return 0;
}

static void journal(struct flow *f)
{
    struct container_flow *cf = f->data;
    struct err err;

    free(cf->container->step);
    cf->container->step = mem_strdup(f->steps[f->at].name);
    if (container_save(cf->container, &err) < 0)
        log_error("%s: cannot journal: %s", f->name, err.msg);
}

static void on_end(struct op *op)
{
    struct container_flow *cf = op->flow.data;
    struct err err;

    if (op->flow.rc == 0)
        return;
    if (container_delete_row(cf->container, &err) < 0)
        log_error("%s: %s", op->name, err.msg);
    container_free(cf->container);
}

static void on_free(struct op *op)
{
    struct container_flow *cf = op->flow.data;

    runtime__v1__container_config__free_unpacked(cf->config, NULL);
    runtime__v1__pod_sandbox_config__free_unpacked(
        (Runtime__V1__PodSandboxConfig *)(uintptr_t)cf->inputs->pod_config, NULL);
    pool_done(&cf->inputs->pool);
    free(cf->inputs);
    free(cf);
}

static void answer(struct container *c, struct rpc *rpc)
{
    Runtime__V1__CreateContainerResponse r = RUNTIME__V1__CREATE_CONTAINER_RESPONSE__INIT;

    r.container_id = c->id;
    rpc_reply(rpc, &r.base);
}

static void reply(struct op *op, struct rpc *rpc)
{
    struct container_flow *cf = op->flow.data;

    answer(cf->container, rpc);
}

struct op *create_container_op(struct container *c)
{
    struct container_flow *cf = mem_new(struct container_flow);
    struct op *op;

    cf->container = c;
    cf->config = container_config(c);
    cf->inputs = mem_new(struct container_inputs);
    cf->inputs->config = cf->config;
    cf->inputs->pod_config = pod_config(container_pod(c));
    op = op_new(c->daemon, &c->op, create_container_steps,
                mem_printf("CreateContainer %.13s (%s)", c->id, c->name), cf);
    op->flow.on_step = journal;
    op->reply = reply;
    op->on_end = on_end;
    op->on_free = on_free;
    return op;
}

static bool goes_up(const char *path)
{
    for (; *path; path += strcspn(path, "/")) {
        path += strspn(path, "/");
        if (strcspn(path, "/") == 2 && path[0] == '.' && path[1] == '.')
            return true;
    }
    return false;
}

static int check_request(const Runtime__V1__CreateContainerRequest *req, struct err *err)
{
    const Runtime__V1__ContainerConfig *c = req->config;

    if (!c || !c->metadata || !c->metadata->name[0])
        return err_set(err, GRPC_INVALID_ARGUMENT, 0, "container config has no metadata.name: set it");
    if (strlen(c->metadata->name) > 253)
        return err_set(err, GRPC_INVALID_ARGUMENT, 0,
                       "container metadata.name \"%.40s...\" is longer than 253 bytes", c->metadata->name);
    if (!c->image || !c->image->image[0])
        return err_set(err, GRPC_INVALID_ARGUMENT, 0, "container %s: config has no image: set image.image",
                       c->metadata->name);
    if (goes_up(c->log_path))
        return err_set(err, GRPC_INVALID_ARGUMENT, 0, "container %s: log_path \"%s\" must not have \"..\"",
                       c->metadata->name, c->log_path);
    return 0;
}

/* The pod was made with a PID namespace for each container, and this container asks for the pod's (CRI's default). */
static bool lacks_infra(const struct pod *pod, const Runtime__V1__ContainerConfig *config)
{
    const Runtime__V1__NamespaceOption *ns = config->linux && config->linux->security_context
                                                 ? config->linux->security_context->namespace_options
                                                 : NULL;

    return (!pod->infra || !pod->infra_pid) && !pod->host_pid &&
           (!ns || ns->pid == RUNTIME__V1__NAMESPACE_MODE__POD);
}

static void answer_existing(struct rpc *rpc, struct container *c)
{
    struct err err;

    if (c->op && c->state == CONTAINER_STATE_CREATING && !c->op->flow.unwinding) {
        op_wait_rpc(c->op, rpc);
    } else if (c->op) {
        op_retry_rpc(c->op, rpc);
    } else if (c->state == CONTAINER_STATE_CREATED) {
        answer(c, rpc);
    } else {
        err_set(&err, GRPC_ALREADY_EXISTS, 0,
                "container %s attempt %u exists in this pod (%.13s): remove it, or count the attempt up",
                c->name, c->attempt, c->id);
        rpc_fail(rpc, &err);
    }
}

/* log_directory of the pod and log_path of the container; NULL when either is missing: as containerd, no log then. */
static char *log_path_of(const struct pod *pod, const Runtime__V1__ContainerConfig *config)
{
    Runtime__V1__PodSandboxConfig *pc = pod_config(pod);
    char *path = NULL;

    if (pc->log_directory[0] == '/' && config->log_path[0])
        path = mem_printf("%s/%s", pc->log_directory, config->log_path);
    runtime__v1__pod_sandbox_config__free_unpacked(pc, NULL);
    return path;
}

void handle_create_container(struct rpc *rpc)
{
    const Runtime__V1__CreateContainerRequest *req = (const Runtime__V1__CreateContainerRequest *)rpc->request;
    struct daemon *d = rpc->daemon;
    struct err err;

    if (check_request(req, &err) < 0) {
        rpc_fail(rpc, &err);
        return;
    }
    struct pod *pod = pod_find(d->pods, req->pod_sandbox_id, &err);
    if (!pod) {
        rpc_fail(rpc, &err);
        return;
    }
    if (pod->op) { /* being stopped or removed: then it is refused below, or not found */
        op_retry_rpc(pod->op, rpc);
        return;
    }
    if (pod->state != POD_READY) {
        err_set(&err, GRPC_FAILED_PRECONDITION, 0, "container %s: pod %s/%s is not ready: make a new one",
                req->config->metadata->name, pod->namespace, pod->name);
        rpc_fail(rpc, &err);
        return;
    }
    cleanup_free char *key = container_key(pod->id, req->config->metadata);
    struct container *c = container_find_key(d->containers, key);
    if (c) {
        answer_existing(rpc, c);
        return;
    }
    if (lacks_infra(pod, req->config)) {
        struct op *infra = infra_late_op(pod);
        op_wait_rpc(infra, rpc);
        op_start(infra);
        return;
    }
    c = container_new(d, pod, req->config);
    c->log_path = log_path_of(pod, req->config);
    struct op *op = create_container_op(c);
    op_wait_rpc(op, rpc);
    op_start(op);
}
