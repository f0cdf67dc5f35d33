/*
 * ExecSync: the OCI runtime's exec as a child, its output captured. A time-out kills the process inside the container
 * first (its pid is in a file), so that nothing of a probe stays behind; the runtime's exec ends with it.
 */
#include "core/file.h"
#include "core/log.h"
#include "core/mem.h"
#include "handlers/containers.h"
#include "handlers/methods.h"
#include "handlers/record.h"
#include "handlers/runtimes.h"
#include "loop/child.h"

#include <signal.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>

/* Of both streams together, so that the reply stays below what clients take (16 MiB); the rest is dropped. */
enum { OUTPUT_MAX = (16 << 20) - 1024, SPEC_MAX = 4 << 20 };

struct exec {
    struct rpc *rpc; /* NULL: the client went away */
    struct child *child;
    struct timer timer;
    struct loop *loop;
    char *name;
    char *process_file, *pid_file, *log_file;
    int64_t timeout_s;
    bool timed_out;
};

static void exec_free(struct exec *x)
{
    timer_stop(&x->timer);
    unlink(x->process_file);
    unlink(x->pid_file);
    unlink(x->log_file);
    free(x->process_file);
    free(x->pid_file);
    free(x->log_file);
    free(x->name);
    free(x);
}

static int parent_of(int pid)
{
    cleanup_free char *path = mem_printf("/proc/%d/stat", pid);
    cleanup_buf struct buf text = {0};
    struct err ignored;
    int parent = 0;

    if (file_read(path, 4096, &text, &ignored) < 0 || !text.len)
        return 0;
    const char *name_end = strrchr(text.data, ')'); /* the name may have spaces and brackets */
    return name_end && sscanf(name_end, ") %*c %d", &parent) == 1 ? parent : 0;
}

/* The pidfd first, then the look at its parent: so the number cannot have gone to another process. */
static bool kill_child_of(int runtime, int pid)
{
    cleanup_close int fd = (int)syscall(SYS_pidfd_open, pid, 0);

    return fd >= 0 && parent_of(pid) == runtime && syscall(SYS_pidfd_send_signal, fd, SIGKILL, NULL, 0) == 0;
}

static void kill_inside(struct exec *x)
{
    cleanup_buf struct buf text = {0};
    struct err ignored;

    if (file_read(x->pid_file, 32, &text, &ignored) == 0 && text.len && atoi(text.data) > 1 &&
        kill_child_of(child_pid(x->child), atoi(text.data)))
        return;
    child_cancel(x->child); /* it has not got that far */
}

static void on_timeout(void *data)
{
    struct exec *x = data;

    x->timed_out = true;
    kill_inside(x);
}

static void on_gone(void *data)
{
    struct exec *x = data;

    x->rpc = NULL;
    kill_inside(x);
}

/* Exit status 255 of the runtime itself, with an error in its log, is no exit code of the command. */
static int runtime_failed(const struct exec *x, struct err *err)
{
    cleanup_buf struct buf log = {0};
    struct err ignored;

    if (file_read(x->log_file, 1 << 20, &log, &ignored) < 0 || !log.len)
        return 0;
    cleanup_free char *words = runtime_log_error(log.data, log.len);
    if (!words)
        return 0;
    return err_set(err, GRPC_INTERNAL, 0, "%s: %s", x->name, words);
}

static void on_done(void *data, struct child_result *r)
{
    struct exec *x = data;
    Runtime__V1__ExecSyncResponse reply = RUNTIME__V1__EXEC_SYNC_RESPONSE__INIT;
    struct err err;

    if (!x->rpc) {
        exec_free(x);
        return;
    }
    rpc_on_gone(x->rpc, NULL, NULL);
    int code = WIFEXITED(r->status) ? WEXITSTATUS(r->status) : 128 + WTERMSIG(r->status);
    if (x->timed_out) {
        err_set(&err, GRPC_DEADLINE_EXCEEDED, 0, "%s: took longer than %ld s and was killed", x->name,
                (long)x->timeout_s);
        rpc_fail(x->rpc, &err);
    } else if (code != 0 && runtime_failed(x, &err) < 0) {
        rpc_fail(x->rpc, &err);
    } else {
        size_t room = OUTPUT_MAX - r->err.len;
        reply.stderr = (ProtobufCBinaryData){r->err.len, (uint8_t *)r->err.data};
        reply.stdout = (ProtobufCBinaryData){r->out.len < room ? r->out.len : room, (uint8_t *)r->out.data};
        reply.exit_code = code;
        rpc_reply(x->rpc, &reply.base);
    }
    exec_free(x);
}

