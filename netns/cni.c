#include "netns/cni.h"
#include "core/log.h"
#include "core/mem.h"
#include "netns/cni_cache.h"
#include "netns/cni_dir.h"
#include "netns/cni_exec.h"

#include <errno.h>
#include <string.h>
#include <sys/vfs.h>
#include <linux/magic.h>

enum { PLUGIN_TIMEOUT_MS = 60000 };

struct cni {
    struct loop *loop;
    struct cni_dir dir;
    char **bin_dirs;
    char *cache_dir;
    int plugin_timeout_ms;
};

/*
 *            next plugin
 *             .-----.
 *  cni_add    v     |   after the last
 *  ---------> adding ------------------------> done (result)
 *               | error, cancel
 *               v
 *  ---------> deleting ----------------------> done (first error, or none for cni_del)
 *  cni_del    ^     |   after the first
 *             '-----'
 *            plugin before, whatever this one said
 */
struct cni_op {
    struct cni *cni;
    char *container_id, *ifname;
    struct cni_cached made; /* conf, runtime, args, netns; result: what the next plugin gets as prevResult */
    struct cni_result *result;
    size_t at; /* adding: the plugin that runs; deleting: the number of those still to do */
    bool adding;
    struct child *child; /* NULL between plugins */
    int64_t deadline_us; /* CLOCK_MONOTONIC; 0: none */
    struct timer wait;   /* for a plugin that a killed daemon had started */
    int64_t waiting_since_us;
    struct err first; /* the first error */
    bool del_failed;
    cni_add_fn *on_add; /* one of the two */
    cni_del_fn *on_del;
    void *data;
};

/* ---- the network --------------------------------------------------------------------------------------------------- */

/* The built-in network's names come from the daemon's own state directory, which cache_dir lies in. */
static struct cni_conf *default_network(const char *subnet, const char *cache_dir)
{
    cleanup_free char *state = mem_strdup(cache_dir);
    cleanup_free char *data_dir = mem_printf("%s/ipam", cache_dir);
    char bridge[CNI_BRIDGE_SIZE];
    struct cni_conf *c = NULL;
    struct err err;
    size_t len = strlen(state);

    while (len > 1 && state[len - 1] == '/')
        state[--len] = '\0';
    char *slash = strrchr(state, '/');
    if (slash && slash != state)
        *slash = '\0';
    cni_bridge_name(state, bridge);
    if (cni_conf_default(bridge, subnet, data_dir, &c, &err) < 0)
        log_error("%s", err.msg);
    return c;
}

static char **copy_list(char *const *list)
{
    size_t n = 0;

    while (list && list[n])
        n++;
    char **copy = mem_alloc((n + 1) * sizeof(*copy));
    for (size_t i = 0; i < n; i++)
        copy[i] = mem_strdup(list[i]);
    return copy;
}

struct cni *cni_new(struct loop *l, const char *conf_dir, char *const *bin_dirs, const char *default_subnet,
                    const char *cache_dir)
{
    struct cni *c = mem_new(struct cni);

    c->loop = l;
    c->bin_dirs = copy_list(bin_dirs);
    c->cache_dir = mem_strdup(cache_dir);
    cni_cache_tidy(cache_dir);
    c->plugin_timeout_ms = PLUGIN_TIMEOUT_MS;
    cni_dir_init(&c->dir, conf_dir, default_subnet ? default_network(default_subnet, cache_dir) : NULL);
    return c;
}

void cni_free(struct cni *c)
{
    if (!c)
        return;
    cni_dir_done(&c->dir);
    for (char **d = c->bin_dirs; *d; d++)
        free(*d);
    free(c->bin_dirs);
    free(c->cache_dir);
    free(c);
}

const struct cni_conf *cni_network(struct cni *c, struct err *err)
{
    const struct cni_conf *conf = cni_dir_conf(&c->dir, err);

    /* a network whose plugins are not there would make every pod fail: better the node says so */
    if (conf && cni_check_plugins(conf, c->bin_dirs, err) < 0)
        return NULL;
    return conf;
}

/* ---- an operation -------------------------------------------------------------------------------------------------- */

