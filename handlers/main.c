#include "handlers/daemon.h"
#include "core/log.h"
#include "core/mem.h"
#include "core/schedule.h"
#include "handlers/methods.h"
#include "handlers/recover.h"
#include "handlers/rpc.h"
#include "handlers/runtimes.h"
#include "handlers/streaming.h"
#include "loop/child.h"
#include "loop/h2o_bridge.h"
#include "loop/stream_conn.h"
#include "loop/trim.h"

#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

static const char usage[] =
    "usage: cricketd [--config FILE] [--root DIR] [--state DIR] [--listen unix://PATH] [--log-level LEVEL]\n"
    "       cricketd [--config FILE] config default|check|dump\n"
    "       cricketd --version\n"
    "\n"
    "  --config FILE   configuration (default /etc/cricket/config.yaml, which may be absent)\n"
    "  --root DIR      what survives a reboot: images, the store (default /var/lib/cricket)\n"
    "  --state DIR     what does not: sockets, mounts (default /run/cricket)\n"
    "  --listen URL    the CRI socket (default unix://STATE/cricket.sock)\n"
    "  --log-level L   error, warn, info or debug (default info)\n";

struct options {
    const char *config, *root, *state, *listen, *log_level;
};

static void set(char **field, const char *value)
{
    if (!value)
        return;
    free(*field);
    *field = mem_strdup(value);
}

static int load_config(const struct options *o, struct config *c, struct err *err)
{
    config_init(c);
    if (config_load(c, o->config, err) < 0)
        return err_errno(err);
    set(&c->root, o->root);
    set(&c->state, o->state);
    set(&c->listen, o->listen);
    set(&c->log_level, o->log_level);
    return config_finish(c, err);
}

/* ---- subcommands --------------------------------------------------------------------------------------------------- */

static int config_command(const struct options *o, const char *what)
{
    struct config c;
    struct err err;
    int r = 0;

    if (strcmp(what, "default") == 0) {
        config_init(&c);
        r = config_finish(&c, &err);
    } else if (strcmp(what, "check") == 0 || strcmp(what, "dump") == 0) {
        r = load_config(o, &c, &err);
    } else {
        fprintf(stderr, "cricketd config: \"%s\" is not known: use default, check or dump\n", what);
        return 2;
    }
    if (r < 0) {
        fprintf(stderr, "cricketd: %s\n", err.msg);
        config_done(&c);
        return 1;
    }
    if (strcmp(what, "check") == 0) {
        puts("the configuration is valid");
    } else {
        cleanup_free char *text = config_dump(&c);
        fputs(text, stdout);
    }
    config_done(&c);
    return 0;
}

/* `cricketd store-checkpoint FILE`: the daemon starts itself for this, since a checkpoint fsyncs. */
static int checkpoint_command(const char *path)
{
    struct err err;

    if (store_checkpoint(path, &err) == 0)
        return 0;
    fprintf(stderr, "%s\n", err.msg);
    return 1;
}

/* ---- start --------------------------------------------------------------------------------------------------------- */

static char *own_path(void)
{
    char path[4096];
    ssize_t n = readlink("/proc/self/exe", path, sizeof(path) - 1);

    return n > 0 ? mem_strndup(path, (size_t)n) : mem_strdup("cricketd");
}

/* Whoever started us may have closed them: then a socket of ours would be some child's stdin. */
static void open_standard_descriptors(void)
{
    int fd;

    do
        fd = open("/dev/null", O_RDWR);
    while (fd >= 0 && fd <= STDERR_FILENO);
    if (fd >= 0)
        close(fd);
}

/* sd_notify(3) without its library: one datagram. */
static void notify(const char *text)
{
    const char *path = getenv("NOTIFY_SOCKET");
    struct sockaddr_un a = {.sun_family = AF_UNIX};

    if (!path || (path[0] != '/' && path[0] != '@') || strlen(path) >= sizeof(a.sun_path))
        return;
    memcpy(a.sun_path, path, strlen(path));
    if (path[0] == '@')
        a.sun_path[0] = '\0';
    cleanup_close int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    socklen_t len = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + strlen(path));
    if (fd < 0 || sendto(fd, text, strlen(text), MSG_NOSIGNAL, (struct sockaddr *)&a, len) < 0)
        log_warn("cannot tell systemd: %s", strerror(errno));
}

