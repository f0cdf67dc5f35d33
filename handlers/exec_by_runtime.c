/*
 * A command by the OCI runtime's exec. A kill goes to the process inside the container first (its pid is in a file), so that
 * nothing of it stays behind; the runtime's exec ends with it.
 */
#include "core/file.h"
#include "core/mem.h"
#include "handlers/exec_capture.h"
#include "handlers/runtimes.h"

#include <jansson.h>
#include <signal.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>

enum { SPEC_MAX = 4 << 20 };

struct exec_by_runtime {
    struct child *child;
    char *name;
    char *process_file, *pid_file, *log_file;
    exec_done_fn *on_done;
    void *data;
};

static void exec_free(struct exec_by_runtime *x)
{
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

void exec_by_runtime_kill(struct exec_by_runtime *x)
{
    cleanup_buf struct buf text = {0};
    struct err ignored;

    if (file_read(x->pid_file, 32, &text, &ignored) == 0 && text.len && atoi(text.data) > 1 &&
        kill_child_of(child_pid(x->child), atoi(text.data)))
        return;
    child_cancel(x->child); /* it has not got that far */
}

/* Exit status 255 of the runtime itself, with an error in its log, is no exit code of the command. */
static int runtime_failed(const struct exec_by_runtime *x, struct err *err)
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
    struct exec_by_runtime *x = data;
    struct err err;

    if (r->status != 0 && runtime_failed(x, &err) < 0)
        x->on_done(x->data, NULL, &err);
    else
        x->on_done(x->data, r, NULL);
    exec_free(x);
}

/* The container's own process with another command line: user, capabilities, environment, limits stay as they are. */
static int write_process(struct container *c, const char *const *argv, const char *file, struct err *err)
{
    cleanup_free char *path = container_path(c, "config.json");
    cleanup_buf struct buf spec = {0};
    bool utf8 = true;
    int r;

    if (file_read(path, SPEC_MAX, &spec, err) < 0)
        return err_errno(err);
    json_t *o = json_loadb(spec.data, spec.len, 0, NULL);
    json_t *process = json_object_get(o, "process");
    json_t *args = json_array();
    for (size_t i = 0; argv[i]; i++)
        utf8 = json_array_append_new(args, json_string(argv[i])) == 0 && utf8;
    if (!process || !utf8) {
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

static int start(struct exec_by_runtime *x, struct container *c, const struct exec_spec *spec, struct err *err)
{
    const struct runtime *rt;

    if (runtime_find(c->daemon->runtimes, container_pod(c)->runtime, &rt, err) < 0 ||
        write_process(c, spec->argv, x->process_file, err) < 0)
        return err_errno(err);
    struct runtime_exec rx = {
        .id = c->id, .process_file = x->process_file, .pid_file = x->pid_file, .log_file = x->log_file};
    cleanup_free char **argv = runtime_exec_argv(rt, &rx);
    struct child_spec cs = {
        .name = x->name, .argv = (const char *const *)argv, .out_max = spec->out_max, .err_max = spec->err_max};
    return child_start(c->daemon->loop, &cs, on_done, x, &x->child, err);
}

int exec_by_runtime_start(struct container *c, const struct exec_spec *spec, exec_done_fn *done, void *data,
                          struct exec_by_runtime **ret_exec, struct err *err)
{
    static unsigned counter;
    struct exec_by_runtime *x = mem_new(struct exec_by_runtime);

    counter++;
    x->name = mem_strdup(spec->name);
    x->process_file = mem_printf("%s/exec-%u.json", c->dir, counter);
    x->pid_file = mem_printf("%s/exec-%u.pid", c->dir, counter);
    x->log_file = mem_printf("%s/exec-%u.log", c->dir, counter);
    x->on_done = done;
    x->data = data;
    if (start(x, c, spec, err) < 0) {
        exec_free(x);
        return err_errno(err);
    }
    *ret_exec = x;
    return 0;
}
