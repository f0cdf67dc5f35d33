/* Answers to an upgrade request: whole, in halves, refused, and what is no HTTP. The key is RFC 6455's example. */
#include "cli/http_answer.c"
#include "core/mem.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#define KEY       "dGhlIHNhbXBsZSBub25jZQ=="
#define PROTOCOLS "v5.channel.k8s.io, v4.channel.k8s.io"
#define HEAD      "HTTP/1.1 101 Switching Protocols\r\n"
#define UP        "Upgrade: WebSocket\r\nConnection: keep-alive, Upgrade\r\n"
#define ACCEPT    "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n"
#define V4        "sec-websocket-protocol:\tv4.channel.k8s.io \r\n"

static void accepts(void **state)
{
    static const char text[] = HEAD "Date: now\r\n" UP ACCEPT V4 "\r\n";
    struct http_answer a;
    struct err err = {0};
    (void)state;

    for (size_t n = 0; n < sizeof(text) - 1; n++)
        assert_int_equal(http_answer_parse(text, n, &a, &err), 0);
    assert_int_equal(http_answer_parse(text, sizeof(text), &a, &err), sizeof(text) - 1);
    assert_int_equal(a.status, 101);
    assert_string_equal(a.protocol, "v4.channel.k8s.io");
    assert_int_equal(http_answer_check(&a, KEY, PROTOCOLS, &err), 0);
}

static void checks(void **state)
{
    static const struct {
        const char *text, *why;
    } rows[] = {
        {HEAD "Connection: Upgrade\r\n" ACCEPT V4 "\r\n", "upgraded to \"\""},
        {HEAD "Upgrade: h2c\r\nConnection: Upgrade\r\n" ACCEPT V4 "\r\n", "\"h2c\""},
        {HEAD "Upgrade: websocket\r\nConnection: close\r\n" ACCEPT V4 "\r\n", "not to a WebSocket"},
        {HEAD UP V4 "\r\n", "Sec-WebSocket-Accept"},
        {HEAD UP V4 "Sec-WebSocket-Accept: S3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n", "not that of our key"},
        {HEAD UP ACCEPT "\r\n", "chose the protocol"},
        {HEAD UP ACCEPT "Sec-WebSocket-Protocol: v1\r\n\r\n", "\"v1\""},
        {HEAD UP ACCEPT V4 V4 "\r\n", "chose the protocol"},
        {HEAD UP ACCEPT V4 "Sec-WebSocket-Extensions: permessage-deflate\r\n\r\n", "permessage-deflate"},
    };
    (void)state;

    for (size_t i = 0; i < countof(rows); i++) {
        struct http_answer a;
        struct err err = {0};
        assert_true(http_answer_parse(rows[i].text, strlen(rows[i].text), &a, &err) > 0);
        assert_true(http_answer_check(&a, KEY, PROTOCOLS, &err) < 0);
        if (!strstr(err.msg, rows[i].why))
            fail_msg("%s: %s", rows[i].text, err.msg);
    }
}

static void refuses_what_is_no_http(void **state)
{
    static const struct {
        const char *text, *why;
    } rows[] = {
        {"SSH-2.0-x\r\n", "SSH"},
        {"HTTP/2", "HTTP/2"},
        {"HTTP/1.1 abc x\r\n\r\n", "no status"},
        {"HTTP/1.1  101 x\r\n", "no status"},
        {"HTTP/1.1 1012 x\r\n", "no status line"},
        {"HTTP/1.1 101 x\r\nnothing\r\n", "no header"},
        {"HTTP/1.1 101 x\r\nA: b\r\n c: d\r\n", "no header"},
        {"HTTP/1.1 101 x\r\n: d\r\n", "no header"},
        {"\n", "no status line"},
    };
    (void)state;

    for (size_t i = 0; i < countof(rows); i++) {
        struct http_answer a;
        struct err err = {0};
        assert_true(http_answer_parse(rows[i].text, strlen(rows[i].text), &a, &err) < 0);
        if (!strstr(err.msg, rows[i].why))
            fail_msg("%s: %s", rows[i].text, err.msg);
    }
}