/* ---- run ----------------------------------------------------------------------------------------------------------- */

static const double FAREWELL_POLL_S = 0.02;
enum { CHECKPOINT_WAL_BYTES = 4 << 20, CHECKPOINT_AFTER_S = 5, DRAIN_S = 10 };

struct run {
    struct daemon *daemon;
    const struct options *options;
    struct timer checkpoint, patience, farewell;
    bool checkpointing;
    char *self;
    int exit_code;
};

static void on_checkpointed(void *data, struct child_result *result)
{
    struct run *r = data;
    struct err err;

    r->checkpointing = false;
    if (child_check(result, "store checkpoint", &err) < 0)
        log_warn("%s", err.msg);
}

static void on_checkpoint_time(void *data)
{
    struct run *r = data;
    struct err err;
    cleanup_free char *db = mem_printf("%s/store.db", r->daemon->config.root);
    const char *argv[] = {r->self, "store-checkpoint", db, NULL};
    struct child_spec spec = {.argv = argv, .timeout_ms = 60000};

    r->checkpointing = child_start(r->daemon->loop, &spec, on_checkpointed, r, NULL, &err) == 0;
    if (!r->checkpointing)
        log_warn("%s", err.msg);
}

/* The store's log is long. A node on which nothing happens is not woken: no write, no timer. */
static void on_long_wal(void *data)
{
    struct run *r = data;

    if (!r->checkpointing && !timer_active(&r->checkpoint))
        timer_start(&r->checkpoint, r->daemon->loop, CHECKPOINT_AFTER_S, on_checkpoint_time, r);
}

static void on_patience_over(void *data)
{
    struct run *r = data;

    loop_stop(r->daemon->loop);
}

/* No call is open. Streaming clients have been told, too, once their connections have ended. */
static void on_drained(void *data)
{
    struct run *r = data;

    if (streaming_idle(r->daemon->streaming) && stream_conn_count() == 0)
        loop_stop(r->daemon->loop);
    else
        timer_start(&r->farewell, r->daemon->loop, FAREWELL_POLL_S, on_drained, r);
}

static void on_stop(void *data, int signal)
{
    struct run *r = data;

    if (r->daemon->stopping) {
        loop_stop(r->daemon->loop);
        return;
    }
    r->daemon->stopping = true;
    log_info("%s: stopping; containers go on", strsignal(signal));
    notify("STOPPING=1");
    streaming_stop(r->daemon->streaming);
    bridge_drain(r->daemon->bridge, on_drained, r);
    timer_start(&r->patience, r->daemon->loop, DRAIN_S, on_patience_over, r);
}

/*
 * SIGHUP: what can change while pods run. The log's level and the limits of what comes next; registries.yaml and the CNI
 * directory are looked at on each use anyway. Paths, drivers and handlers belong to what runs: they want a restart.
 */
static void on_reload(void *data, int signal)
{
    struct run *r = data;
    struct config *now = &r->daemon->config;
    struct config next;
    struct err err;

    (void)signal;
    if (load_config(r->options, &next, &err) < 0) {
        log_error("reload: %s; the old configuration stays", err.msg);
    } else if (log_level_set(next.log_level) < 0) {
        log_error("reload: log_level \"%s\": use error, warn, info or debug", next.log_level);
    } else {
        now->pids_limit = next.pids_limit;
        now->max_parallel_layers = next.max_parallel_layers;
        now->pull_idle_timeout_s = next.pull_idle_timeout_s;
        now->enable_unprivileged_ports = next.enable_unprivileged_ports;
        now->stream_idle_timeout_s = next.stream_idle_timeout_s;
        now->stream_creation_timeout_s = next.stream_creation_timeout_s;
        now->enable_unprivileged_icmp = next.enable_unprivileged_icmp;
        log_info("configuration reloaded; log level %s", log_level_name());
    }
    config_done(&next);
}

