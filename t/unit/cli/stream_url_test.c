/* URLs as runtimes give them, and what is refused. */
#include "cli/stream_url.c"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

static void parses(void **state)
{
    static const struct {
        const char *url;
        bool tls, v6;
        const char *host, *port, *target;
    } rows[] = {
        {"http://127.0.0.1:10010/exec/abc", false, false, "127.0.0.1", "10010", "/exec/abc"},
        {"https://[::1]:8443/attach/x?y=1", true, true, "::1", "8443", "/attach/x?y=1"},
        {"http://node", false, false, "node", "80", "/"},
        {"HTTPS://node/a#b", true, false, "node", "443", "/a"},
        {"http://node:080?x", false, false, "node", "80", "/?x"},
    };
    (void)state;

    for (size_t i = 0; i < countof(rows); i++) {
        struct stream_url u;
        struct err err = {0};
        assert_int_equal(stream_url_parse(rows[i].url, &u, &err), 0);
        assert_int_equal(u.tls, rows[i].tls);
        assert_int_equal(u.v6, rows[i].v6);
        assert_string_equal(u.host, rows[i].host);
        assert_string_equal(u.port, rows[i].port);
        assert_string_equal(u.target, rows[i].target);
    }
}

static void refuses(void **state)
{
    static const struct {
        const char *url, *why;
    } rows[] = {
        {"", "neither http"},
        {"/exec/abc", "neither http"},
        {"unix:///x", "neither http"},
        {"http:///exec", "host is empty"},
        {"http://u:p@host/", "password"},
        {"http://[::1/x", "lacks a ]"},
        {"http://[::1]x/", "port"},
        {"http://h:/x", "port"},
        {"http://h:0/x", "port"},
        {"http://h:65536/x", "port"},
        {"http://h:123456/x", "port"},
        {"http://h:8x/", "port"},
        {"http://h/a b", "bytes that no URL has"},
        {"http://h/a\r\nX: y", "bytes that no URL has"},
        {"http://h\x80/", "bytes that no URL has"},
    };
    (void)state;

    for (size_t i = 0; i < countof(rows); i++) {
        struct stream_url u;
        struct err err = {0};
        assert_int_equal(stream_url_parse(rows[i].url, &u, &err), -EINVAL);
        assert_non_null(strstr(err.msg, rows[i].why));
    }
}

static void refuses_long_ones(void **state)
{
    char url[STREAM_TARGET_SIZE + 100], query[STREAM_TARGET_SIZE];
    struct stream_url u;
    struct err err = {0};
    (void)state;

    snprintf(url, sizeof(url), "http://h/%0*d", STREAM_TARGET_SIZE, 0);
    assert_int_equal(stream_url_parse(url, &u, &err), -EINVAL);
    assert_non_null(strstr(err.msg, "path is too long"));
    snprintf(url, sizeof(url), "http://%0*d/", STREAM_HOST_SIZE, 0);
    assert_int_equal(stream_url_parse(url, &u, &err), -EINVAL);
    assert_non_null(strstr(err.msg, "too long"));
    assert_int_equal(stream_url_parse("http://h/x", &u, &err), 0);
    snprintf(query, sizeof(query), "%0*d", STREAM_TARGET_SIZE - 3, 0);
    assert_int_equal(stream_url_add_query(&u, query, &err), -EINVAL);
    assert_string_equal(u.target, "/x");
}

static void adds_queries(void **state)
{
    struct stream_url u;
    struct err err;
    (void)state;

    assert_int_equal(stream_url_parse("http://h/x", &u, &err), 0);
    assert_int_equal(stream_url_add_query(&u, "port=80", &err), 0);
    assert_string_equal(u.target, "/x?port=80");
    assert_int_equal(stream_url_add_query(&u, "a=b", &err), 0);
    assert_string_equal(u.target, "/x?port=80&a=b");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(parses),
        cmocka_unit_test(refuses),
        cmocka_unit_test(refuses_long_ones),
        cmocka_unit_test(adds_queries),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
