#include "proto/websocket_handshake.c"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

static void test_tokens(void **state)
{
    static const struct {
        const char *value, *token;
        bool there;
    } rows[] = {
        {"Upgrade", "upgrade", true},
        {"keep-alive, Upgrade", "upgrade", true},
        {"keep-alive,\tupgrade ,x", "upgrade", true},
        {",,upgrade,", "upgrade", true},
        {"upgraded", "upgrade", false},
        {"upgrad", "upgrade", false},
        {"no upgrade", "upgrade", false},
        {"", "upgrade", false},
        {", ,", "upgrade", false},
        {NULL, "upgrade", false},
    };
    (void)state;

    for (size_t i = 0; i < countof(rows); i++)
        assert_int_equal(header_has_token(rows[i].value, rows[i].token), rows[i].there);
}

static void test_handshake(void **state)
{
    static const char key[] = "dGhlIHNhbXBsZSBub25jZQ=="; /* RFC 6455 section 1.3 */
    static const struct {
        struct websocket_request req;
        int grpc; /* 0: accepted */
        const char *says;
    } rows[] = {
        {{"websocket", "Upgrade", "13", key}, 0, ""},
        {{"WebSocket", "keep-alive, upgrade", "13", key}, 0, ""},
        {{NULL, "Upgrade", "13", key}, GRPC_INVALID_ARGUMENT, "Upgrade header"},
        {{"SPDY/3.1", "Upgrade", "13", key}, GRPC_INVALID_ARGUMENT, "Upgrade header"},
        {{"websocket", NULL, "13", key}, GRPC_INVALID_ARGUMENT, "Connection header"},
        {{"websocket", "close", "13", key}, GRPC_INVALID_ARGUMENT, "Connection header"},
        {{"websocket", "Upgrade", NULL, key}, GRPC_FAILED_PRECONDITION, "missing; 13"},
        {{"websocket", "Upgrade", "8\n", key}, GRPC_FAILED_PRECONDITION, "\"8\\x0a\"; 13"},
        {{"websocket", "Upgrade", "13, 8", key}, GRPC_FAILED_PRECONDITION, "13"},
        {{"websocket", "Upgrade", "13", NULL}, GRPC_INVALID_ARGUMENT, "16 bytes"},
        {{"websocket", "Upgrade", "13", ""}, GRPC_INVALID_ARGUMENT, "16 bytes"},
        {{"websocket", "Upgrade", "13", "dGhlIHNhbXBsZSBub25jZWE="}, GRPC_INVALID_ARGUMENT, "16 bytes"},
        {{"websocket", "Upgrade", "13", "dGhlIHNhbXBsZSBub25jZQ=!"}, GRPC_INVALID_ARGUMENT, "16 bytes"},
        {{"websocket", "Upgrade", "13", "dGhlIHNhbXBsZSBub25jZQ"}, GRPC_INVALID_ARGUMENT, "16 bytes"},
    };
    (void)state;

    for (size_t i = 0; i < countof(rows); i++) {
        char accept[WEBSOCKET_ACCEPT_SIZE] = "unset";
        struct err err = {0};
        int r = websocket_handshake(&rows[i].req, accept, &err);
        assert_int_equal(err.grpc, rows[i].grpc);
        assert_string_equal(accept, r == 0 ? "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=" : "unset");
        assert_non_null(strstr(err.msg, rows[i].says));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_tokens),
        cmocka_unit_test(test_handshake),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
