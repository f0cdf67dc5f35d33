/* Counters out of real namespaces, as root: whose they are, and what a pin that is gone does to its neighbours. */
#include "netns/netns_counters.c"

#include <errno.h>
#include <net/if.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <cmocka.h>
#include "t/unit/netns/pinned_namespace.h"

static struct netns_counters *counters;

static void on_counters(void *data, struct netns_counters *list, const struct err *err)
{
    assert_ptr_equal(data, &counters);
    assert_true(err ? !list : list != NULL);
    counters = list;
    on_done(NULL, err);
}

static void ask(const char *const *paths, size_t n)
{
    struct err err = {0};

    if (netns_counters_read(loop, paths, n, on_counters, &counters, &err) < 0)
        fail_msg("%s", err.msg);
    wait_for_it();
    if (got.grpc)
        fail_msg("%s", got.msg);
}

/* A second interface pair, one end of it in the namespace of the pin; its name there is eth0. */
static int make_veth(void *arg, int out_fd, struct err *err)
{
    (void)arg;
    (void)out_fd;
    if (system("ip link add eth0 type veth peer name eth1 && ip link set eth0 up && ip link set eth1 up && "
               "ip addr add 10.9.8.7/24 dev eth0 && busybox ping -c 1 -W 1 10.9.8.1 > /dev/null; true") != 0)
        return err_set(err, GRPC_INTERNAL, EIO, "ip failed");
    return 0;
}

static void on_ran(void *data, struct buf *out, const struct err *err)
{
    (void)out;
    on_done(data, err);
}

static void whose_they_are(void **state)
{
    const struct netns_run_spec run = {.path = net_pin, .fn = make_veth, .timeout_ms = 20000};
    const char *const paths[] = {"/nowhere", net_pin, "/dev/null", net_pin};
    struct err err = {0};

    (void)state;
    assert_int_equal(netns_run(loop, &run, on_ran, NULL, NULL, &err), 0);
    wait_for_it();
    assert_int_equal(got.grpc, 0);
    ask(paths, countof(paths));
    assert_int_equal(counters[0].n, 0);
    assert_int_equal(counters[2].n, 0);
    for (size_t i = 1; i < countof(paths); i += 2) {
        assert_int_equal(counters[i].n, 2);
        const struct net_dev *d = counters[i].devs;
        const struct net_dev *eth0 = strcmp(d[0].name, "eth0") == 0 ? &d[0] : &d[1];
        assert_string_equal(eth0->name, "eth0");
        assert_true(eth0->tx_bytes > 0); /* it asked who has 10.9.8.1 */
    }
    free(counters);
}

static void a_namespace_without_interfaces(void **state)
{
    const char *const paths[] = {net_pin};

    (void)state;
    ask(paths, 1);
    assert_int_equal(counters[0].n, 0);
    free(counters);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(whose_they_are, pin_namespace, unpin_namespace),
        cmocka_unit_test_setup_teardown(a_namespace_without_interfaces, pin_namespace, unpin_namespace),
    };
    loop = loop_new();
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    loop_free(loop);
    return failed;
}
