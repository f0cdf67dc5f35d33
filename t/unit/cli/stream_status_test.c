/* Statuses as proto/exec_status.c writes them, as containerd does, and what is none. */
#include "cli/stream_status.c"
#include "proto/exec_status.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

static void reads_what_the_server_writes(void **state)
{
    static const struct err lost = {.grpc = GRPC_INTERNAL, .msg = "the keeper\n is \x1b gone"};
    struct err err = {0};
    int code = -1;
    (void)state;

    for (int want = 0; want <= 255; want++) {
        const struct exec_status s = {.exit_code = want};
        cleanup_free char *text = exec_status_text(STREAM_STATUS_JSON, &s);
        assert_int_equal(stream_status_parse(text, strlen(text), &code, &err), 0);
        assert_int_equal(code, want);
    }
    const struct exec_status s = {.doing = "error executing command in container", .failure = &lost};
    cleanup_free char *text = exec_status_text(STREAM_STATUS_JSON, &s);
    assert_true(stream_status_parse(text, strlen(text), &code, &err) < 0);
    assert_string_equal(err.msg,
                        "Internal error occurred: error executing command in container: the keeper  is   gone");
}

static void reads_containerds(void **state)
{
    static const char text[] =
        "{\"metadata\":{},\"status\":\"Failure\",\"message\":\"command terminated with non-zero exit code: "
        "exit status 7\","
        "\"reason\":\"NonZeroExitCode\",\"details\":{\"causes\":[{\"reason\":\"Other\",\"message\":\"1\"},"
        "{\"reason\":\"ExitCode\",\"message\":\"7\"}]}}";
    struct err err = {0};
    int code = -1;
    (void)state;

    assert_int_equal(stream_status_parse(text, sizeof(text) - 1, &code, &err), 0);
    assert_int_equal(code, 7);
}

#define CODE(s)                                                                                                \
    "{\"reason\":\"NonZeroExitCode\",\"details\":{\"causes\":[{\"reason\":\"ExitCode\",\"message\":" s "}]}}"

static void refuses(void **state)
{
    static const struct {
        const char *text, *why;
    } rows[] = {
        {"command not found", "the status of the command"},
        {"{}", "named no reason"},
        {"{\"status\":\"Failure\",\"message\":\"\"}", "named no reason"},
        {"{\"status\":1}", "status"},
        {"{\"reason\":\"NonZeroExitCode\"}", "names no exit code"},
        {"{\"reason\":\"NonZeroExitCode\",\"details\":{\"causes\":[1]}}", "the status of the command"},
        {CODE("\"\""), "which is none"},
        {CODE("\"-1\""), "which is none"},
        {CODE("\"1234567890\""), "which is none"},
        {CODE("3"), "the status of the command"},
    };
    (void)state;

    for (size_t i = 0; i < countof(rows); i++) {
        struct err err = {0};
        int code = -1;
        assert_true(stream_status_parse(rows[i].text, strlen(rows[i].text), &code, &err) < 0);
        if (!strstr(err.msg, rows[i].why))
            fail_msg("%s: %s", rows[i].text, err.msg);
        assert_int_equal(code, -1);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_what_the_server_writes),
        cmocka_unit_test(reads_containerds),
        cmocka_unit_test(refuses),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
