/* A network namespace pinned for each test. For tests that run as root. */
#pragma once
#include "loop/child.h"
#include "netns/netns.h"
#include "t/unit/loop/one_completion.h"

#include <string.h>

static char base[64], dir[96], net_pin[112];

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
    assert_int_equal(netns_pin(loop, &spec, on_done, NULL, &err), 0);
    wait_for_it();
    return got.grpc ? -1 : 0;
}

static int unpin_namespace(void **state)
{
    struct err err = {0};

    (void)state;
    assert_int_equal(netns_unpin(loop, dir, NULL, on_done, NULL, &err), 0);
    wait_for_it();
    assert_int_equal(child_count(), 0);
    return rmdir(base);
}
