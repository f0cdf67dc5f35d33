#include "handlers/runtimes.h"
#include "core/buf.h"
#include "core/log.h"
#include "core/mem.h"
#include "loop/child.h"

#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <utlist.h>

/* Of a start, what comes first is the socket: on a busy machine a child's exec is some milliseconds of the loop. */
static const double PROBE_AFTER_S = 0.1;
enum { PROBE_TIMEOUT_MS = 10000, VERSION_MAX = 80 };

/* --version, then features. Outlives the table, as a cancelled child still completes. */
struct probe {
    struct entry *entry; /* NULL: the table is gone */
    struct child *child;
};

struct entry {
    struct runtime rt;
    struct runtimes *owner;
    struct probe *probe; /* NULL when none runs */
};

struct runtimes {
    struct daemon *daemon;
    struct entry *entries;
    size_t n;
    struct timer first; /* nobody has been asked while it runs */
    struct runtimes_waiter *waiters;
    const struct runtime *told; /* the default that the log has named */
    bool mount_setattr;         /* the kernel has it (5.12): "rro" is made of it */
};

static const char *const kinds[] = {
    [RUNTIME_CRUN] = "crun",
    [RUNTIME_RUNC] = "runc",
    [RUNTIME_RUNSC] = "runsc",
    [RUNTIME_YOUKI] = "youki",
};

static enum runtime_kind kind_of(const char *word, size_t len)
{
    for (size_t i = 0; i < countof(kinds); i++)
        if (strlen(kinds[i]) == len && memcmp(kinds[i], word, len) == 0)
            return (enum runtime_kind)i;
    return RUNTIME_OTHER;
}

static bool is_program(const char *path)
{
    struct stat st;
    return stat(path, &st) == 0 && S_ISREG(st.st_mode) && access(path, X_OK) == 0;
}

/* A daemon started by hand may have a PATH without sbin, where Debian has runc. */
static char *look_up(const char *name)
{
    const char *env = getenv("PATH");
    cleanup_free char *dirs =
        mem_printf("%s:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", env ? env : "");
    char *save = NULL;

    if (strchr(name, '/'))
        return is_program(name) ? mem_strdup(name) : NULL;
    for (char *dir = strtok_r(dirs, ":", &save); dir; dir = strtok_r(NULL, ":", &save)) {
        cleanup_free char *path = mem_printf("%s/%s", dir, name);
        if (dir[0] == '/' && is_program(path))
            return steal_ptr(&path);
    }
    return NULL;
}

/* Why it cannot work, as far as that can be told without asking it; NULL when nothing speaks against it. */
static char *find_fault(const struct runtime *rt, const struct host *host)
{
    const struct cgroup_mount *v2 = cgroup_unified(&host->cgroups);
    const char *binary = rt->config->path ? rt->config->path : rt->config->name;

    if (!rt->path)
        return mem_printf("%s is not installed; install it, or correct the handler's path", binary);
    if (host->cgroups.kind == CGROUP_NONE)
        return mem_printf("no cgroup hierarchy is mounted; mount cgroup2 at /sys/fs/cgroup");
    if (rt->kind == RUNTIME_CRUN && host->cgroups.kind == CGROUP_HYBRID && v2 && v2->controllers[0])
        return mem_printf(
            "crun refuses hosts with cgroup v1 and controllers on v2 (%s at %s); boot with cgroup v2 alone "
            "(systemd.unified_cgroup_hierarchy=1), or use runc",
            v2->controllers, v2->path);
    return NULL;
}

