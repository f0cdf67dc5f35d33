/*
 * `cricket run`: pulls what is missing, makes a pod with one container, follows it.
 *
 *   parse -> image -> pod, container -> follow ----------> exited -> stop or remove the pod -> exit code
 *              |           |              | SIGINT, SIGTERM   ^
 *              v           v              v  StopContainer ---'
 *            error      remove all       again: kill
 */
#include "cli/commands.h"
#include "cli/follow.h"
#include "cli/pod_ops.h"
#include "cli/pull.h"
#include "cli/run_pod.h"
#include "core/mem.h"

#include <errno.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/wait.h>

enum { STOP_S = 10 };

struct args {
    bool detach, remove, privileged, interactive, tty;
    const char *name, *net, *handler, *entrypoint, *creds;
    struct opt_list ports, env, volumes;
};

static const struct opt opts[] = {
    {'d', "detach", OPT_FLAG, offsetof(struct args, detach), NULL,
     "print the container's id and leave it running"},
    {0, "rm", OPT_FLAG, offsetof(struct args, remove), NULL, "remove pod, container and logs at the end"},
    {0, "name", OPT_STRING, offsetof(struct args, name), "NAME",
     "of pod and container; default: made from the image's"},
    {'p', "publish", OPT_LIST, offsetof(struct args, ports), "[IP:]HOST:CONTAINER[/PROTOCOL]",
     "a port of the host for one of the pod"},
    {'e', "env", OPT_LIST, offsetof(struct args, env), "NAME[=VALUE]", "an environment variable"},
    {'v', "volume", OPT_LIST, offsetof(struct args, volumes), "SOURCE:DESTINATION[:ro]",
     "a file or directory of the host"},
    {0, "net", OPT_STRING, offsetof(struct args, net), "pod|host",
     "the pod's own network (default), or the host's"},
    {0, "privileged", OPT_FLAG, offsetof(struct args, privileged), NULL,
     "with all rights and devices of the host"},
    {0, "handler", OPT_STRING, offsetof(struct args, handler), "NAME",
     "the runtime handler; `cricket info` lists them"},
    {0, "entrypoint", OPT_STRING, offsetof(struct args, entrypoint), "PATH", "instead of the image's"},
    {0, "creds", OPT_STRING, offsetof(struct args, creds), "USER:PASSWORD", "for the pull"},
    {'i', "interactive", OPT_FLAG, offsetof(struct args, interactive), NULL, "not built yet"},
    {'t', "tty", OPT_FLAG, offsetof(struct args, tty), NULL, "not built yet"},
    OPT_END,
};

/* The option values, parsed. */
struct parsed {
    struct run_port *ports;
    struct run_volume *volumes;
    char **env_keys;
    const char **env_values;
    size_t ports_n, volumes_n, env_n;
};

static void parsed_done(struct parsed *v)
{
    for (size_t i = 0; i < v->volumes_n; i++)
        run_volume_done(&v->volumes[i]);
    for (size_t i = 0; i < v->env_n; i++)
        free(v->env_keys[i]);
    free(v->ports);
    free(v->volumes);
    free(v->env_keys);
    free(v->env_values);
}

/* The runtime would make a directory of a source that is missing; a typing mistake is likelier. */
static int absolute_source(struct run_volume *v, struct err *err)
{
    char *path = realpath(v->source, NULL);

    if (!path)
        return err_sys(err, errno, "-v %s: the source", v->source);
    free(v->source);
    v->source = path;
    return 0;
}

