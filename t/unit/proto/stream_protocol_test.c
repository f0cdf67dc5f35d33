#include "proto/stream_protocol.c"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

static void test_choices(void **state)
{
    static const struct {
        enum stream_transport transport;
        enum stream_use use;
        const char *offered, *name; /* name NULL: refused */
        int grpc;
    } rows[] = {
        {STREAM_SPDY, STREAM_COMMAND, "v4.channel.k8s.io, v3.channel.k8s.io, channel.k8s.io",
         "v4.channel.k8s.io", 0},
        {STREAM_SPDY, STREAM_COMMAND, "v5.channel.k8s.io,v4.channel.k8s.io", "v5.channel.k8s.io", 0},
        {STREAM_SPDY, STREAM_COMMAND, "channel.k8s.io, v4.channel.k8s.io", "channel.k8s.io",
         0}, /* the client's order */
        {STREAM_SPDY, STREAM_COMMAND, "v9.channel.k8s.io,\tv2.channel.k8s.io ", "v2.channel.k8s.io", 0},
        {STREAM_SPDY, STREAM_COMMAND, NULL, NULL, GRPC_INVALID_ARGUMENT},
        {STREAM_SPDY, STREAM_COMMAND, "", NULL, GRPC_INVALID_ARGUMENT},
        {STREAM_SPDY, STREAM_COMMAND, " ,, ", NULL, GRPC_INVALID_ARGUMENT},
        {STREAM_SPDY, STREAM_COMMAND, "v9.channel.k8s.io", NULL, GRPC_PERMISSION_DENIED},
        {STREAM_SPDY, STREAM_COMMAND, "v4.channel.k8s", NULL, GRPC_PERMISSION_DENIED},
        {STREAM_SPDY, STREAM_COMMAND, "v4.channel.k8s.io.", NULL, GRPC_PERMISSION_DENIED},
        {STREAM_SPDY, STREAM_COMMAND, "V4.channel.k8s.io", NULL, GRPC_PERMISSION_DENIED},
        {STREAM_SPDY, STREAM_COMMAND, "v4.base64.channel.k8s.io", NULL, GRPC_PERMISSION_DENIED},
        {STREAM_SPDY, STREAM_COMMAND, "portforward.k8s.io", NULL, GRPC_PERMISSION_DENIED},
        {STREAM_SPDY, STREAM_PORTS, "portforward.k8s.io", "portforward.k8s.io", 0},
        {STREAM_SPDY, STREAM_PORTS, "v4.channel.k8s.io", NULL, GRPC_PERMISSION_DENIED},
        {STREAM_SPDY, STREAM_PORTS, NULL, NULL, GRPC_INVALID_ARGUMENT},
        {STREAM_WEBSOCKET, STREAM_COMMAND, "v5.channel.k8s.io", "v5.channel.k8s.io", 0},
        {STREAM_WEBSOCKET, STREAM_COMMAND, "base64.channel.k8s.io, channel.k8s.io", "base64.channel.k8s.io", 0},
        {STREAM_WEBSOCKET, STREAM_COMMAND, NULL, "", 0},
        {STREAM_WEBSOCKET, STREAM_COMMAND, "", "", 0},
        {STREAM_WEBSOCKET, STREAM_COMMAND, "v3.channel.k8s.io", NULL, GRPC_PERMISSION_DENIED},
        {STREAM_WEBSOCKET, STREAM_COMMAND, "chat", NULL, GRPC_PERMISSION_DENIED},
        {STREAM_WEBSOCKET, STREAM_PORTS, "SPDY/3.1+portforward.k8s.io", "SPDY/3.1+portforward.k8s.io", 0},
        {STREAM_WEBSOCKET, STREAM_PORTS, "v4.base64.channel.k8s.io", "v4.base64.channel.k8s.io", 0},
        {STREAM_WEBSOCKET, STREAM_PORTS, NULL, "", 0},
        {STREAM_WEBSOCKET, STREAM_PORTS, "v5.channel.k8s.io", "v5.channel.k8s.io", 0},
    };
    (void)state;

    for (size_t i = 0; i < countof(rows); i++) {
        const struct stream_protocol *p = NULL;
        struct err err = {0};
        int r = stream_protocol_choose(rows[i].transport, rows[i].use, rows[i].offered, &p, &err);
        assert_int_equal(err.grpc, rows[i].grpc);
        if (rows[i].name) {
            assert_int_equal(r, 0);
            assert_string_equal(p->name, rows[i].name);
            assert_true(p->transport == rows[i].transport && p->use == rows[i].use);
        } else {
            assert_true(r < 0 && p == NULL);
        }
    }
}

static void test_refusal_lists_what_is_supported(void **state)
{
    const struct stream_protocol *p = NULL;
    char *cleanup_free list = stream_protocol_list(STREAM_SPDY, STREAM_COMMAND);
    char long_offer[STREAM_OFFER_MAX + 2];
    struct err err;
    (void)state;

    assert_string_equal(
        list, "v5.channel.k8s.io, v4.channel.k8s.io, v3.channel.k8s.io, v2.channel.k8s.io, channel.k8s.io");
    assert_true(stream_protocol_choose(STREAM_SPDY, STREAM_COMMAND, "a\nb", &p, &err) < 0);
    assert_string_equal(
        err.msg,
        "unable to upgrade: the client offers the protocols \"a\\x0ab\"; supported are v5.channel.k8s.io, "
        "v4.channel.k8s.io, v3.channel.k8s.io, v2.channel.k8s.io, channel.k8s.io");
    memset(long_offer, 'x', sizeof(long_offer) - 1);
    long_offer[sizeof(long_offer) - 1] = '\0';
    assert_true(stream_protocol_choose(STREAM_SPDY, STREAM_COMMAND, long_offer, &p, &err) < 0);
    assert_int_equal(err.grpc, GRPC_INVALID_ARGUMENT);
    long_offer[STREAM_OFFER_MAX] = '\0';
    assert_true(stream_protocol_choose(STREAM_SPDY, STREAM_COMMAND, long_offer, &p, &err) < 0);
    assert_int_equal(err.grpc, GRPC_PERMISSION_DENIED);
}

/* The columns agree with one another and with the names. */
static void test_properties(void **state)
{
    (void)state;
    for (size_t i = 0; i < countof(protocols); i++) {
        const struct stream_protocol *p = &protocols[i];
        assert_int_equal(p->base64, strstr(p->name, "base64") != NULL);
        assert_int_equal(p->tunnel, strncmp(p->name, "SPDY", 4) == 0);
        assert_int_equal(p->status == STREAM_STATUS_NONE, p->use == STREAM_PORTS);
        if (p->use == STREAM_COMMAND)
            assert_int_equal(p->status == STREAM_STATUS_JSON, p->name[0] == 'v' && p->name[1] >= '4');
        assert_int_equal(p->close_channel, p->transport == STREAM_WEBSOCKET && strncmp(p->name, "v5", 2) == 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_choices),
        cmocka_unit_test(test_refusal_lists_what_is_supported),
        cmocka_unit_test(test_properties),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