static void make_root(const char *path)
{
    cleanup_free char *copy = mem_strdup(path);

    for (char *slash = strchr(copy + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
        *slash = '\0';
        mkdir(copy, 0755);
        *slash = '/';
    }
    mkdir(copy, 0700); /* if it failed, the runtime's own error tells */
}

static void entry_init(struct entry *e, struct runtimes *rs, const struct handler_config *hc,
                       const struct host *host)
{
    const struct config *config = &rs->daemon->config;
    const char *binary = hc->path ? hc->path : hc->name, *slash = strrchr(binary, '/');
    const char *base = slash ? slash + 1 : binary;

    e->owner = rs;
    e->rt.program = runtime_program_new();
    e->rt.config = hc;
    e->rt.path = look_up(binary);
    e->rt.kind = kind_of(base, strlen(base));
    e->rt.root = hc->root ? mem_strdup(hc->root) : mem_printf("%s/runtime/%s", config->state, hc->name);
    e->rt.systemd_cgroup = host_cgroup_driver(host, config->cgroup_driver) == CGROUP_DRIVER_SYSTEMD;
    e->rt.unusable = find_fault(&e->rt, host);
    if (e->rt.unusable)
        return;
    make_root(e->rt.root);
    (void)runtime_file(&e->rt); /* the first command need not wait for it */
}

static const struct runtime *by_name(const struct runtimes *rs, const char *name)
{
    for (size_t i = 0; i < rs->n; i++)
        if (strcmp(rs->entries[i].rt.config->name, name) == 0)
            return &rs->entries[i].rt;
    return NULL;
}

/* One line: what is used for "", and where that is not what the defaults say, why, and what to do. */
static void tell_default(struct runtimes *rs)
{
    const struct config *c = &rs->daemon->config;
    const struct runtime *rt = runtime_default(rs);

    if (!rt || rt == rs->told)
        return;
    rs->told = rt;
    if (rt->unusable)
        log_error("default handler %s cannot be used: %s", rt->config->name, rt->unusable);
    else if (strcmp(rt->config->name, c->default_handler) != 0)
        log_warn("default handler is %s, because %s cannot be used: %s", rt->config->name, c->default_handler,
                 by_name(rs, c->default_handler) ? by_name(rs, c->default_handler)->unusable
                                                 : "not configured");
}

/* "crun version 1.8.1" gives "crun 1.8.1"; the first word tells what it really is. */
static void take_version(struct runtime *rt, const char *text)
{
    size_t line = strcspn(text, "\r\n"), word = strcspn(text, " \r\n");
    enum runtime_kind kind = kind_of(text, word);
    const char *rest = text + word;

    if (kind != RUNTIME_OTHER)
        rt->kind = kind;
    if (strncmp(rest, " version ", 9) == 0)
        rest += 8;
    rt->version = mem_printf("%.*s%.*s", (int)word, text,
                             (int)(text + line - rest > VERSION_MAX ? VERSION_MAX : text + line - rest), rest);
}

/* runtime-spec features.md */
static void take_features(struct runtime *rt, bool mount_setattr, const char *text, size_t len)
{
    json_t *root = json_loadb(text, len, 0, NULL), *option;
    size_t i;

    json_array_foreach (json_object_get(root, "mountOptions"), i, option) {
        const char *word = json_string_value(option);
        if (mount_setattr && word && strcmp(word, "rro") == 0)
            rt->recursive_read_only = true;
    }
    const json_t *lin = json_object_get(root, "linux");
    const json_t *idmap = json_object_get(json_object_get(lin, "mountExtensions"), "idmap");
    rt->idmapped_mounts = json_is_true(json_object_get(idmap, "enabled"));
    json_decref(root);
}

/* Of a runtime without the command. crun has "rro" since 1.4, but tells its features only since 1.8.6. */
static void guess_features(struct runtime *rt, bool mount_setattr)
{
    unsigned major = 0, minor = 0;

    if (rt->kind == RUNTIME_CRUN && sscanf(rt->version, "crun %u.%u", &major, &minor) == 2)
        rt->recursive_read_only = mount_setattr && (major > 1 || (major == 1 && minor >= 4));
}

/* The entry whose child ended, or NULL. Frees the probe. */
static struct entry *probe_end(struct probe *p)
{
    struct entry *e = p->entry;

    if (e)
        e->probe = NULL;
    free(p);
    return e;
}

static void set_probed(struct entry *e)
{
    struct runtimes *rs = e->owner;
    struct runtimes_waiter *w;

    e->rt.probed = true;
    while ((w = rs->waiters) && runtimes_probed(rs)) {
        runtimes_wait_cancel(w);
        w->fn(w->data);
    }
}

static void set_unusable(struct entry *e, char *why)
{
    e->rt.unusable = why;
    log_warn("handler %s cannot be used: %s", e->rt.config->name, why);
    tell_default(e->owner);
    set_probed(e);
}

static void ask(struct entry *e, const char *const *argv, child_done_fn *on_done)
{
    const struct child_spec spec = {.argv = argv, .timeout_ms = PROBE_TIMEOUT_MS, .new_session = true};
    struct probe *p = mem_new(struct probe);
    struct err err;

    p->entry = e;
    e->probe = p;
    if (child_start(e->owner->daemon->loop, &spec, on_done, p, &p->child, &err) == 0)
        return;
    probe_end(p);
    set_unusable(e, mem_strdup(err.msg));
}

static void on_features(void *data, struct child_result *result)
{
    struct entry *e = probe_end(data);

    if (!e)
        return;
    if (child_check(result, "features", NULL) == 0)
        take_features(&e->rt, e->owner->mount_setattr, result->out.data ? result->out.data : "",
                      result->out.len);
    else
        guess_features(&e->rt, e->owner->mount_setattr);
    log_debug("handler %s is %s%s", e->rt.config->name, e->rt.version,
              e->rt.recursive_read_only ? ", has rro" : "");
    set_probed(e);
}

static void on_version(void *data, struct child_result *result)
{
    struct entry *e = probe_end(data);
    struct err err;

    if (!e)
        return;
    if (child_check(result, e->rt.path, &err) < 0) {
        set_unusable(e, mem_printf("--version: %s; reinstall it", err.msg));
        return;
    }
    if (result->out.len == 0) {
        set_unusable(e, mem_printf("%s --version says nothing; is it an OCI runtime?", e->rt.path));
        return;
    }
    take_version(&e->rt, result->out.data);
    cleanup_free char **argv = runtime_features_argv(&e->rt);
    ask(e, (const char *const *)argv, on_features);
}

static void probe_all(void *data)
{
    struct runtimes *rs = data;

    for (size_t i = 0; i < rs->n; i++)
        if (!rs->entries[i].rt.probed)
            ask(&rs->entries[i], (const char *const[]){rs->entries[i].rt.path, "--version", NULL}, on_version);
}

struct runtimes *runtimes_new(struct daemon *d, const struct host *host)
{
    struct runtimes *rs = mem_new(struct runtimes);

    rs->daemon = d;
    rs->mount_setattr =
        host->oci.kernel_major > 5 || (host->oci.kernel_major == 5 && host->oci.kernel_minor >= 12);
    rs->n = d->config.handlers_n;
    rs->entries = mem_alloc(rs->n * sizeof(*rs->entries));
    for (size_t i = 0; i < rs->n; i++) {
        struct entry *e = &rs->entries[i];
        entry_init(e, rs, &d->config.handlers[i], host);
        e->rt.probed = e->rt.unusable != NULL;
    }
    tell_default(rs);
    timer_start(&rs->first, d->loop, PROBE_AFTER_S, probe_all, rs);
    return rs;
}

bool runtimes_probed(const struct runtimes *rs)
{
    for (size_t i = 0; i < rs->n; i++)
        if (!rs->entries[i].rt.probed)
            return false;
    return true;
}

void runtimes_wait(struct runtimes *rs, struct runtimes_waiter *w, void (*fn)(void *data), void *data)
{
    *w = (struct runtimes_waiter){.owner = rs, .fn = fn, .data = data};
    DL_APPEND(rs->waiters, w);
    if (timer_active(&rs->first))
        timer_start(&rs->first, rs->daemon->loop, 0, probe_all, rs);
}

void runtimes_wait_cancel(struct runtimes_waiter *w)
{
    DL_DELETE(w->owner->waiters, w);
}

void runtimes_free(struct runtimes *rs)
{
    if (!rs)
        return;
    timer_stop(&rs->first);
    for (size_t i = 0; i < rs->n; i++) {
        struct entry *e = &rs->entries[i];
        if (e->probe) {
            e->probe->entry = NULL;
            child_cancel(e->probe->child);
        }
        runtime_program_free(e->rt.program);
        free(e->rt.path);
        free(e->rt.root);
        free(e->rt.version);
        free(e->rt.unusable);
    }
    free(rs->entries);
    free(rs);
}

const struct runtime *runtime_at(const struct runtimes *rs, size_t i)
{
    return i < rs->n ? &rs->entries[i].rt : NULL;
}

const struct runtime *runtime_default(const struct runtimes *rs)
{
    const struct config *c = &rs->daemon->config;
    const struct runtime *rt = by_name(rs, c->default_handler);

    if (c->default_handler_set || (rt && !rt->unusable))
        return rt;
    for (size_t i = 0; i < rs->n; i++)
        if (!rs->entries[i].rt.unusable)
            return &rs->entries[i].rt;
    return rt;
}

static int unknown_handler(const struct runtimes *rs, const char *name, struct err *err)
{
    cleanup_buf struct buf known = {.max = 200};

    for (size_t i = 0; i < rs->n; i++)
        buf_addf(&known, "%s%s", i ? ", " : "", rs->entries[i].rt.config->name);
    return err_set(err, GRPC_INVALID_ARGUMENT, 0,
                   "runtime handler \"%.100s\" is not configured; there are: %s. Add it to handlers, or "
                   "correct the RuntimeClass",
                   name, known.data ? known.data : "none");
}

int runtime_find(const struct runtimes *rs, const char *name, const struct runtime **ret_runtime,
                 struct err *err)
{
    bool is_default = !name || !name[0];
    const struct runtime *rt = is_default ? runtime_default(rs) : by_name(rs, name);

    if (!rt)
        return unknown_handler(rs, is_default ? rs->daemon->config.default_handler : name, err);
    if (rt->unusable)
        return err_set(err, GRPC_FAILED_PRECONDITION, 0, "runtime handler %s cannot be used here: %s",
                       rt->config->name, rt->unusable);
    *ret_runtime = rt;
    return 0;
}