/* The container's own process with another command line: user, capabilities, environment, limits stay as they are. */
static int write_process(struct container *c, const Runtime__V1__ExecSyncRequest *req, const char *file,
                         struct err *err)
{
    cleanup_free char *path = container_path(c, "config.json");
    cleanup_buf struct buf spec = {0};
    int r;

    if (file_read(path, SPEC_MAX, &spec, err) < 0)
        return err_errno(err);
    json_t *o = json_loadb(spec.data, spec.len, 0, NULL);
    json_t *process = json_object_get(o, "process");
    json_t *args = json_array();
    for (size_t i = 0; i < req->n_cmd; i++)
        json_array_append_new(args, json_string(req->cmd[i]));
    if (!process || json_array_size(args) != req->n_cmd) {
        json_decref(args);
        json_decref(o);
        return err_set(err, GRPC_INVALID_ARGUMENT, 0, "container %.13s: the command is not valid UTF-8", c->id);
    }
    json_object_set_new(process, "args", args);
    json_object_set_new(process, "terminal", json_false());
    char *text = json_dumps(process, JSON_COMPACT);
    r = file_write(file, text, strlen(text), 0600, err);
    free(text);
    json_decref(o);
    return r;
}

static int start(struct exec *x, struct container *c, const Runtime__V1__ExecSyncRequest *req, struct err *err)
{
    const struct runtime *rt;

    if (runtime_find(c->daemon->runtimes, container_pod(c)->runtime, &rt, err) < 0 ||
        write_process(c, req, x->process_file, err) < 0)
        return err_errno(err);
    struct runtime_exec rx = {
        .id = c->id, .process_file = x->process_file, .pid_file = x->pid_file, .log_file = x->log_file};
    cleanup_free char **argv = runtime_exec_argv(rt, &rx);
    struct child_spec spec = {
        .name = x->name, .argv = (const char *const *)argv, .out_max = OUTPUT_MAX, .err_max = OUTPUT_MAX};
    return child_start(c->daemon->loop, &spec, on_done, x, &x->child, err);
}

void handle_exec_sync(struct rpc *rpc)
{
    static unsigned counter;
    const Runtime__V1__ExecSyncRequest *req = (const Runtime__V1__ExecSyncRequest *)rpc->request;
    struct err err;
    struct container *c = container_find(rpc->daemon->containers, req->container_id, &err);

    if (!c) {
        rpc_fail(rpc, &err);
        return;
    }
    if (c->state != CONTAINER_STATE_RUNNING)
        err_set(&err, GRPC_FAILED_PRECONDITION, 0,
                "container %s (%.13s) is not running: there is nothing to run a command in", c->name, c->id);
    else if (req->n_cmd == 0 || !req->cmd[0][0])
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
    x->loop = rpc->daemon->loop;
    x->timeout_s = req->timeout;
    x->name = mem_printf("exec \"%.40s\" in container %s", req->cmd[0], c->name);
    counter++;
    x->process_file = mem_printf("%s/exec-%u.json", c->dir, counter);
    x->pid_file = mem_printf("%s/exec-%u.pid", c->dir, counter);
    x->log_file = mem_printf("%s/exec-%u.log", c->dir, counter);
    if (start(x, c, req, &err) < 0) {
        exec_free(x);
        rpc_fail(rpc, &err);
        return;
    }
    rpc_on_gone(rpc, on_gone, x);
    if (req->timeout > 0)
        timer_start(&x->timer, x->loop, (double)req->timeout, on_timeout, x);
}
