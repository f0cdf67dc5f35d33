#include "netns/cni_exec.h"
#include "core/mem.h"
#include "netns/cni_cache.h"

#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>

extern char **environ;

/* ---- finding ------------------------------------------------------------------------------------------------------- */

static bool is_program(const char *path)
{
    struct stat st;

    return stat(path, &st) == 0 && S_ISREG(st.st_mode) && (st.st_mode & 0111);
}

/* NULL when it is in none; the caller frees. */
static char *find_plugin(const char *type, char *const *bin_dirs)
{
    for (; *bin_dirs; bin_dirs++) {
        char *path = mem_printf("%s/%s", *bin_dirs, type);
        if (is_program(path))
            return path;
        free(path);
    }
    return NULL;
}

static char *join(char *const *list, const char *between)
{
    struct buf b = {0};

    for (size_t i = 0; list[i]; i++)
        buf_addf(&b, "%s%s", i ? between : "", list[i]);
    return buf_steal(&b);
}

static int missing(const struct cni_conf *c, const char *type, char *const *bin_dirs, struct err *err)
{
    cleanup_free char *dirs = join(bin_dirs, ", ");

    return err_set(err, GRPC_FAILED_PRECONDITION, 0,
                   "CNI plugin %.64s (CNI configuration %.128s) is not in %.200s: install it (Debian: "
                   "containernetworking-plugins)",
                   type, c->file, *dirs ? dirs : "any directory: none is configured");
}

int cni_check_plugins(const struct cni_conf *c, char *const *bin_dirs, struct err *err)
{
    for (size_t i = 0; i < c->plugins_n; i++) {
        const char *const types[] = {c->plugins[i].type, c->plugins[i].ipam_type};
        for (size_t k = 0; k < countof(types); k++) {
            cleanup_free char *path = types[k] ? find_plugin(types[k], bin_dirs) : NULL;
            if (types[k] && !path)
                return missing(c, types[k], bin_dirs, err);
        }
    }
    return 0;
}

/* ---- the environment ----------------------------------------------------------------------------------------------- */

enum { CNI_VARIABLES = 6 };

static bool passed_on(const char *variable)
{
    static const char *const kept_back[] = {"CNI_", "NOTIFY_SOCKET=", "LISTEN_", "WATCHDOG_"};

    for (size_t i = 0; i < countof(kept_back); i++)
        if (!strncmp(variable, kept_back[i], strlen(kept_back[i])))
            return false;
    return true;
}

static void envp_free(char ***envp)
{
    for (char **e = *envp; e && *e; e++)
        free(*e);
    free(*envp);
}

/* The daemon's own, as both peers pass it (proxies, GODEBUG, PATH for iptables), and the CNI variables. */
static char **make_envp(const struct cni_exec *x)
{
    static const char *const verbs[] = {[CNI_ADD] = "ADD", [CNI_DEL] = "DEL"};
    cleanup_free char *path = join(x->bin_dirs, ":");
    size_t n = 0, at = 0;

    while (environ && environ[n])
        n++;
    char **envp = mem_alloc((n + CNI_VARIABLES + 2) * sizeof(*envp));
    for (size_t i = 0; i < n; i++)
        if (passed_on(environ[i]))
            envp[at++] = mem_strdup(environ[i]);
    if (!getenv("PATH"))
        envp[at++] = mem_strdup("PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin");
    envp[at++] = mem_printf("CNI_COMMAND=%s", verbs[x->verb]);
    envp[at++] = mem_printf("CNI_CONTAINERID=%s", x->env->container_id);
    envp[at++] = mem_printf("CNI_NETNS=%s", x->env->netns);
    envp[at++] = mem_printf("CNI_IFNAME=%s", x->env->ifname);
    envp[at++] = mem_printf("CNI_ARGS=%s", x->env->args);
    envp[at++] = mem_printf("CNI_PATH=%s", path);
    return envp;
}

/* ---- running ------------------------------------------------------------------------------------------------------- */

struct run {
    char *type;
    enum cni_verb verb;
    int timeout_ms;
    cni_exec_fn *on_done;
    void *data;
};

static void run_free(struct run *r)
{
    free(r->type);
    free(r);
}

/* The last line of what it wrote to stderr, else how it ended. */
static int plugin_failed(const struct run *r, const struct child_result *c, struct err *err)
{
    cleanup_free char *name = mem_printf("CNI plugin %s", r->type);
    struct err how;

    if (c->timed_out)
        return err_set(err, GRPC_DEADLINE_EXCEEDED, 0, "CNI plugin %s: not done after %d ms, and killed",
                       r->type, r->timeout_ms);
    int rc = child_check(c, name, err);
    if (rc == 0 || c->cancelled || !WIFEXITED(c->status) || c->out.len == 0)
        return rc;
    how = *err;
    return cni_result_error(r->type, c->out.data, c->out.len, how.msg, err);
}

static int read_answer(const struct run *r, const struct child_result *c, struct cni_result **ret,
                       struct err *err)
{
    int rc = plugin_failed(r, c, err);

    if (rc < 0 || r->verb != CNI_ADD)
        return rc;
    if (c->out.truncated)
        return err_set(err, GRPC_INTERNAL, 0, "CNI plugin %s: printed more than %d bytes", r->type,
                       CNI_RESULT_MAX);
    return cni_result_parse(r->type, c->out.data ? c->out.data : "", c->out.len, ret, err);
}

static void on_plugin_exit(void *data, struct child_result *c)
{
    struct run *r = data;
    struct cni_result *result = NULL;
    struct err err;
    int rc = read_answer(r, c, &result, &err);

    r->on_done(r->data, result, rc < 0 ? &err : NULL);
    run_free(r);
}

int cni_exec(struct loop *l, const struct cni_exec *x, cni_exec_fn *on_done, void *data,
             struct child **ret_child, struct err *err)
{
    const struct cni_plugin *p = &x->conf->plugins[x->plugin];
    cleanup_free char *path = find_plugin(p->type, x->bin_dirs);

    if (!path)
        return missing(x->conf, p->type, x->bin_dirs, err);
    cleanup_free char *input = cni_plugin_stdin(x->conf, x->plugin, x->verb, x->runtime, x->prev_result);
    cleanup_close int stdin_fd = -1;
    if (cni_cache_stdin(x->cache_dir, x->env->container_id, x->env->ifname, input, &stdin_fd, err) < 0)
        return err_wrap(err, "CNI plugin %s", p->type);
    cleanup_with(envp_free) char **envp = make_envp(x);
    const char *const argv[] = {path, NULL};
    const struct child_spec spec = {
        .name = p->type,
        .argv = argv,
        .envp = (const char *const *)envp,
        .stdin_fd = stdin_fd,
        .out_max = CNI_RESULT_MAX,
        .timeout_ms = x->timeout_ms,
        .new_session = true,
    };
    struct run *r = mem_new(struct run);

    *r = (struct run){.type = mem_strdup(p->type),
                      .verb = x->verb,
                      .timeout_ms = x->timeout_ms,
                      .on_done = on_done,
                      .data = data};
    int rc = child_start(l, &spec, on_plugin_exit, r, ret_child, err);
    if (rc < 0)
        run_free(r);
    return rc;
}