static int parse_lists(const struct args *a, struct parsed *v, struct err *err)
{
    int rc = 0;

    v->ports = mem_alloc(a->ports.n * sizeof(*v->ports));
    v->volumes = mem_alloc(a->volumes.n * sizeof(*v->volumes));
    v->env_keys = mem_alloc(a->env.n * sizeof(*v->env_keys));
    v->env_values = mem_alloc(a->env.n * sizeof(*v->env_values));
    for (size_t i = 0; !rc && i < a->ports.n; i++)
        if (!(rc = run_port_parse(a->ports.items[i], &v->ports[i], err)))
            v->ports_n++;
    for (size_t i = 0; !rc && i < a->volumes.n; i++)
        if (!(rc = run_volume_parse(a->volumes.items[i], &v->volumes[i], err))) {
            v->volumes_n++;
            rc = absolute_source(&v->volumes[i], err);
        }
    for (size_t i = 0; !rc && i < a->env.n; i++)
        if (!(rc = run_env_parse(a->env.items[i], &v->env_keys[i], &v->env_values[i], err)))
            v->env_n++;
    return rc < 0 && err->grpc == GRPC_INVALID_ARGUMENT ? CLI_USAGE : rc;
}

static int check(const struct args *a, struct err *err)
{
    if (a->interactive || a->tty)
        return cli_usage(err, "an interactive run (-i, -t) is not built yet: run it without them");
    if (a->detach && a->remove)
        return cli_usage(
            err, "--rm needs somebody who waits: leave out -d, and remove it later with `cricket rm -f NAME`");
    if (a->net && strcmp(a->net, "host") && strcmp(a->net, "pod"))
        return cli_usage(err, "--net is pod or host, not \"%s\"", a->net);
    if (a->net && !strcmp(a->net, "host") && a->ports.n)
        return cli_usage(err, "-p has no meaning with --net host: the container's ports are the host's");
    return a->name && run_name_check(a->name, err) < 0 ? CLI_USAGE : 0;
}

static int take_signals(int *ret_fd, struct err *err)
{
    sigset_t set;

    sigemptyset(&set);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGTERM);
    sigprocmask(SIG_BLOCK, &set, NULL);
    if ((*ret_fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK)) < 0)
        return err_sys(err, errno, "signalfd");
    return 0;
}

/* The number of a signal that came; 0: none. */
static int signal_read(int fd)
{
    struct signalfd_siginfo info;

    return read(fd, &info, sizeof(info)) == sizeof(info) ? (int)info.ssi_signo : 0;
}

/* An interrupt stops a pull at once. What follows is short, and must be known to the end to be undone. */
static int get_image(struct cli *cli, const char *image, const char *creds, int signals, char **ret_id,
                     struct err *err)
{
    int rc = cri_cancel_fd(cli, signals, err);

    if (!rc)
        rc = image_lookup(cli, image, ret_id, err);
    if (!rc && !*ret_id) {
        fprintf(stderr, "pulling %s\n", image);
        rc = image_fetch(cli, image, creds, ret_id, err);
    }
    int unset = cri_cancel_fd(cli, -1, NULL);
    return rc ? rc : unset;
}

/* In a process of its own, so that the container's last words are shown while it stops. */
static pid_t stop_aside(const struct cli *cli, const char *id, int grace_s)
{
    pid_t pid = fork();

    if (pid == 0) {
        struct cli own = {.endpoint = cli->endpoint, .timeout_ms = cli->timeout_ms};
        struct err err = {0};
        if (container_stop(&own, id, grace_s, &err) < 0 && err.grpc != GRPC_NOT_FOUND)
            fprintf(stderr, "cricket run: stopping the container: %s\n", err.msg);
        _exit(0); /* exit() would write the parent's buffered output once more */
    }
    if (pid < 0)
        fprintf(stderr, "cricket run: cannot stop the container: %s\n", strerror(errno));
    return pid;
}