static int make_args(const struct cni_attach *a, char **ret, struct err *err)
{
    const struct {
        const char *key, *value;
    } args[] = {
        {"K8S_POD_NAMESPACE", a->pod_namespace},
        {"K8S_POD_NAME", a->pod_name},
        {"K8S_POD_INFRA_CONTAINER_ID", a->container_id},
        {"K8S_POD_UID", a->pod_uid},
    };
    struct buf b = {0};

    buf_adds(&b, "IgnoreUnknown=1");
    for (size_t i = 0; i < countof(args); i++) {
        const char *value = args[i].value ? args[i].value : "";
        if (strpbrk(value, ";=\n")) { /* would add arguments of its own */
            buf_done(&b);
            return err_set(err, GRPC_INVALID_ARGUMENT, 0,
                           "CNI attachment of pod %.64s: %s \"%.128s\" has one of ; = and newline",
                           a->container_id, args[i].key, value);
        }
        buf_addf(&b, ";%s=%s", args[i].key, value);
    }
    *ret = buf_steal(&b);
    return 0;
}

static struct cni_op *op_new(struct cni *c, const struct cni_attach *a, void *data)
{
    struct cni_op *op = mem_new(struct cni_op);

    op->cni = c;
    op->container_id = mem_strdup(a->container_id);
    op->ifname = mem_strdup(a->ifname);
    op->deadline_us = a->timeout_ms > 0 ? time_monotonic_us() + a->timeout_ms * INT64_C(1000) : 0;
    op->data = data;
    return op;
}

static void op_free(struct cni_op *op)
{
    cni_cached_done(&op->made);
    cni_result_free(op->result);
    free(op->container_id);
    free(op->ifname);
    free(op);
}

/* conf, runtime, args and netns of an attachment with the network of now. */
static int op_describe(struct cni_op *op, const struct cni_attach *a, struct err *err)
{
    const struct cni_runtime runtime = {.ports = a->ports,
                                        .ports_n = a->ports_n,
                                        .dns = a->dns,
                                        .cgroup_path = a->cgroup_path,
                                        .annotations = a->annotations};
    const struct cni_conf *conf = cni_network(op->cni, err);

    if (!conf)
        return err_errno(err);
    op->made.conf = cni_conf_ref(conf);
    op->made.netns = mem_strdup(a->netns ? a->netns : "");
    int r = make_args(a, &op->made.args, err);
    return r < 0 ? r : cni_runtime_json(&runtime, &op->made.runtime, err);
}

static int remaining_ms(const struct cni_op *op)
{
    int64_t left =
        op->deadline_us ? (op->deadline_us - time_monotonic_us()) / 1000 : op->cni->plugin_timeout_ms;

    return left < 1 ? 1 : left < op->cni->plugin_timeout_ms ? (int)left : op->cni->plugin_timeout_ms;
}

static int op_exec(struct cni_op *op, enum cni_verb verb, size_t plugin, cni_exec_fn *on_done, struct err *err)
{
    const struct cni_env env = {
        .container_id = op->container_id, .netns = op->made.netns, .ifname = op->ifname, .args = op->made.args};
    const struct cni_exec x = {
        .verb = verb,
        .conf = op->made.conf,
        .plugin = plugin,
        .env = &env,
        .bin_dirs = op->cni->bin_dirs,
        .cache_dir = op->cni->cache_dir,
        .runtime = op->made.runtime,
        .prev_result = op->made.result,
        .timeout_ms = remaining_ms(op),
    };
    return cni_exec(op->cni->loop, &x, on_done, op, &op->child, err);
}

/* ---- DEL ----------------------------------------------------------------------------------------------------------- */

static void del_next(struct cni_op *op);

static void del_error(struct cni_op *op, const struct err *err)
{
    log_warn("CNI DEL of pod %.13s from %s: %s", op->container_id, op->made.conf->name, err->msg);
    if (!op->first.grpc)
        op->first = *err;
    op->del_failed = true;
}

static void del_finish(struct cni_op *op)
{
    struct err err;

    /* with something left, the next DEL must know what */
    if (!op->del_failed && cni_cache_remove(op->cni->cache_dir, op->container_id, op->ifname, &err) < 0)
        del_error(op, &err);
    const struct err *first = op->first.grpc ? &op->first : NULL;
    if (op->on_add)
        op->on_add(op->data, NULL, first);
    else
        op->on_del(op->data, first);
    op_free(op);
}

static void on_deleted(void *data, struct cni_result *result, const struct err *err)
{
    struct cni_op *op = data;

    cni_result_free(result);
    op->child = NULL;
    if (err)
        del_error(op, err);
    del_next(op);
}

static void del_next(struct cni_op *op)
{
    struct err err;

    while (op->at > 0) {
        op->at--;
        if (cni_plugin_is_idle(op->made.conf, op->at, op->made.runtime))
            continue;
        if (op_exec(op, CNI_DEL, op->at, on_deleted, &err) == 0)
            return;
        del_error(op, &err);
    }
    del_finish(op);
}

static bool is_netns(const char *path)
{
    struct statfs fs;

    return *path && statfs(path, &fs) == 0 && (fs.f_type == NSFS_MAGIC || fs.f_type == PROC_SUPER_MAGIC);
}

