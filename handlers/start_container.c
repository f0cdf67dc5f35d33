#include "core/file.h"
#include "core/log.h"
#include "core/mem.h"
#include "handlers/container_ops.h"
#include "handlers/methods.h"
#include "handlers/runtimes.h"

#include <string.h>

static int clear_the_way(struct flow *f);
static int run_it(struct flow *f);
static int delete_it(struct flow *f);
static int commit(struct flow *f);

/* "create" and "start" of the OCI runtime are one call: nothing of ours happens between them. */
static const struct flow_step start_container_steps[] = {
    {"clear the way", clear_the_way, NULL},
    {"run", run_it, delete_it},
    {"commit", commit, NULL},
    {0},
};

enum { RUN_TIMEOUT_MS = 120000, LOG_MAX = 1 << 20, SOCKET_PATH_MAX = 108 };

struct start_flow {
    struct container *container;
    int pid;
};

/* The runtime's own words are in its log; what it printed is second best. */
static void explain(struct container *c, const struct err *from, struct err *ret)
{
    cleanup_free char *path = container_path(c, "runtime.log");
    cleanup_buf struct buf log = {0};
    struct err ignored;

    *ret = *from;
    if (file_read(path, LOG_MAX, &log, &ignored) == 0 && log.len) {
        cleanup_free char *words = runtime_log_error(log.data, log.len);
        if (words)
            err_set(ret, from->grpc == GRPC_DEADLINE_EXCEEDED ? GRPC_DEADLINE_EXCEEDED : GRPC_INTERNAL, 0, "%s",
                    words);
    }
    err_wrap(ret, "start container %s", c->name);
}

static void on_created(void *data, int pid, const struct err *err)
{
    struct flow *f = data;
    struct start_flow *sf = f->data;
    struct err words;

    sf->pid = pid;
    if (err)
        explain(sf->container, err, &words);
    flow_done(f, err ? &words : NULL);
}

static void resume(void *data)
{
    flow_resume(data, 0);
}

/* An earlier start failed, and so did the runtime's delete: what is left has the same id. */
static int clear_the_way(struct flow *f)
{
    struct start_flow *sf = f->data;

    if (!sf->container->in_runtime)
        return 0;
    container_delete_from_runtime(sf->container);
    container_after_delete(sf->container, resume, f);
    return FLOW_WAIT;
}

static int run_it(struct flow *f)
{
    struct start_flow *sf = f->data;
    struct container *c = sf->container;
    struct pod *pod = container_pod(c);
    const struct runtime *rt;
    struct err err;
    cleanup_free char *pid_file = container_path(c, "pid");
    cleanup_free char *log_file = container_path(c, "runtime.log");
    cleanup_free char *console = c->tty ? container_path(c, "tty") : NULL;

    if (runtime_find(c->daemon->runtimes, pod->runtime, &rt, &err) < 0)
        return flow_error(f, &err);
    if (!pod->keeper) {
        err_set(&err, GRPC_UNAVAILABLE, 0, "container %s: the keeper of its pod is being restarted: try again",
                c->name);
        return flow_error(f, &err);
    }
    if (console && strlen(console) >= SOCKET_PATH_MAX) {
        err_set(&err, GRPC_FAILED_PRECONDITION, 0,
                "container %s: a terminal's socket %s is longer than %d bytes: start cricketd with a shorter "
                "--state",
                c->name, console, SOCKET_PATH_MAX - 1);
        return flow_error(f, &err);
    }
    c->in_runtime = true;
    if (container_save(c, &err) < 0) /* the journal: after a crash there may be something to delete */
        return flow_error(f, &err);
    struct runtime_create rc = {.id = c->id,
                                .bundle = c->dir,
                                .pid_file = pid_file,
                                .console_socket = console,
                                .log_file = log_file,
                                .run = true};
    cleanup_free char **argv = runtime_create_argv(rt, &rc);
    Runtime__V1__ContainerConfig *config = container_config(c);
    struct keeper_create kc = {
        .container_id = c->id,
        .argv = (const char *const *)argv,
        .pid_file = pid_file,
        .console_socket = console,
        .log_path = c->log_path,
        .stdin_open = config->stdin,
        .stdin_once = config->stdin_once,
        .program_mount = runtime_mounts_itself(rt),
        .timeout_ms = RUN_TIMEOUT_MS,
    };
    runtime__v1__container_config__free_unpacked(config, NULL);
    if (keeper_create(pod->keeper, &kc, on_created, f, &err) < 0)
        return flow_error(f, &err);
    return FLOW_WAIT;
}

static int delete_it(struct flow *f)
{
    struct start_flow *sf = f->data;
    struct container *c = sf->container;

    if (!c->in_runtime)
        return 0;
    container_delete_from_runtime(c);
    container_after_delete(c, resume, f);
    return FLOW_WAIT;
}

static int commit(struct flow *f)
{
    struct start_flow *sf = f->data;
    struct err err;

    container_set_running(sf->container, sf->pid, time_now_ns());
    if (container_save(sf->container, &err) < 0) {
        container_unset_running(sf->container);
        return flow_error(f, &err);
    }
    return 0;
}

static void on_free(struct op *op)
{
    free(op->flow.data);
}

static void reply(struct op *op, struct rpc *rpc)
{
    Runtime__V1__StartContainerResponse r = RUNTIME__V1__START_CONTAINER_RESPONSE__INIT;

    (void)op;
    rpc_reply(rpc, &r.base);
}

static struct op *start_container_op(struct container *c)
{
    struct start_flow *sf = mem_new(struct start_flow);
    struct op *op;

    sf->container = c;
    op = op_new(c->daemon, &c->op, start_container_steps,
                mem_printf("StartContainer %.13s (%s)", c->id, c->name), sf);
    op->reply = reply;
    op->on_free = on_free;
    return op;
}

void handle_start_container(struct rpc *rpc)
{
    const Runtime__V1__StartContainerRequest *req = (const Runtime__V1__StartContainerRequest *)rpc->request;
    struct err err;
    struct container *c = container_find(rpc->daemon->containers, req->container_id, &err);

    if (!c) {
        rpc_fail(rpc, &err);
    } else if (c->op && c->op->flow.steps == start_container_steps && !c->op->flow.unwinding) {
        op_wait_rpc(c->op, rpc);
    } else if (c->op) {
        op_retry_rpc(c->op, rpc);
    } else if (container_pod(c)->op) {
        op_retry_rpc(container_pod(c)->op, rpc);
    } else if (c->state == CONTAINER_STATE_RUNNING) {
        reply(NULL, rpc); /* a retry whose first answer was lost */
    } else if (c->state != CONTAINER_STATE_CREATED) {
        err_set(&err, GRPC_FAILED_PRECONDITION, 0, "container %s (%.13s) has ended: make a new one", c->name,
                c->id);
        rpc_fail(rpc, &err);
    } else if (container_pod(c)->state != POD_READY) {
        err_set(&err, GRPC_FAILED_PRECONDITION, 0, "container %s: its pod %s/%s is not ready: make a new one",
                c->name, container_pod(c)->namespace, container_pod(c)->name);
        rpc_fail(rpc, &err);
    } else {
        struct op *op = start_container_op(c);
        op_wait_rpc(op, rpc);
        op_start(op);
    }
}
