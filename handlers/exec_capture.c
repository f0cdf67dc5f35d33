/*
 *   plan is there ------------> BY_PLAN ---> done
 *   no plan yet --> BUILDING --/   |
 *        \______________\_________ v   refused, or nothing of the command has run
 *                              BY_RUNTIME --> done
 */
#include "handlers/exec_capture.h"
#include "core/log.h"
#include "core/mem.h"
#include "core/utf8.h"
#include "handlers/exec_plans.h"

#include <errno.h>
#include <string.h>

struct exec_capture {
    struct daemon *daemon;
    char id[ID_SIZE];
    char *name;
    char **argv; /* pointers and strings in one block */
    size_t out_max, err_max;
    struct exec_by_plan *by_plan; /* at most one of the two */
    struct exec_by_runtime *by_runtime;
    bool killed;
    exec_done_fn *on_done;
    void *data;
};

static void done(struct exec_capture *x, struct child_result *r, const struct err *err)
{
    x->on_done(x->data, r, err);
    free(x->argv);
    free(x->name);
    free(x);
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

static struct exec_spec spec_of(const struct exec_capture *x)
{
    return (struct exec_spec){
        .name = x->name, .argv = (const char *const *)x->argv, .out_max = x->out_max, .err_max = x->err_max};
}

static void on_runtime_done(void *data, struct child_result *r, const struct err *err)
{
    done(data, r, err);
}

static int start_by_runtime(struct exec_capture *x, struct container *c, struct err *err)
{
    struct exec_spec spec = spec_of(x);

    return exec_by_runtime_start(c, &spec, on_runtime_done, x, &x->by_runtime, err);
}

/* The container as it is now, if it still runs: it may have been removed meanwhile. */
static struct container *running(struct exec_capture *x, struct err *err)
{
    struct container *c = container_find(x->daemon->containers, x->id, err);

    if (!c || c->state == CONTAINER_STATE_RUNNING)
        return c;
    err_set(err, GRPC_FAILED_PRECONDITION, 0, "%s: the container is not running any more", x->name);
    return NULL;
}

static void on_plan_done(void *data, struct child_result *r, const struct err *err)
{
    struct exec_capture *x = data;
    struct err why;

    x->by_plan = NULL;
    if (!err || x->killed) {
        done(x, r, err);
        return;
    }
    log_debug("%s goes by the OCI runtime: %s", x->name, err->msg);
    struct container *c = running(x, &why);
    if (!c || start_by_runtime(x, c, &why) < 0)
        done(x, NULL, &why);
}

/* By plan if there is one, else by the runtime. */
static int start(struct exec_capture *x, struct container *c, const struct buf *plan, struct err *err)
{
    struct exec_spec spec = spec_of(x);

    if (plan && exec_by_plan_start(c, plan, &spec, on_plan_done, x, &x->by_plan, err) == 0)
        return 0;
    if (plan)
        log_debug("%s goes by the OCI runtime: %s", x->name, err->msg);
    return start_by_runtime(x, c, err);
}

static void on_plan_built(void *data)
{
    struct exec_capture *x = data;
    cleanup_buf struct buf plan = {0};
    struct err err;

    if (x->killed) {
        err_set(&err, GRPC_CANCELLED, 0, "%s: killed before it had begun", x->name);
        done(x, NULL, &err);
        return;
    }
    struct container *c = running(x, &err);
    if (!c || start(x, c, exec_plan_load(c, &plan, &err) == 0 ? &plan : NULL, &err) < 0)
        done(x, NULL, &err);
}

static int begin(struct exec_capture *x, struct container *c, struct err *err)
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

int exec_capture_start(struct container *c, const struct exec_spec *spec, exec_done_fn *on_done, void *data,
                       struct exec_capture **ret_exec, struct err *err)
{
    for (size_t i = 0; spec->argv[i]; i++)
        if (!utf8_is_valid(spec->argv[i])) /* the runtime's process file could not carry it */
            return err_set(err, GRPC_INVALID_ARGUMENT, 0, "%s: word %zu of the command is not valid UTF-8",
                           spec->name, i);
    struct exec_capture *x = mem_new(struct exec_capture);
    x->daemon = c->daemon;
    memcpy(x->id, c->id, sizeof(x->id));
    x->name = mem_strdup(spec->name);
    x->argv = copy_argv(spec->argv);
    x->out_max = spec->out_max;
    x->err_max = spec->err_max;
    x->on_done = on_done;
    x->data = data;
    if (begin(x, c, err) < 0) {
        free(x->argv);
        free(x->name);
        free(x);
        return err_errno(err);
    }
    *ret_exec = x;
    return 0;
}

void exec_capture_kill(struct exec_capture *x)
{
    x->killed = true;
    if (x->by_plan)
        exec_by_plan_kill(x->by_plan);
    else if (x->by_runtime)
        exec_by_runtime_kill(x->by_runtime);
}