static void on_recovered(void *data)
{
    struct run *r = data;
    struct daemon *d = r->daemon;
    const char *path = d->config.listen + strlen("unix://");
    struct err err;

    if (bridge_listen(d->bridge, path, rpc_dispatch, d, &err) < 0) {
        log_error("%s", err.msg);
        r->exit_code = 1;
        loop_stop(d->loop);
        return;
    }
    const struct runtime *rt = runtime_default(d->runtimes);
    log_info("cricketd %s ready on %s; handler %s, cgroups by %s", CRICKET_VERSION, d->config.listen,
             rt->config->name, d->config.cgroup_driver == CGROUP_DRIVER_SYSTEMD ? "systemd" : "cgroupfs");
    if (isatty(STDERR_FILENO))
        fprintf(stderr,
                "\nTry, in another terminal:\n"
                "  cricket doctor                                   what this host can do\n"
                "  cricket run --rm docker.io/library/busybox:latest echo hello\n"
                "  crictl --runtime-endpoint %s --image-endpoint %s info\n\n",
                d->config.listen, d->config.listen);
    notify("READY=1");
    trim_later(d->loop); /* what only the start needed */
}

static int run_daemon(const struct options *o)
{
    struct daemon d = {0};
    struct run r = {.daemon = &d, .options = o, .self = own_path()};
    struct err err;

    if (load_config(o, &d.config, &err) < 0)
        goto bad;
    if (log_level_set(d.config.log_level) < 0) {
        err_set(&err, GRPC_INVALID_ARGUMENT, 0, "log_level \"%s\": use error, warn, info or debug",
                d.config.log_level);
        goto bad;
    }
    d.loop = loop_new();
    if (daemon_start(&d, &err) < 0)
        goto bad;
    store_on_wal(d.store, CHECKPOINT_WAL_BYTES, on_long_wal, &r);
    methods_init();
    d.bridge = bridge_new(d.loop, RPC_BODY_MAX);
    loop_on_signal(d.loop, SIGTERM, on_stop, &r);
    loop_on_signal(d.loop, SIGINT, on_stop, &r);
    loop_on_signal(d.loop, SIGHUP, on_reload, &r);
    if (recover_start(&d, on_recovered, &r, &err) < 0)
        goto bad;
    loop_run(d.loop);
    timer_stop(&r.checkpoint);
    timer_stop(&r.patience);
    timer_stop(&r.farewell);
    trim_stop();
    goto out;
bad:
    log_error("%s", err.msg);
    r.exit_code = 1;
out:
    bridge_free(d.bridge);
    daemon_stop(&d);
    loop_free(d.loop);
    config_done(&d.config);
    free(r.self);
    return r.exit_code;
}

int main(int argc, char **argv)
{
    static const struct option longopts[] = {
        {"config", required_argument, NULL, 'c'},
        {"root", required_argument, NULL, 'r'},
        {"state", required_argument, NULL, 's'},
        {"listen", required_argument, NULL, 'l'},
        {"log-level", required_argument, NULL, 'L'},
        {"version", no_argument, NULL, 'V'},
        {"help", no_argument, NULL, 'h'},
        {0},
    };
    struct options o = {0};
    int opt;

    open_standard_descriptors();
    while ((opt = getopt_long(argc, argv, "h", longopts, NULL)) != -1) {
        switch (opt) {
        case 'c':
            o.config = optarg;
            break;
        case 'r':
            o.root = optarg;
            break;
        case 's':
            o.state = optarg;
            break;
        case 'l':
            o.listen = optarg;
            break;
        case 'L':
            o.log_level = optarg;
            break;
        case 'V':
            puts("cricketd " CRICKET_VERSION);
            return 0;
        case 'h':
            fputs(usage, stdout);
            return 0;
        default:
            fputs(usage, stderr);
            return 2;
        }
    }
    signal(SIGPIPE, SIG_IGN);
    umask(022);
    if (optind + 2 == argc && strcmp(argv[optind], "config") == 0)
        return config_command(&o, argv[optind + 1]);
    if (optind + 2 == argc && strcmp(argv[optind], "store-checkpoint") == 0)
        return checkpoint_command(argv[optind + 1]);
    if (optind != argc) {
        fprintf(stderr, "cricketd: \"%s\" is not understood\n%s", argv[optind], usage);
        return 2;
    }
    if (geteuid() != 0) {
        fputs("cricketd: needs root: it makes namespaces, mounts and cgroups\n", stderr);
        return 1;
    }
    schedule_promptly();
    return run_daemon(&o);
}