/* Until the container has exited. The first signal asks it to stop, the second kills it. */
static int follow_to_end(struct cli *cli, const struct run_pod *p, int signals, int *ret_code, struct err *err)
{
    static const int graces[] = {STOP_S, 0};
    cleanup_log_file struct log_file log = {.fd = -1, .inotify = -1};
    pid_t stops[countof(graces)];
    struct follow_end end = {0};
    size_t n = 0;
    int rc;

    log_file_init(&log, p->log_path, false, stdout, stderr);
    while (!(rc = follow_container(cli, p->container_id, &log, signals, &end, err)) && end.interrupted) {
        signal_read(signals);
        if (n < countof(graces)) {
            stops[n] = stop_aside(cli, p->container_id, graces[n]);
            n++;
        }
    }
    for (size_t i = 0; i < n; i++)
        if (stops[i] > 0)
            waitpid(stops[i], NULL, 0);
    *ret_code = end.gone ? EXIT_ERROR : end.exit_code & 0xff;
    if (!rc && end.gone)
        fprintf(stderr, "cricket run: the container was removed while it ran\n");
    if (!rc && !end.gone && strcmp(end.reason, "OOMKilled") == 0)
        fprintf(stderr, "cricket run: the container was killed because it ran out of memory\n");
    return rc;
}

/* Removes what was made because of an error, which stays the one that is reported. */
static void unmake(struct cli *cli, struct run_pod *p)
{
    struct err e = {0};

    if (run_pod_remove(p, cli, &e) < 0 && e.grpc != GRPC_NOT_FOUND)
        fprintf(stderr, "cricket run: pod %s may be left behind (%s): `cricket rm -f %s`\n", p->name, e.msg,
                p->name);
}

static int run_in(struct cli *cli, const struct args *a, struct run_pod *p, const struct run_spec *spec,
                  int signals, struct err *err)
{
    int code = EXIT_OK, rc;

    if ((rc = run_pod_init(p, cli, a->name, spec->image_name, err)) < 0 ||
        (rc = run_pod_start(p, cli, spec, err)) < 0) {
        unmake(cli, p);
        return rc;
    }
    if (a->detach) {
        puts(p->container_id);
        return EXIT_OK;
    }
    if ((rc = follow_to_end(cli, p, signals, &code, err)) < 0) {
        unmake(cli, p);
        return rc;
    }
    /* Nothing can start the container again: without --rm the pod is kept for logs and inspect, but gives its network back. */
    rc = a->remove ? run_pod_remove(p, cli, err) : pod_stop(cli, p->pod_id, 0, err);
    return rc < 0 && err->grpc != GRPC_NOT_FOUND ? rc : code;
}

static int run(struct cli *cli, void *data, int argc, char **argv, struct err *err)
{
    struct args *a = data;
    struct parsed v = {0};
    struct run_pod pod = {0};
    cleanup_free char *image = NULL;
    cleanup_close int signals = -1;
    int rc = check(a, err);

    if (!rc)
        rc = parse_lists(a, &v, err);
    if (!rc)
        rc = take_signals(&signals, err);
    if (!rc)
        rc = get_image(cli, argv[0], a->creds, signals, &image, err);
    if (!rc) {
        struct run_spec spec = {
            .image = image,
            .image_name = argv[0],
            .command = argv + 1,
            .command_n = (size_t)argc - 1,
            .entrypoint = a->entrypoint,
            .handler = a->handler ? a->handler : "",
            .host_network = a->net && !strcmp(a->net, "host"),
            .privileged = a->privileged,
            .ports = v.ports,
            .ports_n = v.ports_n,
            .volumes = v.volumes,
            .volumes_n = v.volumes_n,
            .env_keys = (const char *const *)v.env_keys,
            .env_values = v.env_values,
            .env_n = v.env_n,
        };
        rc = run_in(cli, a, &pod, &spec, signals, err);
    }
    run_pod_done(&pod);
    parsed_done(&v);
    opt_list_done(&a->ports);
    opt_list_done(&a->env);
    opt_list_done(&a->volumes);
    return rc;
}

const struct command cmd_run = {
    .name = "run",
    .args = "[OPTION]... IMAGE [COMMAND] [ARG]...",
    .summary = "run an image: one pod with one container",
    .details = "Follows the container's output until it exits, and exits as it did. Ctrl-C stops it, a second "
               "one kills it.",
    .opts = opts,
    .size = sizeof(struct args),
    .min_args = 1,
    .max_args = -1,
    .in_order = true,
    .run = run,
};
