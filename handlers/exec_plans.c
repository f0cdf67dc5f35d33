#include "handlers/exec_plans.h"
#include "core/exec_plan_make.h"
#include "core/file.h"
#include "core/log.h"
#include "core/mem.h"
#include "handlers/runtimes.h"
#include "loop/child.h"

#include <errno.h>
#include <string.h>

enum { CONFIG_MAX = 8 << 20, STATUS_MAX = 16 << 10, BUILD_TIMEOUT_MS = 10000 };

/* What the child needs, and who waits for it. Outlives the container. */
struct building {
    struct building *next;
    char *id;
    char *config, *file; /* paths: read, written */
    int pid;             /* of the container's init */
    char *cgroup_v2;     /* NULL: none */
    char **cgroups;      /* NULL-terminated */
    struct exec_plan_env env;
    struct waiter {
        void (*fn)(void *data);
        void *data;
    } * waiters;
    size_t waiters_n, waiters_cap;
};

static struct building *all;

static void building_free(struct building *b)
{
    for (char **p = b->cgroups; *p; p++)
        free(*p);
    free(b->cgroups);
    free(b->cgroup_v2);
    free(b->config);
    free(b->file);
    free(b->id);
    free(b->waiters);
    free(b);
}

/* ---- in the child ---- */

/* Only the kernel knows whether the container's filter was loaded with SECCOMP_FILTER_FLAG_SPEC_ALLOW. */
static bool is_mitigated(int pid)
{
    cleanup_free char *path = mem_printf("/proc/%d/status", pid);
    cleanup_buf struct buf text = {0};

    return file_read(path, STATUS_MAX, &text, NULL) == 0 && text.len && strstr(text.data, "force mitigated");
}

static int run_build(void *arg, int out_fd)
{
    struct building *b = arg;
    struct buf text = {0}, plan = {0};
    struct err err = {0};
    json_error_t where;

    b->env.mitigated = is_mitigated(b->pid);
    if (file_read(b->config, CONFIG_MAX, &text, &err) == 0) {
        json_t *config = json_loadb(text.data, text.len, 0, &where);
        if (!config)
            err_set(&err, GRPC_INTERNAL, 0, "%s: line %d: %s", b->config, where.line, where.text);
        else
            exec_plan_make(config, &b->env, &plan);
    }
    if (err.grpc == GRPC_OK && file_write(b->file, plan.data, plan.len, 0600, &err) == 0)
        return 0; /* what is allocated ends with the child */
    dprintf(out_fd, "%s", err.msg);
    return 1;
}

/* ---- in the daemon ---- */

static void on_built(void *data, struct child_result *r)
{
    struct building *b = data;
    struct building **link = &all;
    struct err err;

    while (*link != b)
        link = &(*link)->next;
    *link = b->next;
    if (child_check(r, "make an exec plan", &err) < 0)
        log_warn("container %.13s: %s", b->id, err.msg);
    for (size_t i = 0; i < b->waiters_n; i++)
        b->waiters[i].fn(b->waiters[i].data);
    building_free(b);
}

static void find_cgroups(struct building *b, struct container *c)
{
    const struct cgroups *g = &c->daemon->host.cgroups;
    cleanup_free char *dir =
        cgroup_container_dir(c->daemon->config.cgroup_driver, container_pod(c)->cgroup_parent, c->id);
    size_t n = 0;

    b->cgroups = mem_alloc((g->n + 1) * sizeof(*b->cgroups));
    for (size_t i = 0; i < g->n; i++) {
        char *path = cgroup_dir_path(&g->mounts[i], dir);
        if (g->mounts[i].v2 && !b->cgroup_v2)
            b->cgroup_v2 = path;
        else
            b->cgroups[n++] = path;
    }
}

static struct building *building_new(struct container *c, enum exec_style style)
{
    struct building *b = mem_new(struct building);

    b->id = mem_strdup(c->id);
    b->config = container_path(c, "config.json");
    b->file = container_path(c, "exec.plan");
    b->pid = c->pid;
    find_cgroups(b, c);
    b->env = (struct exec_plan_env){
        .style = style,
        .id = b->id,
        .cgroup_v2 = b->cgroup_v2,
        .cgroups = (const char *const *)b->cgroups,
        .kernel_major = c->daemon->host.oci.kernel_major,
        .kernel_minor = c->daemon->host.oci.kernel_minor,
    };
    return b;
}

/* Of others it is not known what their exec gives a command, and runsc's containers are no processes of this kernel. */
static int find_style(struct container *c, enum exec_style *ret_style, struct err *err)
{
    const struct runtime *rt;

    if (c->daemon->config.exec != EXEC_AUTO)
        return err_set(err, GRPC_UNIMPLEMENTED, 0, "containers.exec is runtime");
    if (runtime_find(c->daemon->runtimes, container_pod(c)->runtime, &rt, err) < 0)
        return err_errno(err);
    if (rt->kind != RUNTIME_CRUN && rt->kind != RUNTIME_RUNC)
        return err_set(err, GRPC_UNIMPLEMENTED, 0, "handler %s is neither crun nor runc", rt->config->name);
    if (c->pidfd < 0)
        return err_set(err, GRPC_UNIMPLEMENTED, 0, "there is no pidfd of its process");
    *ret_style = rt->kind == RUNTIME_CRUN ? EXEC_AS_CRUN : EXEC_AS_RUNC;
    return 0;
}

int exec_plan_load(struct container *c, struct buf *ret_plan, struct err *err)
{
    cleanup_free char *path = container_path(c, "exec.plan");
    enum exec_style style;
    struct exec_plan p;

    if (find_style(c, &style, err) < 0 || file_read(path, EXEC_PLAN_MAX, ret_plan, err) < 0)
        return err_errno(err);
    if (!ret_plan->data || !exec_plan_read(ret_plan->data, ret_plan->len, &p))
        return err_set(err, GRPC_NOT_FOUND, 0, "%s is of another version", path);
    return p.refused ? err_set(err, GRPC_UNIMPLEMENTED, 0, "%.300s", p.refused) : 0;
}

void exec_plan_build(struct container *c, void (*fn)(void *data), void *data)
{
    enum exec_style style = EXEC_AS_CRUN;
    struct building *b = all;
    struct err err;

    while (b && strcmp(b->id, c->id) != 0)
        b = b->next;
    if (!b) {
        if (find_style(c, &style, &err) < 0) {
            loop_defer(c->daemon->loop, fn, data);
            return;
        }
        b = building_new(c, style);
        struct child_spec spec = {
            .name = "make an exec plan", .run = run_build, .arg = b, .timeout_ms = BUILD_TIMEOUT_MS};
        if (child_start(c->daemon->loop, &spec, on_built, b, NULL, &err) < 0) {
            log_warn("container %.13s: %s", c->id, err.msg);
            building_free(b);
            loop_defer(c->daemon->loop, fn, data);
            return;
        }
        b->next = all;
        all = b;
    }
    b->waiters = mem_grow(b->waiters, &b->waiters_cap, b->waiters_n + 1, sizeof(*b->waiters));
    b->waiters[b->waiters_n++] = (struct waiter){fn, data};
}
