#include "cli/forward.h"
#include "cli/forward_conn.h"
#include "core/mem.h"
#include "core/quote.h"

#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

enum { QUEUE = 128, PORT_DIGITS = 5 };

struct forward {
    const struct forward_options *o;
    int listeners[FORWARD_PORTS_MAX];
    size_t listeners_n;
    struct forward_conn *conns[FORWARD_MAX];
    size_t conns_n;
    bool full; /* no more descriptors: until a connection has ended */
    struct pollfd polls[1 + FORWARD_PORTS_MAX + 2 * FORWARD_MAX];
};

/* ---- listening ---- */

static int bound(const char *address, uint16_t local, const struct addrinfo *a, int *ret_fd, struct err *err)
{
    cleanup_close int fd = socket(a->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    int on = 1;

    if (fd < 0)
        return err_sys(err, errno, "socket");
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
    if (bind(fd, a->ai_addr, a->ai_addrlen) < 0 || listen(fd, QUEUE) < 0)
        return err_set(
            err, GRPC_FAILED_PRECONDITION, errno,
            "cannot listen on %s port %u; choose another port by LOCAL:REMOTE, or 0 for any free one", address,
            local);
    *ret_fd = steal_fd(&fd);
    return 0;
}

/* Which port it became, where any was asked for. */
static int tell(int fd, uint16_t remote, struct err *err)
{
    struct sockaddr_storage a = {0};
    socklen_t n = sizeof(a);
    char host[NI_MAXHOST], port[PORT_DIGITS + 1];

    if (getsockname(fd, (struct sockaddr *)&a, &n) < 0)
        return err_sys(err, errno, "getsockname");
    if (getnameinfo((const struct sockaddr *)&a, n, host, sizeof(host), port, sizeof(port),
                    NI_NUMERICHOST | NI_NUMERICSERV) != 0)
        return err_set(err, GRPC_INTERNAL, 0, "the address of a listener is neither IPv4 nor IPv6");
    bool v6 = a.ss_family == AF_INET6;
    printf("Forwarding from %s%s%s:%s -> %u\n", v6 ? "[" : "", host, v6 ? "]" : "", port, remote);
    fflush(stdout);
    return 0;
}

static int listen_on(struct forward *f, const struct forward_port *port, struct err *err)
{
    const struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICHOST | AI_NUMERICSERV};
    char service[PORT_DIGITS + 1];
    struct addrinfo *a = NULL;
    int fd = -1;

    snprintf(service, sizeof(service), "%u", port->local);
    if (getaddrinfo(f->o->address, service, &hints, &a) != 0)
        return err_set(err, GRPC_INVALID_ARGUMENT, 0, "--address %s is no IPv4 or IPv6 address",
                       QUOTED(f->o->address));
    int rc = bound(f->o->address, port->local, a, &fd, err);
    freeaddrinfo(a);
    if (rc < 0)
        return rc;
    f->listeners[f->listeners_n++] = fd;
    return tell(fd, port->remote, err);
}

/* ---- connections ---- */

/* A connection that fails says so; the others go on. */
static void report(const struct err *err)
{
    fprintf(stderr, "cricket port-forward: %s\n", err->msg);
}

static int open_stream(const struct forward *f, uint16_t remote, struct stream **ret, struct err *err)
{
    cleanup_free char *url = NULL;
    char query[32];

    snprintf(query, sizeof(query), "port=%u", remote);
    if (f->o->dial(f->o->data, remote, &url, err) < 0)
        return err_wrap(err, "port %u", remote);
    const struct stream_options to = {
        .url = url, .query = query, .ca_file = f->o->ca_file, .timeout_ms = f->o->timeout_ms};
    return stream_open(&to, ret, err) < 0 ? err_wrap(err, "port %u", remote) : 0;
}

static int accept_one(struct forward *f, size_t i, struct err *err)
{
    const struct linger now = {.l_onoff = 1, .l_linger = 0};
    uint16_t remote = f->o->ports[i].remote;
    struct stream *stream;
    int on = 1, fd = accept4(f->listeners[i], NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);

    if (fd < 0) {
        f->full = errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM;
        if (f->full && f->conns_n == 0)
            return err_sys(err, errno, "accepting a connection");
        return 0; /* else the client has gone again */
    }
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    int rc = open_stream(f, remote, &stream, err);
    if (rc < 0) {
        setsockopt(fd, SOL_SOCKET, SO_LINGER, &now, sizeof(now)); /* a reset, not an end */
        close(fd);
        if (err->grpc == GRPC_NOT_FOUND)
            return rc;
        if (err->grpc != GRPC_CANCELLED)
            report(err);
        return 0;
    }
    f->conns[f->conns_n++] = forward_conn_new(fd, stream, remote);
    return 0;
}

static void turn_connections(struct forward *f)
{
    for (size_t i = 0; i < f->conns_n;) {
        struct err err = {0};
        int rc = forward_conn_turn(f->conns[i], &err);
        if (rc > 0) {
            i++;
            continue;
        }
        if (rc < 0)
            report(&err);
        forward_conn_free(f->conns[i]);
        f->conns[i] = f->conns[--f->conns_n];
        f->full = false;
    }
}

/* ---- the loop ---- */

/* Every connection is looked at in each turn: some hundreds, and most turns move bytes of several. */
static int turn(struct forward *f, bool *ret_over, struct err *err)
{
    struct pollfd *p = f->polls;
    bool takes = !f->full && f->conns_n < FORWARD_MAX;
    size_t n = 1 + f->listeners_n;
    int wait = -1, rc = 0;

    p[0] = (struct pollfd){f->o->signals, POLLIN, 0};
    for (size_t i = 0; i < f->listeners_n; i++)
        p[1 + i] = (struct pollfd){takes ? f->listeners[i] : -1, POLLIN, 0};
    for (size_t i = 0; i < f->conns_n; i++, n += 2) {
        int ms = forward_conn_wait_ms(f->conns[i]);
        forward_conn_events(f->conns[i], &p[n]);
        if (ms >= 0 && (wait < 0 || ms < wait))
            wait = ms;
    }
    if (poll(p, n, wait) < 0 && errno != EINTR)
        return err_sys(err, errno, "poll");
    *ret_over = p[0].revents;
    turn_connections(f);
    for (size_t i = 0; !rc && i < f->listeners_n && f->conns_n < FORWARD_MAX; i++)
        if (p[1 + i].revents)
            rc = accept_one(f, i, err);
    return rc;
}

int forward_run(const struct forward_options *options, struct err *err)
{
    struct forward *f = mem_new(struct forward);
    bool over = false;
    int rc = 0;

    f->o = options;
    for (size_t i = 0; !rc && i < options->ports_n; i++)
        rc = listen_on(f, &options->ports[i], err);
    while (!rc && !over)
        rc = turn(f, &over, err);
    for (size_t i = 0; i < f->conns_n; i++)
        forward_conn_free(f->conns[i]);
    for (size_t i = 0; i < f->listeners_n; i++)
        close(f->listeners[i]);
    free(f);
    return rc;
}
