#include "proto/exec_status.c"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

static const struct err not_found = {.grpc = GRPC_NOT_FOUND, .msg = "container web: \"sh\" not found"};
static const struct err not_text = {.grpc = GRPC_INTERNAL, .msg = "run \xff\"\n"};

static void test_texts(void **state)
{
    static const struct {
        enum stream_status kind;
        struct exec_status status;
        const char *text;
    } rows[] = {
        {STREAM_STATUS_JSON, {0}, "{\"status\":\"Success\"}"},
        {STREAM_STATUS_JSON,
         {.exit_code = 3, .message = "error executing command [sh -c exit 3], exit code 3"},
         "{\"status\":\"Failure\",\"message\":\"command terminated with non-zero exit code: error executing "
         "command "
         "[sh -c exit 3], exit code "
         "3\",\"reason\":\"NonZeroExitCode\",\"details\":{\"causes\":[{\"reason\":\"ExitCode\","
         "\"message\":\"3\"}]}}"},
        {STREAM_STATUS_JSON,
         {.exit_code = 137},
         "{\"status\":\"Failure\",\"message\":\"command terminated with non-zero exit code: exit code 137\","
         "\"reason\":\"NonZeroExitCode\",\"details\":{\"causes\":[{\"reason\":\"ExitCode\",\"message\":\"137\"}"
         "]}}"},
        {STREAM_STATUS_JSON,
         {.doing = "error executing command in container", .failure = &not_found},
         "{\"status\":\"Failure\",\"message\":\"Internal error occurred: error executing command in container: "
         "container "
         "web: \\\"sh\\\" not found\",\"reason\":\"InternalError\",\"code\":500}"},
        {STREAM_STATUS_JSON,
         {.exit_code = 1, .failure = &not_text},
         "{\"status\":\"Failure\",\"message\":\"Internal error occurred: run "
         "?\\\"\\n\",\"reason\":\"InternalError\","
         "\"code\":500}"},
        {STREAM_STATUS_TEXT, {0}, ""},
        {STREAM_STATUS_TEXT, {.exit_code = 2}, "command terminated with non-zero exit code: exit code 2"},
        {STREAM_STATUS_TEXT,
         {.doing = "error attaching to container", .failure = &not_found},
         "Internal error occurred: error attaching to container: container web: \"sh\" not found"},
        {STREAM_STATUS_NONE, {.exit_code = 2}, ""},
    };
    (void)state;

    for (size_t i = 0; i < countof(rows); i++) {
        char *cleanup_free text = exec_status_text(rows[i].kind, &rows[i].status);
        assert_string_equal(text, rows[i].text);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_texts)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
