#include "loop/tcp_listen.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

enum { BACKLOG = 1024, KEEPALIVE_IDLE_S = 60, KEEPALIVE_EVERY_S = 20, KEEPALIVE_PROBES = 3 };

static int parse_address(const char *address, uint16_t port, struct sockaddr_storage *a, socklen_t *n,
                         struct err *err)
{
    struct sockaddr_in *v4 = (struct sockaddr_in *)a;
    struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)a;

    *a = (struct sockaddr_storage){0};
    if (inet_pton(AF_INET, address, &v4->sin_addr) == 1) {
        v4->sin_family = AF_INET;
        v4->sin_port = htons(port);
        *n = sizeof(*v4);
        return 0;
    }
    if (inet_pton(AF_INET6, address, &v6->sin6_addr) == 1) {
        v6->sin6_family = AF_INET6;
        v6->sin6_port = htons(port);
        *n = sizeof(*v6);
        return 0;
    }
    return err_set(err, GRPC_INVALID_ARGUMENT, 0,
                   "listen on \"%s\": no numeric address: give one like 127.0.0.1 or ::1", address);
}

/* Accepted sockets inherit these. */
static void set_options(int fd)
{
    static const struct {
        int level, name, value;
    } options[] = {
        {SOL_SOCKET, SO_REUSEADDR, 1},
        {IPPROTO_TCP, TCP_NODELAY, 1},
        {SOL_SOCKET, SO_KEEPALIVE, 1},
        {IPPROTO_TCP, TCP_KEEPIDLE, KEEPALIVE_IDLE_S},
        {IPPROTO_TCP, TCP_KEEPINTVL, KEEPALIVE_EVERY_S},
        {IPPROTO_TCP, TCP_KEEPCNT, KEEPALIVE_PROBES},
    };

    for (size_t i = 0; i < countof(options); i++)
        (void)setsockopt(fd, options[i].level, options[i].name, &options[i].value, sizeof(options[i].value));
}

int tcp_listen(const char *address, uint16_t port, uint16_t *ret_port, int *ret_fd, struct err *err)
{
    struct sockaddr_storage a;
    socklen_t n;
    int rc = parse_address(address, port, &a, &n, err);

    if (rc < 0)
        return rc;
    cleanup_close int fd = socket(a.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return err_sys(err, errno, "listen on %s: port %u", address, port);
    set_options(fd);
    if (bind(fd, (struct sockaddr *)&a, n) < 0 || listen(fd, BACKLOG) < 0) {
        if (errno == EADDRINUSE)
            return err_set(err, GRPC_ALREADY_EXISTS, EADDRINUSE,
                           "listen on %s: port %u is taken: stop who has it or choose another", address, port);
        return err_sys(err, errno, "listen on %s: port %u", address, port);
    }
    if (getsockname(fd, (struct sockaddr *)&a, &n) < 0)
        return err_sys(err, errno, "listen on %s: port %u", address, port);
    *ret_port = ntohs(a.ss_family == AF_INET ? ((struct sockaddr_in *)&a)->sin_port
                                             : ((struct sockaddr_in6 *)&a)->sin6_port);
    *ret_fd = steal_fd(&fd);
    return 0;
}