static void has_a_limit(void **state)
{
    cleanup_free char *text = mem_printf(HEAD "A: %0*d", HTTP_HEAD_MAX, 0);
    struct http_answer a;
    struct err err = {0};
    (void)state;

    assert_int_equal(http_answer_parse(text, HTTP_HEAD_MAX - 1, &a, &err), 0);
    assert_true(http_answer_parse(text, HTTP_HEAD_MAX, &a, &err) < 0);
    assert_int_equal(err.grpc, GRPC_RESOURCE_EXHAUSTED);
}

/* A value that is too long is cut, and then fits nothing; repeated ones are joined within the same bound. */
static void bounds_values(void **state)
{
    cleanup_free char *text =
        mem_printf(HEAD "Upgrade: %0*d\r\nUpgrade: websocket\r\nConnection: a\r\nConnection: %0*d\r\n\r\n", 300,
                   0, 300, 0);
    struct http_answer a;
    struct err err = {0};
    (void)state;

    assert_int_equal(http_answer_parse(text, strlen(text), &a, &err), strlen(text));
    assert_int_equal(strlen(a.upgrade), HTTP_VALUE_SIZE - 1);
    assert_int_equal(strlen(a.connection), HTTP_VALUE_SIZE - 1);
    assert_true(http_answer_check(&a, KEY, PROTOCOLS, &err) < 0);
}

static void tells_refusals(void **state)
{
    static const struct {
        const char *head, *body, *why;
        int grpc;
    } rows[] = {
        {"HTTP/1.1 404 Not Found\r\n\r\n", "404 page not found\n", "HTTP 404 \"Not Found\": 404 page not found",
         GRPC_NOT_FOUND},
        {"HTTP/1.1 429 \r\n\r\n", "", "HTTP 429 without a reason", GRPC_RESOURCE_EXHAUSTED},
        {"HTTP/1.1 403\r\n\r\n", "unable\x1b[2J\r\n to", "HTTP 403 without a reason: unable [2J   to",
         GRPC_PERMISSION_DENIED},
        {"HTTP/1.1 500 Oh\nTransfer-Encoding: chunked\n\n", "6\r\nbroken\r\n0\r\n\r\n",
         "HTTP 500 \"Oh\": broken", GRPC_UNAVAILABLE},
    };
    (void)state;

    for (size_t i = 0; i < countof(rows); i++) {
        struct http_answer a;
        struct err err = {0};
        assert_true(http_answer_parse(rows[i].head, strlen(rows[i].head), &a, &err) > 0);
        assert_true(http_answer_refusal(&a, rows[i].body, strlen(rows[i].body), &err) < 0);
        assert_int_equal(err.grpc, rows[i].grpc);
        if (strlen(err.msg) < strlen(rows[i].why) ||
            strcmp(err.msg + strlen(err.msg) - strlen(rows[i].why), rows[i].why) != 0)
            fail_msg("%s", err.msg);
    }
}

static void knows_the_end_of_a_body(void **state)
{
    static const struct {
        const char *header, *body;
        bool whole;
    } rows[] = {
        {"Content-Length: 5\r\n", "12345", true},
        {"content-length:5\r\n", "1234", false},
        {"Content-Length: 0\r\n", "", true},
        {"Content-Length: -1\r\n", "12345", false},
        {"Content-Length: 9999999999\r\n", "12345", false},
        {"", "12345", false},
        {"Transfer-Encoding: chunked\r\n", "5\r\n12345\r\n0\r\n\r\n", true},
        {"Transfer-Encoding: chunked\r\n", "0\r\n\r\n", true},
        {"Transfer-Encoding: chunked\r\n", "5\r\n12345\r\n", false},
        {"Transfer-Encoding: chunked\r\n", "", false},
    };
    (void)state;

    for (size_t i = 0; i < countof(rows); i++) {
        cleanup_free char *head = mem_printf("HTTP/1.1 404 Not Found\r\n%s\r\n", rows[i].header);
        struct http_answer a;
        struct err err = {0};
        assert_true(http_answer_parse(head, strlen(head), &a, &err) > 0);
        assert_int_equal(http_answer_body_is_whole(&a, rows[i].body, strlen(rows[i].body)), rows[i].whole);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(accepts),
        cmocka_unit_test(checks),
        cmocka_unit_test(refuses_what_is_no_http),
        cmocka_unit_test(has_a_limit),
        cmocka_unit_test(bounds_values),
        cmocka_unit_test(tells_refusals),
        cmocka_unit_test(knows_the_end_of_a_body),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
