/*
 *   plan is there ------------> BY_PLAN ---> started ---> exit
 *   no plan yet --> BUILDING --/   |
 *        \______________\_________ v   refused, or nothing of the command has run
 *                              BY_RUNTIME --> started ---> exit
 */
#include "handlers/exec_process.h"
#include "core/log.h"
#include "core/mem.h"
#include "core/utf8.h"
#include "handlers/exec_plans.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>

struct exec_process {
    struct daemon *daemon;
    char id[ID_SIZE];
    char *name;
    char **argv; /* pointers and strings in one block */
    bool tty, killed, left;
    int fds[3];                   /* until the command has them */
    struct exec_by_plan *by_plan; /* at most one of the two */
    struct exec_by_runtime *by_runtime;
    struct exec_process_events events;
    void *data;
};

static void close_fds(struct exec_process *x)
{
    for (size_t i = 0; i < countof(x->fds); i++)
        if (x->fds[i] >= 0)
            close(steal_fd(&x->fds[i]));
}

static void exec_process_free(struct exec_process *x)
{
    close_fds(x);
    free(x->argv);
    free(x->name);
    free(x);
}

static void failed(struct exec_process *x, const struct err *err)
{
    if (!x->left)
        x->events.on_started(x->data, -1, err);
    exec_process_free(x);
}

static void started(struct exec_process *x, int pty)
{
    close_fds(x);
    if (!x->left)
        x->events.on_started(x->data, pty, NULL);
    else if (pty >= 0)
        close(pty);
}

static void on_exit_status(void *data, int status)
{
    struct exec_process *x = data;

    if (!x->left)
        x->events.on_exit(x->data, status);
    exec_process_free(x);
}

static struct exec_spec spec_of(const struct exec_process *x)
{
    return (struct exec_spec){.name = x->name,
                              .argv = (const char *const *)x->argv,
                              .tty = x->tty,
                              .fds = {x->fds[0], x->fds[1], x->fds[2]}};
}

static void on_runtime_started(void *data, int pty, const struct err *err)
{
    if (err)
        failed(data, err);
    else
        started(data, pty);
}

static int start_by_runtime(struct exec_process *x, struct container *c, struct err *err)
{
    static const struct exec_process_events events = {on_runtime_started, on_exit_status};
    struct exec_spec spec = spec_of(x);

    return exec_by_runtime_start(c, &spec, &events, x, &x->by_runtime, err);
}

/* The container as it is now, if it still runs: it may have been removed meanwhile. */
static struct container *running(struct exec_process *x, struct err *err)
{
    struct container *c = container_find(x->daemon->containers, x->id, err);

    if (!c || c->state == CONTAINER_STATE_RUNNING)
        return c;
    err_set(err, GRPC_FAILED_PRECONDITION, 0, "%s: the container is not running any more", x->name);
    return NULL;
}

static void on_plan_started(void *data, int pty, const struct err *err)
{
    struct exec_process *x = data;
    struct err why;

    if (!err) {
        started(x, pty);
        return;
    }
    x->by_plan = NULL;
    if (x->killed) {
        failed(x, err);
        return;
    }
    log_debug("%s goes by the OCI runtime: %s", x->name, err->msg);
    struct container *c = running(x, &why);
    if (!c || start_by_runtime(x, c, &why) < 0)
        failed(x, &why);
}

/* By plan if there is one, else by the runtime. */
static int start(struct exec_process *x, struct container *c, const struct buf *plan, struct err *err)
{
    static const struct exec_process_events events = {on_plan_started, on_exit_status};
    struct exec_spec spec = spec_of(x);

    if (plan && exec_by_plan_start(c, plan, &spec, &events, x, &x->by_plan, err) == 0)
        return 0;
    if (plan)
        log_debug("%s goes by the OCI runtime: %s", x->name, err->msg);
    return start_by_runtime(x, c, err);
}

static void on_plan_built(void *data)
{
    struct exec_process *x = data;
    cleanup_buf struct buf plan = {0};
    struct err err;

    if (x->killed) {
        err_set(&err, GRPC_CANCELLED, 0, "%s: killed before it had begun", x->name);
        failed(x, &err);
        return;
    }
    struct container *c = running(x, &err);
    if (!c || start(x, c, exec_plan_load(c, &plan, &err) == 0 ? &plan : NULL, &err) < 0)
        failed(x, &err);
}

static int begin(struct exec_process *x, struct container *c, struct err *err)
{
    cleanup_buf struct buf plan = {0};
    int r = exec_plan_load(c, &plan, err);

    if (r == -ENOENT) {
        exec_plan_build(c, on_plan_built, x);
        return 0;
    }
    if (r < 0)
        log_debug("%s goes by the OCI runtime: %s", x->name, err->msg);
    return start(x, c, r == 0 ? &plan : NULL, err);
}

static char **copy_argv(const char *const *argv)
{
    size_t n = 0, size = sizeof(char *);

    for (; argv[n]; n++)
        size += sizeof(char *) + strlen(argv[n]) + 1;
    char **copy = mem_alloc(size), *at = (char *)(copy + n + 1);
    for (size_t i = 0; i < n; i++) {
        copy[i] = at;
        at = stpcpy(at, argv[i]) + 1;
    }
    return copy;
}

static int check(struct exec_process *x, struct err *err)
{
    for (size_t i = 0; x->argv[i]; i++)
        if (!utf8_is_valid(x->argv[i])) /* the runtime's process file could not carry it */
            return err_set(err, GRPC_INVALID_ARGUMENT, 0, "%s: word %zu of the command is not valid UTF-8",
                           x->name, i);
    for (size_t i = 0; i < countof(x->fds) && !x->tty; i++)
        if (x->fds[i] < 0 && (x->fds[i] = open("/dev/null", O_RDWR | O_CLOEXEC)) < 0)
            return err_sys(err, errno, "%s: open /dev/null", x->name);
    return 0;
}

int exec_process_start(struct container *c, const struct exec_spec *spec,
                       const struct exec_process_events *events, void *data, struct exec_process **ret,
                       struct err *err)
{
    struct exec_process *x = mem_new(struct exec_process);

    x->daemon = c->daemon;
    memcpy(x->id, c->id, sizeof(x->id));
    x->name = mem_strdup(spec->name);
    x->argv = copy_argv(spec->argv);
    x->tty = spec->tty;
    memcpy(x->fds, spec->fds, sizeof(x->fds));
    x->events = *events;
    x->data = data;
    if (check(x, err) < 0 || begin(x, c, err) < 0) {
        exec_process_free(x);
        return err_errno(err);
    }
    *ret = x;
    return 0;
}

void exec_process_kill(struct exec_process *x)
{
    x->killed = true;
    if (x->by_plan)
        exec_by_plan_kill(x->by_plan);
    else if (x->by_runtime)
        exec_by_runtime_kill(x->by_runtime);
}

void exec_process_leave(struct exec_process *x)
{
    x->left = true;
}
