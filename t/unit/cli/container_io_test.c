/* The streams of a container, from what containerd and cricketd show under "info". */
#include "cli/container_io.c"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

int cri_call(struct cli *cli, const char *method, const void *request, void *ret_reply, struct err *err)
{
    (void)cli;
    (void)request;
    (void)ret_reply;
    return err_set(err, GRPC_UNAVAILABLE, 0, "%s", method);
}

void cri_reply_free(void *reply_ptr)
{
    (void)reply_ptr;
}

static void parses(void **state)
{
    static const struct {
        const char *text;
        bool tty, in, in_known;
    } rows[] = {
        {"{\"config\":{\"tty\":true,\"stdin\":true}}", true, true, true},
        {"{\"config\":{\"tty\":false,\"stdin\":false}}", false, false, true},
        {"{\"config\":{\"metadata\":{}},\"runtimeSpec\":{\"process\":{\"terminal\":true}}}", true, false,
         false},
        {"{\"runtimeSpec\":{\"process\":{\"args\":[]}}}", false, false, false},
        {"{\"config\":[],\"runtimeSpec\":null}", false, false, false},
        {"{\"config\":{\"tty\":\"true\"}}", false, false, false},
        {"not JSON", false, false, false},
        {"", false, false, false},
    };
    (void)state;

    for (size_t i = 0; i < countof(rows); i++) {
        struct container_io io;
        container_io_parse(rows[i].text, &io);
        assert_int_equal(io.tty, rows[i].tty);
        assert_int_equal(io.in, rows[i].in);
        assert_int_equal(io.in_known, rows[i].in_known);
    }
}

static void passes_errors_on(void **state)
{
    struct container_io io;
    struct err err = {0};
    (void)state;

    assert_true(container_io_get(NULL, "x", &io, &err) < 0);
    assert_string_equal(err.msg, "ContainerStatus");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(parses),
        cmocka_unit_test(passes_errors_on),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
