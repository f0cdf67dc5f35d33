#include "cli/commands.h"
#include "cli/forward.h"
#include "cli/resolve.h"
#include "core/mem.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/signalfd.h>

struct args {
    const char *address, *ca_file;
};

static const struct opt opts[] = {
    {0, "address", OPT_STRING, offsetof(struct args, address), "IP", "to listen on; default 127.0.0.1"},
    {0, "tls-ca", OPT_STRING, offsetof(struct args, ca_file), "FILE",
     "verify a https streaming server; default: encrypt only"},
    OPT_END,
};

struct dialer {
    struct cli *cli;
    char *pod_id;
};

/* The token in a URL is good for one connection. */
static int dial(void *data, uint16_t remote, char **ret_url, struct err *err)
{
    const struct dialer *d = data;
    cleanup_reply Runtime__V1__PortForwardResponse *r = NULL;
    Runtime__V1__PortForwardRequest req = RUNTIME__V1__PORT_FORWARD_REQUEST__INIT;
    int32_t port = remote;

    req.pod_sandbox_id = d->pod_id;
    req.port = &port;
    req.n_port = 1;
    int rc = cri_call(d->cli, "PortForward", &req, &r, err);
    if (rc < 0)
        return rc;
    *ret_url = mem_strdup(r->url);
    return 0;
}

static int take_signals(int *ret_fd, struct err *err)
{
    sigset_t set;

    sigemptyset(&set);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGTERM);
    sigprocmask(SIG_BLOCK, &set, NULL);
    signal(SIGPIPE, SIG_IGN); /* NOLINT: TLS writes without MSG_NOSIGNAL */
    if ((*ret_fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK)) < 0)
        return err_sys(err, errno, "signalfd");
    return 0;
}

/* Two descriptors a connection; where that is refused, fewer connections are taken at once. */
static void raise_descriptors(void)
{
    const rlim_t want = 4 * FORWARD_MAX;
    struct rlimit r;

    if (getrlimit(RLIMIT_NOFILE, &r) == 0 && r.rlim_cur < want) {
        r.rlim_cur = r.rlim_max < want ? r.rlim_max : want;
        setrlimit(RLIMIT_NOFILE, &r);
    }
}

static int run(struct cli *cli, void *data, int argc, char **argv, struct err *err)
{
    const struct args *args = data;
    struct forward_port ports[FORWARD_PORTS_MAX];
    size_t n = (size_t)argc - 1;
    cleanup_close int signals = -1;
    struct target t;
    int rc;

    for (size_t i = 0; i < n; i++)
        if (forward_port_parse(argv[1 + i], &ports[i], err) < 0)
            return CLI_USAGE;
    if ((rc = resolve_target(cli, argv[0], TARGET_POD | TARGET_CONTAINER, TARGET_POD, &t, err)) < 0 ||
        (rc = take_signals(&signals, err)) < 0 || (rc = cri_cancel_fd(cli, signals, err)) < 0)
        return rc;
    raise_descriptors();
    struct dialer d = {cli, t.pod_id};
    const struct forward_options o = {.address = args->address ? args->address : "127.0.0.1",
                                      .ports = ports,
                                      .ports_n = n,
                                      .ca_file = args->ca_file,
                                      .timeout_ms = cli->timeout_ms,
                                      .signals = signals,
                                      .dial = dial,
                                      .data = &d};
    return forward_run(&o, err);
}

const struct command cmd_port_forward = {
    .name = "port-forward",
    .args = "[--address IP] POD [LOCAL:]REMOTE...",
    .summary = "reach ports of a pod at local ones",
    .details =
        "POD is a pod's id or name, or one of its containers'. LOCAL 0 is any free port; the output says\n"
        "which. Until Ctrl-C. With a runtime that speaks only v4.channel.k8s.io (containerd 1.x, 2.x) the\n"
        "end of what a client sends is not passed on, and such a connection ends after 30 quiet seconds.",
    .opts = opts,
    .size = sizeof(struct args),
    .min_args = 2,
    .max_args = 1 + FORWARD_PORTS_MAX,
    .run = run,
};
