#include "netns/netns.h"
#include "core/mem.h"
#include "netns/netns_child.h"
#include "netns/sysctl.h"

#include <errno.h>
#include <string.h>
#include <sys/wait.h>

enum {
    PIN_TIMEOUT_MS = 30000,
    HOSTNAME_MAX = 64,  /* __NEW_UTS_LEN */
    FAILED_STATUS = 64, /* exit status of a child that failed in order: this plus the gRPC code */
};

/* ---- what the children say ----------------------------------------------------------------------------------------- */

/* A child that fails says so by its exit status (the code) and "ERRNO MESSAGE" as the last line of its diagnostics. */
static int child_report(int rc, const struct err *err)
{
    if (rc >= 0)
        return 0;
    dprintf(2, "\n%d %s", err->sys, err->msg);
    return FAILED_STATUS + (err->grpc > 0 && err->grpc <= GRPC_UNAUTHENTICATED ? err->grpc : GRPC_INTERNAL);
}

/* The other end of child_report(); also knows of children that died, were cancelled or took too long. */
static int child_error(const struct child_result *r, const char *name, struct err *err)
{
    int status = WIFEXITED(r->status) ? WEXITSTATUS(r->status) : -1;
    char *line = r->err.len ? memrchr(r->err.data, '\n', r->err.len) : NULL;
    char *text;

    if (r->cancelled || r->timed_out || status <= FAILED_STATUS || !line)
        return child_check(r, name, err);
    long sys = strtol(line + 1, &text, 10);
    err_set(err, status - FAILED_STATUS, 0, "%s: %s", name, *text == ' ' ? text + 1 : text);
    err->sys = sys > 0 ? (int)sys : 0; /* its text is in the message */
    return err_errno(err);
}

/* ---- sysctls ------------------------------------------------------------------------------------------------------- */

int netns_check_sysctls(const struct kv_list *sysctls, bool net, bool ipc, bool uts, struct err *err)
{
    const bool own[] = {[SYSCTL_NET] = net, [SYSCTL_IPC] = ipc, [SYSCTL_UTS] = uts};
    static const char *const names[] = {[SYSCTL_NET] = "network", [SYSCTL_IPC] = "IPC", [SYSCTL_UTS] = "UTS"};

    for (size_t i = 0; sysctls && i < sysctls->n; i++) {
        const char *name = sysctls->items[i].key;
        char path[256];
        int r = sysctl_path(name, path, err);
        if (r < 0)
            return r;
        enum sysctl_ns ns = sysctl_ns_of(path);
        if (ns == SYSCTL_HOST)
            return err_set(err, GRPC_INVALID_ARGUMENT, 0,
                           "sysctl %s is not namespaced: it would change the host's", name);
        if (!own[ns])
            return err_set(err, GRPC_INVALID_ARGUMENT, 0,
                           "sysctl %s is not allowed with the host's %s namespace", name, names[ns]);
    }
    return 0;
}

/* ---- pin and unpin ------------------------------------------------------------------------------------------------- */

struct pin_op {
    struct loop *loop;
    char *dir, *shm_dir;
    netns_done_fn *on_done;
    void *data;
    struct err why; /* of a pin that died and is being cleaned up after */
};

static struct pin_op *op_new(struct loop *l, const char *dir, const char *shm_dir, netns_done_fn *on_done,
                             void *data)
{
    struct pin_op *op = mem_new(struct pin_op);

    *op = (struct pin_op){
        .loop = l, .dir = mem_strdup(dir), .shm_dir = mem_strdup(shm_dir), .on_done = on_done, .data = data};
    return op;
}

static void op_free(struct pin_op *op)
{
    free(op->dir);
    free(op->shm_dir);
    free(op);
}

static void op_finish(struct pin_op *op, const struct err *err)
{
    op->on_done(op->data, err);
    op_free(op);
}

static int run_unpin(void *arg, int out_fd)
{
    const struct pin_op *op = arg;
    struct err err = {0};

    (void)out_fd;
    return child_report(netns_child_unpin(op->dir, op->shm_dir, &err), &err);
}

static void on_unpinned(void *data, struct child_result *result)
{
    struct pin_op *op = data;
    struct err err;

    if (op->why.grpc) /* the pin's error is what the caller asked about */
        op_finish(op, &op->why);
    else
        op_finish(op, child_error(result, "unpin pod namespaces", &err) < 0 ? &err : NULL);
}

