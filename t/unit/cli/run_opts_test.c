/* -p, -v, -e and names of `cricket run`. */
#include "cli/run_opts.c"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

static void ports(void **state)
{
    static const struct {
        const char *s, *ip;
        int host, container;
        const char *protocol;
    } rows[] = {{"8080:80", "", 8080, 80, "tcp"},
                {"53:53/udp", "", 53, 53, "udp"},
                {"127.0.0.1:1:65535/sctp", "127.0.0.1", 1, 65535, "sctp"},
                {"[::1]:80:80", "::1", 80, 80, "tcp"}};
    struct run_port p;
    struct err err;
    (void)state;

    for (size_t i = 0; i < countof(rows); i++) {
        assert_int_equal(run_port_parse(rows[i].s, &p, &err), 0);
        assert_string_equal(p.host_ip, rows[i].ip);
        assert_int_equal(p.host_port, rows[i].host);
        assert_int_equal(p.container_port, rows[i].container);
        assert_string_equal(p.protocol, rows[i].protocol);
    }
}

static void ports_that_are_none(void **state)
{
    static const char *const rows[] = {
        "",
        "80",
        ":80",
        "80:",
        "0:80",
        "80:65536",
        "80:80/icmp",
        "80:80/",
        "a:80",
        "1.2.3:80:80",
        "[::1:80:80",
        "[::1]80:80",
        "1:2:3:4",
        "80:80:",
        "-1:80",
        "+1:80",
        "080000:80",
        "[]:1:2",
        "/tcp",
        " 80:80",
        "80:80/tcp/udp",
        "[0000000000000000000000000000000000000000000000000000000000000000000000001]:1:2"};
    struct run_port p;
    struct err err;
    (void)state;

    for (size_t i = 0; i < countof(rows); i++) {
        assert_int_equal(run_port_parse(rows[i], &p, &err), -EINVAL);
        assert_non_null(strstr(err.msg, "HOST:CONTAINER"));
    }
}

static void volumes(void **state)
{
    static const char *const bad[] = {"", "/a", ":/b", "/a:", "/a:b", "/a:/b:rx", "/a:/b:ro:rw", "/a:/b:"};
    struct run_volume v;
    struct err err;
    (void)state;

    assert_int_equal(run_volume_parse("./x:/data:ro", &v, &err), 0);
    assert_string_equal(v.source, "./x");
    assert_string_equal(v.destination, "/data");
    assert_true(v.readonly);
    run_volume_done(&v);
    assert_int_equal(run_volume_parse("/a:/b", &v, &err), 0);
    assert_false(v.readonly);
    run_volume_done(&v);
    for (size_t i = 0; i < countof(bad); i++)
        assert_int_equal(run_volume_parse(bad[i], &v, &err), -EINVAL);
}

static void environment(void **state)
{
    const char *value;
    char *key;
    struct err err;
    (void)state;

    assert_int_equal(run_env_parse("A=b=c", &key, &value, &err), 0);
    assert_string_equal(key, "A");
    assert_string_equal(value, "b=c");
    free(key);
    setenv("CRICKET_TEST_ENV", "here", 1);
    assert_int_equal(run_env_parse("CRICKET_TEST_ENV", &key, &value, &err), 0);
    assert_string_equal(value, "here");
    free(key);
    unsetenv("CRICKET_TEST_ENV");
    assert_int_equal(run_env_parse("CRICKET_TEST_ENV", &key, &value, &err), -EINVAL);
    assert_int_equal(run_env_parse("=x", &key, &value, &err), -EINVAL);
    assert_int_equal(run_env_parse("", &key, &value, &err), -EINVAL);
}

static void names(void **state)
{
    static const struct {
        const char *image, *want;
    } rows[] = {{"docker.io/library/busybox:1.36", "busybox"},
                {"localhost:5000/My_App@sha256:00", "my-app"},
                {"x/___", "pod"},
                {"sha256:0123", "pod"},
                {"a--b.", "a-b"}};
    static const char *const bad[] = {
        "", "-a", "a-", "A", "a_b", "a.b", "0123456789012345678901234567890123456789012345678901234567890123"};
    struct err err;
    (void)state;

    for (size_t i = 0; i < countof(rows); i++) {
        char *s = run_name_of_image(rows[i].image);
        assert_string_equal(s, rows[i].want);
        assert_int_equal(run_name_check(s, &err), 0);
        free(s);
    }
    for (size_t i = 0; i < countof(bad); i++)
        assert_int_equal(run_name_check(bad[i], &err), -EINVAL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(ports), cmocka_unit_test(ports_that_are_none),
                                       cmocka_unit_test(volumes), cmocka_unit_test(environment),
                                       cmocka_unit_test(names)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