/* A daemon that was killed left its plugin at work: two at once on one attachment would leave what neither knows of. */
static bool old_plugin_runs(struct cni_op *op)
{
    int64_t now = time_monotonic_us();

    if (!cni_cache_plugin_runs(op->cni->cache_dir, op->container_id, op->ifname))
        return false;
    if (!op->waiting_since_us) {
        op->waiting_since_us = now;
        log_info("CNI DEL of pod %.13s waits for a plugin that an earlier daemon started", op->container_id);
    }
    if (now - op->waiting_since_us < op->cni->plugin_timeout_ms * INT64_C(1000))
        return true;
    log_warn("CNI DEL of pod %.13s: the plugin of an earlier daemon still runs; deleting beside it",
             op->container_id);
    return false;
}

static void del_begin(void *data)
{
    struct cni_op *op = data;

    if (!op->made.conf) { /* nothing cached */
        op->on_del(op->data, NULL);
        op_free(op);
        return;
    }
    if (old_plugin_runs(op)) {
        timer_start(&op->wait, op->cni->loop, 0.02, del_begin, op);
        return;
    }
    /* a pin that is gone, or is but a file since the reboot: plugins clean up what they can without it */
    if (!is_netns(op->made.netns))
        op->made.netns[0] = '\0';
    op->adding = false;
    op->at = op->made.conf->plugins_n;
    del_next(op);
}

int cni_del(struct cni *c, const struct cni_attach *a, cni_del_fn *on_done, void *data, struct err *err)
{
    struct cni_op *op = op_new(c, a, data);
    int r = cni_cache_load(c->cache_dir, a->container_id, a->ifname, &op->made, err);

    op->on_del = on_done;
    if (r < 0 &&
        err->grpc ==
            GRPC_DATA_LOSS) { /* the network of now is the best guess, and better than a pod that never goes */
        log_warn("CNI DEL of pod %.13s with the network of now: %s", a->container_id, err->msg);
        cni_cached_done(&op->made);
        r = op_describe(op, a, err);
    }
    if (r < 0) {
        op_free(op);
        return r;
    }
    loop_defer(c->loop, del_begin, op);
    return 0;
}

/* ---- ADD ----------------------------------------------------------------------------------------------------------- */

static void add_failed(struct cni_op *op, const struct err *err)
{
    op->first = *err;
    op->deadline_us = 0; /* the clean-up has its own time */
    del_begin(op);
}

static void add_finish(struct cni_op *op)
{
    struct err err;

    if (cni_cache_save(op->cni->cache_dir, op->container_id, op->ifname, &op->made, &err) < 0) {
        add_failed(op, &err);
        return;
    }
    op->on_add(op->data, op->result, NULL);
    op_free(op);
}

static void on_added(void *data, struct cni_result *result, const struct err *err)
{
    struct cni_op *op = data;
    struct err start;

    op->child = NULL;
    if (err) {
        add_failed(op, err);
        return;
    }
    cni_result_free(op->result);
    op->result = result;
    json_decref(op->made.result);
    op->made.result = json_incref(result->json);
    do
        op->at++;
    while (op->at < op->made.conf->plugins_n && cni_plugin_is_idle(op->made.conf, op->at, op->made.runtime));
    if (op->at == op->made.conf->plugins_n)
        add_finish(op);
    else if (op_exec(op, CNI_ADD, op->at, on_added, &start) < 0)
        add_failed(op, &start);
}

static int add_start(struct cni_op *op, const struct cni_attach *a, struct err *err)
{
    struct err undo;
    int r = op_describe(op, a, err);

    if (r < 0 || (r = cni_cache_save(op->cni->cache_dir, op->container_id, op->ifname, &op->made, err)) < 0)
        return r;
    op->adding = true;
    r = op_exec(op, CNI_ADD, 0, on_added, err);
    if (r < 0 && cni_cache_remove(op->cni->cache_dir, op->container_id, op->ifname, &undo) < 0)
        log_warn("%s", undo.msg);
    return r;
}

int cni_add(struct cni *c, const struct cni_attach *a, cni_add_fn *on_done, void *data, struct cni_op **ret_op,
            struct err *err)
{
    struct cni_op *op = op_new(c, a, data);

    op->on_add = on_done;
    int r = add_start(op, a, err);
    if (r < 0) {
        op_free(op);
        return r;
    }
    if (ret_op)
        *ret_op = op;
    return 0;
}

void cni_cancel(struct cni_op *op)
{
    if (op->adding && op->child)
        child_cancel(op->child);
}