static int start_unpin(struct pin_op *op, struct err *err)
{
    const struct child_spec spec = {.name = "unpin", .run = run_unpin, .arg = op, .timeout_ms = PIN_TIMEOUT_MS};

    return child_start(op->loop, &spec, on_unpinned, op, NULL, err);
}

int netns_unpin(struct loop *l, const char *dir, const char *shm_dir, netns_done_fn *on_done, void *data,
                struct err *err)
{
    struct pin_op *op = op_new(l, dir, shm_dir, on_done, data);
    int r = start_unpin(op, err);

    if (r < 0)
        op_free(op);
    return r;
}

static int run_pin(void *arg, int out_fd)
{
    struct err err = {0};

    (void)out_fd;
    return child_report(netns_child_pin(arg, &err), &err);
}

static void on_pinned(void *data, struct child_result *result)
{
    struct pin_op *op = data;
    struct err err, start;
    bool orderly = WIFEXITED(result->status) && !result->timed_out;

    if (child_error(result, "pod namespaces", &err) == 0) {
        op_finish(op, NULL);
        return;
    }
    if (!orderly) { /* it could not undo its part itself */
        op->why = err;
        if (start_unpin(op, &start) == 0)
            return;
    }
    op_finish(op, &err);
}

int netns_pin(struct loop *l, const struct netns_spec *spec, netns_done_fn *on_done, void *data,
              struct err *err)
{
    struct netns_spec copy = *spec; /* the child has its own copy of all memory */
    const struct child_spec child = {.name = "pin", .run = run_pin, .arg = &copy, .timeout_ms = PIN_TIMEOUT_MS};
    int r = netns_check_sysctls(spec->sysctls, spec->net, spec->ipc, spec->uts, err);

    if (r < 0)
        return r;
    if (spec->hostname && strlen(spec->hostname) > HOSTNAME_MAX)
        return err_set(err, GRPC_INVALID_ARGUMENT, 0, "hostname \"%.80s\" is longer than %d bytes",
                       spec->hostname, HOSTNAME_MAX);
    struct pin_op *op = op_new(l, spec->dir, spec->shm_dir, on_done, data);
    r = child_start(l, &child, on_pinned, op, NULL, err);
    if (r < 0)
        op_free(op);
    return r;
}

/* ---- run in a namespace -------------------------------------------------------------------------------------------- */

enum { OUT_FD = 3 };

struct run_op {
    char *path;
    netns_ran_fn *on_done;
    void *data;
};

static int run_joined(void *arg, int out_fd)
{
    const struct netns_run_spec *s = arg;
    struct err err = {0};
    int r = netns_child_join(s->path, &err);

    /* it may live long: a copy of a client's connection in here would keep it from ever being seen as closed */
    if (r == 0 && (dup2(out_fd, OUT_FD) < 0 || close_range(OUT_FD + 1, ~0u, 0) < 0))
        r = err_sys(&err, errno, "close descriptors");
    if (r == 0)
        r = s->fn(s->arg, OUT_FD, &err);
    return child_report(r, &err);
}

static void on_ran(void *data, struct child_result *result)
{
    struct run_op *op = data;
    struct err err;
    bool failed = child_error(result, op->path, &err) < 0;

    op->on_done(op->data, &result->out, failed ? &err : NULL);
    free(op->path);
    free(op);
}

int netns_run(struct loop *l, const struct netns_run_spec *spec, netns_ran_fn *on_done, void *data,
              struct child **ret_child, struct err *err)
{
    struct netns_run_spec copy = *spec;
    const struct child_spec child = {.name = "netns",
                                     .run = run_joined,
                                     .arg = &copy,
                                     .timeout_ms = spec->timeout_ms,
                                     .stdin_fd = spec->stdin_fd,
                                     .stdout_fd = spec->stdout_fd};
    struct run_op *op = mem_new(struct run_op);

    *op = (struct run_op){.path = mem_strdup(spec->path), .on_done = on_done, .data = data};
    int r = child_start(l, &child, on_ran, op, ret_child, err);
    if (r < 0) {
        free(op->path);
        free(op);
    }
    return r;
}
