/* A network namespace pinned for each test, and the wait for one completion. For tests that run as root. */
#pragma once
#include "loop/child.h"
#include "netns/netns.h"

#include <string.h>

static struct loop *loop; /* made by main() */
static char base[64], dir[96], net_pin[112];

static int calls;
static struct err got;

/* The last thing that a completion does. */
static void completed(const struct err *err)
{
    got = err ? *err : (struct err){0};
    calls++;
    loop_stop(loop);
}

static void on_limit(void *data)
{
    (void)data;
    fail_msg("no completion within the limit");
}

static void wait_for_it(void)
{
    struct timer limit = {0};

    assert_int_equal(calls, 0); /* a start function never completes before it returns */
    timer_start(&limit, loop, 20, on_limit, NULL);
    loop_run(loop);
    timer_stop(&limit);
    assert_int_equal(calls, 1);
    calls = 0;
}

static void on_pinned(void *data, const struct err *err)
{
    (void)data;
    completed(err);
}

static int pin_namespace(void **state)
{
    struct netns_spec spec = {.dir = dir, .net = true};
    struct err err = {0};

    (void)state;
    strcpy(base, "/tmp/netns_test.XXXXXX");
    if (!mkdtemp(base))
        return -1;
    snprintf(dir, sizeof(dir), "%s/ns", base);
    snprintf(net_pin, sizeof(net_pin), "%s/net", dir);
    assert_int_equal(netns_pin(loop, &spec, on_pinned, NULL, &err), 0);
    wait_for_it();
    return got.grpc ? -1 : 0;
}

static int unpin_namespace(void **state)
{
    struct err err = {0};

    (void)state;
    assert_int_equal(netns_unpin(loop, dir, NULL, on_pinned, NULL, &err), 0);
    wait_for_it();
    assert_int_equal(child_count(), 0);
    return rmdir(base);
}
