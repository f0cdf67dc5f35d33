#include "netns/netns_dial.h"
#include "core/mem.h"
#include "netns/netns.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { TIMEOUT_MS = 30000 };

struct dial {
    struct loop *loop;
    size_t n;   /* asked for */
    int socket; /* our end of the socket that the descriptors come through; -1: made here */
    netns_sockets_fn *on_done;
    void *data;
};

static int open_family(int family)
{
    return socket(family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
}

static void pair_close(struct netns_socket_pair *p)
{
    if (p->v4 >= 0)
        close(p->v4);
    if (p->v6 >= 0)
        close(p->v6);
}

static int pair_open(struct netns_socket_pair *p, struct err *err)
{
    p->v4 = open_family(AF_INET);
    if (p->v4 < 0 && errno != EAFNOSUPPORT)
        return err_sys(err, errno, "make a socket");
    p->v6 = open_family(AF_INET6); /* a host may have it switched off */
    if (p->v4 < 0 && p->v6 < 0)
        return err_sys(err, errno, "make a socket");
    return 0;
}

/* One message a pair: which families, and their descriptors. */
union rights {
    struct cmsghdr head;
    char room[CMSG_SPACE(2 * sizeof(int))];
};

static int pair_send(int to, const struct netns_socket_pair *p, struct err *err)
{
    unsigned char families = (unsigned char)((p->v4 >= 0) | (p->v6 >= 0) << 1);
    union rights control = {0};
    struct iovec iov = {.iov_base = &families, .iov_len = 1};
    int fds[2];
    size_t n = 0;

    if (p->v4 >= 0)
        fds[n++] = p->v4;
    if (p->v6 >= 0)
        fds[n++] = p->v6;
    struct msghdr m = {.msg_iov = &iov,
                       .msg_iovlen = 1,
                       .msg_control = &control,
                       .msg_controllen = CMSG_SPACE(n * sizeof(int))};
    control.head = (struct cmsghdr){
        .cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS, .cmsg_len = CMSG_LEN(n * sizeof(int))};
    memcpy(CMSG_DATA(&control.head), fds, n * sizeof(int));
    return sendmsg(to, &m, MSG_NOSIGNAL) == 1 ? 0 : err_sys(err, errno, "pass a socket");
}

/* In the child. */
static int make_and_pass(void *arg, int out_fd, struct err *err)
{
    const struct dial *d = arg;

    for (size_t i = 0; i < d->n; i++) {
        struct netns_socket_pair p = {-1, -1};
        int r = pair_open(&p, err);
        if (r == 0)
            r = pair_send(out_fd, &p, err);
        pair_close(&p);
        if (r < 0)
            return r;
    }
    return 0;
}

/* Also of what came before a child failed, so that nothing stays behind. False: nothing is there any more. */
static bool pair_receive(int from, struct netns_socket_pair *ret)
{
    unsigned char families;
    union rights control;
    struct iovec iov = {.iov_base = &families, .iov_len = 1};
    struct msghdr m = {
        .msg_iov = &iov, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof(control)};
    int fds[2] = {-1, -1};

    *ret = (struct netns_socket_pair){-1, -1};
    if (recvmsg(from, &m, MSG_CMSG_CLOEXEC | MSG_DONTWAIT) != 1)
        return false;
    const struct cmsghdr *h = CMSG_FIRSTHDR(&m);
    if (!h || h->cmsg_level != SOL_SOCKET || h->cmsg_type != SCM_RIGHTS)
        return false; /* this process has no descriptor left */
    memcpy(fds, CMSG_DATA(h),
           h->cmsg_len - CMSG_LEN(0) < sizeof(fds) ? h->cmsg_len - CMSG_LEN(0) : sizeof(fds));
    if (families & 1)
        ret->v4 = fds[0];
    if (families & 2)
        ret->v6 = fds[families & 1];
    return true;
}

static void dial_done(struct dial *d, struct netns_socket_pair *pairs, size_t n, const struct err *err)
{
    for (size_t i = 0; err && i < n; i++)
        pair_close(&pairs[i]);
    d->on_done(d->data, pairs, err ? 0 : n, err);
    if (d->socket >= 0)
        close(d->socket);
    free(d);
}

static void on_passed(void *data, struct buf *out, const struct err *err)
{
    struct dial *d = data;
    struct netns_socket_pair pairs[NETNS_SOCKETS_MAX];
    struct err lost;
    size_t n = 0;

    (void)out;
    while (n < d->n && pair_receive(d->socket, &pairs[n]))
        n++;
    if (!err && n < d->n) {
        err_set(&lost, GRPC_RESOURCE_EXHAUSTED, 0,
                "%zu of %zu sockets did not arrive: is the daemon's limit of open files reached?", d->n - n,
                d->n);
        err = &lost;
    }
    dial_done(d, pairs, n, err);
}

static void make_here(void *data)
{
    struct dial *d = data;
    struct netns_socket_pair pairs[NETNS_SOCKETS_MAX];
    struct err err;
    size_t n = 0;
    int r = 0;

    while (r == 0 && n < d->n) {
        pairs[n] = (struct netns_socket_pair){-1, -1};
        r = pair_open(&pairs[n++], &err);
    }
    dial_done(d, pairs, n, r < 0 ? &err : NULL);
}

int netns_sockets(struct loop *l, const char *path, size_t n, netns_sockets_fn *on_done, void *data,
                  struct err *err)
{
    struct dial *d = mem_new(struct dial);
    int ends[2];

    *d = (struct dial){.loop = l, .n = n, .socket = -1, .on_done = on_done, .data = data};
    if (!path) {
        loop_defer(l, make_here, d);
        return 0;
    }
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) < 0) {
        free(d);
        return err_sys(err, errno, "make a socket for %s", path);
    }
    d->socket = ends[0];
    const struct netns_run_spec run = {
        .path = path, .fn = make_and_pass, .arg = d, .timeout_ms = TIMEOUT_MS, .stdout_fd = ends[1]};
    int r = netns_run(l, &run, on_passed, d, NULL, err);
    close(ends[1]);
    if (r < 0) {
        close(d->socket);
        free(d);
    }
    return r;
}
