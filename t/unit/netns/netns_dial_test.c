/* Sockets out of a real namespace, as root: where they belong, what is missing, and that no descriptor stays behind. */
#include "netns/netns_dial.c"

#include <dirent.h>
#include <fcntl.h>
#include <linux/sockios.h>
#include <netinet/in.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <cmocka.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include "t/unit/netns/pinned_namespace.h"

static struct netns_socket_pair pairs[NETNS_SOCKETS_MAX];
static size_t pairs_n;

static void on_sockets(void *data, struct netns_socket_pair *sockets, size_t n, const struct err *err)
{
    assert_ptr_equal(data, &pairs);
    assert_true(err ? n == 0 : n > 0);
    memcpy(pairs, sockets, n * sizeof(pairs[0]));
    pairs_n = n;
    on_done(NULL, err);
}

static void ask(const char *path, size_t n)
{
    struct err err = {0};

    if (netns_sockets(loop, path, n, on_sockets, &pairs, &err) < 0)
        fail_msg("%s", err.msg);
    wait_for_it();
}

static void fails(const char *path, size_t n, int grpc, const char *says)
{
    ask(path, n);
    if (got.grpc != grpc || !strstr(got.msg, says))
        fail_msg("%s \"%s\"; wanted %s \"%s\"", grpc_code_name(got.grpc), got.msg, grpc_code_name(grpc), says);
    assert_int_equal(pairs_n, 0);
}

/* ---- what is there -------------------------------------------------------------------------------------------------- */

static int descriptors(void)
{
    DIR *d = opendir("/proc/self/fd");
    int n = 0;

    assert_non_null(d);
    while (readdir(d))
        n++;
    closedir(d);
    return n;
}

static ino_t namespace_of_file(const char *path)
{
    struct stat st;

    assert_int_equal(stat(path, &st), 0);
    return st.st_ino;
}

static void check_socket(int fd, int family, ino_t namespace)
{
    int domain = 0, type = 0;
    socklen_t size = sizeof(int);
    struct stat st;

    assert_true(fd >= 0);
    assert_int_equal(getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &domain, &size), 0);
    assert_int_equal(getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &size), 0);
    assert_int_equal(domain, family);
    assert_int_equal(type, SOCK_STREAM);
    assert_true(fcntl(fd, F_GETFL) & O_NONBLOCK);
    assert_true(fcntl(fd, F_GETFD) & FD_CLOEXEC);
    int net = ioctl(fd, SIOCGSKNS);
    assert_true(net >= 0);
    assert_int_equal(fstat(net, &st), 0);
    assert_int_equal(st.st_ino, namespace);
    close(net);
}

static void check_all(size_t n, ino_t namespace)
{
    assert_int_equal(got.grpc, 0);
    assert_int_equal(pairs_n, n);
    for (size_t i = 0; i < n; i++) {
        check_socket(pairs[i].v4, AF_INET, namespace);
        check_socket(pairs[i].v6, AF_INET6, namespace);
        pair_close(&pairs[i]);
    }
}

/* ---- tests ---------------------------------------------------------------------------------------------------------- */

static void a_namespace_s_sockets(void **state)
{
    ino_t theirs = namespace_of_file(net_pin);
    int before = descriptors();

    (void)state;
    assert_true(theirs != namespace_of_file("/proc/self/ns/net"));
    ask(net_pin, 1);
    check_all(1, theirs);
    ask(net_pin, NETNS_SOCKETS_MAX);
    check_all(NETNS_SOCKETS_MAX, theirs);
    assert_int_equal(descriptors(), before);
}

static void our_own(void **state)
{
    int before = descriptors();

    (void)state;
    ask(NULL, 3);
    check_all(3, namespace_of_file("/proc/self/ns/net"));
    assert_int_equal(descriptors(), before);
}

/* We listen, and are not there. */
static void they_connect_there(void **state)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof(a);
    int here = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), error = 0;

    (void)state;
    assert_int_equal(bind(here, (struct sockaddr *)&a, sizeof(a)), 0);
    assert_int_equal(listen(here, 1), 0);
    assert_int_equal(getsockname(here, (struct sockaddr *)&a, &size), 0);
    ask(net_pin, 1);
    assert_int_equal(connect(pairs[0].v4, (struct sockaddr *)&a, sizeof(a)), -1);
    assert_int_equal(errno, EINPROGRESS);
    assert_int_equal(poll(&(struct pollfd){.fd = pairs[0].v4, .events = POLLOUT}, 1, 10000), 1);
    size = sizeof(error);
    assert_int_equal(getsockopt(pairs[0].v4, SOL_SOCKET, SO_ERROR, &error, &size), 0);
    assert_int_equal(error, ECONNREFUSED);
    pair_close(&pairs[0]);
    close(here);
}

static void pins_that_are_none(void **state)
{
    char file[128];
    int before = descriptors();

    (void)state;
    snprintf(file, sizeof(file), "%s/no-such", base);
    fails(file, 2, GRPC_NOT_FOUND, file);
    snprintf(file, sizeof(file), "%s/file", base);
    close(open(file, O_CREAT | O_WRONLY | O_CLOEXEC, 0600));
    fails(file, 2, GRPC_FAILED_PRECONDITION, file);
    assert_int_equal(unlink(file), 0);
    assert_int_equal(descriptors(), before);
}

/* Room for some of what comes, and not for all. */
static void no_descriptors_left(void **state)
{
    struct rlimit limit, low;
    int before = descriptors();

    (void)state;
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
    low = limit;
    low.rlim_cur = (rlim_t)before + 24;
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &low), 0);
    fails(net_pin, NETNS_SOCKETS_MAX, GRPC_RESOURCE_EXHAUSTED, "limit of open files");
    assert_int_equal(descriptors(), before);
    ask(NULL, NETNS_SOCKETS_MAX);
    assert_int_equal(got.sys, EMFILE);
    assert_int_equal(pairs_n, 0);
    assert_int_equal(descriptors(), before);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
    ask(net_pin, 2);
    check_all(2, namespace_of_file(net_pin));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_namespace_s_sockets, pin_namespace, unpin_namespace),
        cmocka_unit_test_setup_teardown(our_own, pin_namespace, unpin_namespace),
        cmocka_unit_test_setup_teardown(they_connect_there, pin_namespace, unpin_namespace),
        cmocka_unit_test_setup_teardown(pins_that_are_none, pin_namespace, unpin_namespace),
        cmocka_unit_test_setup_teardown(no_descriptors_left, pin_namespace, unpin_namespace),
    };
    loop = loop_new();
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    loop_free(loop);
    return failed;
}
