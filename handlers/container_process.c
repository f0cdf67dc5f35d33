/* The life of a container's process, as the daemon sees it: started, signalled, exited, deleted from the OCI runtime. */
#include "core/cgroup.h"
#include "core/log.h"
#include "core/mem.h"
#include "handlers/containers.h"
#include "handlers/exec_doors.h"
#include "handlers/runtimes.h"
#include "loop/child.h"

#include <errno.h>
#include <signal.h>
#include <sys/syscall.h>

enum { DELETE_TIMEOUT_MS = 60000 };

void container_set_running(struct container *c, int pid, int64_t started_ns)
{
    c->state = CONTAINER_STATE_RUNNING;
    c->pid = pid;
    c->started_ns = started_ns;
    if (c->pidfd >= 0)
        close(c->pidfd);
    c->pidfd = (int)syscall(SYS_pidfd_open, pid, 0);
}

void container_unset_running(struct container *c)
{
    c->state = CONTAINER_STATE_CREATED;
    c->pid = 0;
    exec_door_close(c);
    c->started_ns = 0;
    if (c->pidfd >= 0)
        close(steal_fd(&c->pidfd));
}

static void set_text(char **field, const char *value)
{
    free(*field);
    *field = mem_strdup(value);
}

static void record(struct container *c, const struct keeper_exit *x)
{
    c->state = CONTAINER_STATE_EXITED;
    c->pid = 0;
    exec_door_close(c); /* a process in its cgroup would keep that from being removed */
    if (c->pidfd >= 0)
        close(c->pidfd);
    c->pidfd = -1;
    c->finished_ns = x->finished_ns;
    /* a process may have ended before its runtime said that it runs */
    if (c->started_ns > c->finished_ns)
        c->started_ns = c->finished_ns;
    c->exit_code = x->known ? x->code : 255;
    if (!x->known)
        set_text(&c->message, "its exit code is lost: the process that kept it (cricket-keeper) died before");
    /* the words that the kubelet shows to users */
    set_text(&c->reason, x->oom_killed  ? "OOMKilled"
                         : !x->known    ? "Unknown"
                         : x->code == 0 ? "Completed"
                                        : "Error");
}

void container_exited(struct container *c, const struct keeper_exit *x)
{
    struct pod *pod = container_pod(c);
    struct err err;

    if (c->state == CONTAINER_STATE_RUNNING) {
        record(c, x);
        log_info("container %.13s %s/%s ended: %s, exit code %d", c->id, pod->name, c->name, c->reason,
                 c->exit_code);
        if (container_save(c, &err) < 0) {
            /* the keeper's record stays for the next start */
            log_error("container %s: %s", c->id, err.msg);
        } else if (pod->keeper) {
            keeper_forget(pod->keeper, c->id);
        }
        container_delete_from_runtime(c);
    } else if (pod->keeper) {
        keeper_forget(pod->keeper, c->id); /* heard before, or its start was undone */
    }
    void (*fn)(void *) = c->on_exit;
    c->on_exit = NULL;
    if (fn)
        fn(c->on_exit_data);
}

/* Every OCI runtime has a directory ROOT/ID for as long as it knows the container. */
char *container_runtime_dir(const struct container *c)
{
    const struct runtime *rt;
    struct err ignored;

    if (runtime_find(c->daemon->runtimes, container_pod(c)->runtime, &rt, &ignored) < 0)
        return NULL;
    return mem_printf("%s/%s", rt->root, c->id);
}

static bool runtime_knows(const struct container *c)
{
    cleanup_free char *path = container_runtime_dir(c);

    return !path || access(path, F_OK) == 0;
}

static void on_deleted(void *data, struct child_result *r)
{
    struct container *c = data;
    struct err err;

    c->deleting = NULL;
    set_text(&c->undeleted, NULL);
    int rc = child_check(r, "delete", &err);
    c->in_runtime = runtime_knows(c); /* a delete that fails may have done it, and one that succeeds may not */
    if (c->in_runtime) {
        set_text(&c->undeleted, rc < 0 ? err.msg : "delete succeeds, and the container is still there");
        log_warn("container %s: %s", c->id, c->undeleted);
    }
    void (*fn)(void *) = c->on_deleted;
    c->on_deleted = NULL;
    if (fn)
        fn(c->on_deleted_data);
}

void container_delete_from_runtime(struct container *c)
{
    const struct runtime *rt;
    struct err err;

    if (c->deleting)
        return;
    if (runtime_find(c->daemon->runtimes, container_pod(c)->runtime, &rt, &err) < 0) {
        log_error("container %s: %s", c->id, err.msg);
        return;
    }
    cleanup_free char **argv = runtime_delete_argv(rt, c->id, NULL);
    struct child_spec spec = {
        .argv = (const char *const *)argv, .file = runtime_file(rt), .timeout_ms = DELETE_TIMEOUT_MS};
    if (child_start(c->daemon->loop, &spec, on_deleted, c, &c->deleting, &err) < 0)
        log_error("container %s: %s", c->id, err.msg);
}

void container_after_delete(struct container *c, void (*fn)(void *data), void *data)
{
    if (!c->deleting) {
        loop_defer(c->daemon->loop, fn, data);
        return;
    }
    c->on_deleted = fn;
    c->on_deleted_data = data;
}

/* SIGKILL for all: a fork, since the cgroup may hold many and some do not die at once. */
struct kill_all {
    const struct cgroups *cgroups;
    const char *dir;
};

static int run_kill_all(void *arg, int out_fd)
{
    const struct kill_all *k = arg;
    struct err err = {0};

    if (cgroup_kill(k->cgroups, k->dir, 10000, &err) == 0)
        return 0;
    dprintf(out_fd, "%s", err.msg);
    return 1;
}

static void on_killed(void *data, struct child_result *r)
{
    struct err err;

    (void)data;
    if (child_check(r, "kill all processes of a container", &err) < 0)
        log_warn("%s", err.msg);
}

int container_signal(struct container *c, int signal, struct err *err)
{
    struct pod *pod = container_pod(c);

    if (c->pidfd < 0 && c->pid > 1)
        c->pidfd = (int)syscall(SYS_pidfd_open, c->pid, 0); /* there was none to be had at its start */
    if (c->pidfd < 0 && c->pid > 1 && errno != ESRCH)
        return err_sys(err, errno, "container %.13s: open process %d", c->id, c->pid);
    if (c->pidfd < 0)
        return 0; /* it ended meanwhile: on_exit is on its way */
    if (syscall(SYS_pidfd_send_signal, c->pidfd, signal, NULL, 0) < 0 && errno != ESRCH)
        return err_sys(err, errno, "container %.13s: send signal %d", c->id, signal);
    if (signal != SIGKILL || !c->shared_pid)
        return 0;
    /* its other processes do not die with an init that is not PID 1 of their namespace */
    cleanup_free char *dir = cgroup_container_dir(c->daemon->config.cgroup_driver, pod->cgroup_parent, c->id);
    struct kill_all k = {&c->daemon->host.cgroups, dir};
    struct child_spec spec = {.name = "kill", .run = run_kill_all, .arg = &k};
    return child_start(c->daemon->loop, &spec, on_killed, NULL, NULL, err);
}
