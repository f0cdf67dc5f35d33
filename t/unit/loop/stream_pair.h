/* For the tests of streams: running the loop up to a condition, and both ends of a connection in one process. */
#pragma once
#include "loop/loop.h"

#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>
#include <cmocka.h>

enum { LIMIT_MS = 20000 };

static int open_descriptors(void)
{
    DIR *d = opendir("/proc/self/fd");
    int n = 0;

    while (readdir(d))
        n++;
    closedir(d);
    return n;
}

/* One turn of the loop, or a millisecond. */
static void turn(struct loop *l)
{
    struct timer stop = {0};

    timer_start(&stop, l, 0.001, (void (*)(void *))loop_stop, l);
    loop_run(l);
    timer_stop(&stop);
}

static void turns(struct loop *l, int n)
{
    while (n-- > 0)
        turn(l);
}

/* Runs the loop until the condition, which may have side effects, is true. */
#define wait_until(l, condition)                                                                               \
    do {                                                                                                       \
        int64_t end_us_ = time_monotonic_us() + LIMIT_MS * 1000LL;                                             \
        while (!(condition)) {                                                                                 \
            assert_true(time_monotonic_us() < end_us_);                                                        \
            turn(l);                                                                                           \
        }                                                                                                      \
    } while (0)

static int tcp_connect(uint16_t port)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons(port)};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (connect(fd, (struct sockaddr *)&a, sizeof(a)) < 0)
        fail_msg("connect: %s", strerror(errno));
    assert_int_equal(fcntl(fd, F_SETFL, O_NONBLOCK), 0);
    return fd;
}

/* Two ends of one connection on loopback, non-blocking. */
static inline void tcp_pair(int pair[2])
{
    struct sockaddr_in a = {.sin_family = AF_INET};
    socklen_t n = sizeof(a);
    int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    assert_int_equal(bind(listener, (struct sockaddr *)&a, n), 0);
    assert_int_equal(listen(listener, 1), 0);
    assert_int_equal(getsockname(listener, (struct sockaddr *)&a, &n), 0);
    pair[1] = tcp_connect(ntohs(a.sin_port));
    pair[0] = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    assert_true(pair[0] >= 0);
    close(listener);
}

static inline void reset_and_close(int fd)
{
    struct linger hard = {1, 0};

    setsockopt(fd, SOL_SOCKET, SO_LINGER, &hard, sizeof(hard));
    close(fd);
}
