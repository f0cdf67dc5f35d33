#include "core/proxy_env.c"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

static void exempts(void **state)
{
    static const struct {
        const char *no_proxy, *host;
        bool exempt;
    } cases[] = {
        {NULL, "a", false},
        {"", "a", false},
        {"*", "a", true},
        {"a", "a", true},
        {"A", "a", true},
        {"a", "b.a", true},
        {".a", "b.a", true},
        {".a", "a", true},
        {"a", "ba", false},
        {"b.a", "a", false},
        {"x, a,y", "a", true},
        {"10.0.0.0/8", "10.1.2.3", true},
        {"10.0.0.0/8", "11.1.2.3", false},
        {"10.0.0.0/33", "10.0.0.0", false},
        {"10.0.0.0/", "10.0.0.0", false},
        {"10.0.0.0/8x", "10.0.0.0", false},
        {"0.0.0.0/0", "9.9.9.9", true},
        {"fd00::/8", "fd12::1", true},
        {"fd00::/8", "fe80::1", false},
        {"10.0.0.0/31", "10.0.0.1", true},
        {"10.0.0.0/31", "10.0.0.2", false},
        {"10.0.0.1", "10.0.0.1", true},
        {",,,", "a", false},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++)
        if (proxy_exempt(cases[i].no_proxy, cases[i].host) != cases[i].exempt)
            fail_msg("no_proxy=%s host=%s", cases[i].no_proxy, cases[i].host);
}

static const char *env_a(const char *name)
{
    if (strcmp(name, "http_proxy") == 0)
        return "http://p:1";
    if (strcmp(name, "HTTPS_PROXY") == 0)
        return "http://s:1";
    if (strcmp(name, "NO_PROXY") == 0)
        return "in";
    return strcmp(name, "HTTP_PROXY") == 0 ? "http://cgi" : NULL;
}

static const char *env_b(const char *name)
{
    if (strcmp(name, "ALL_PROXY") == 0)
        return "socks5://all";
    return strcmp(name, "HTTP_PROXY") == 0 ? "http://cgi" : NULL;
}

static void chooses(void **state)
{
    (void)state;
    assert_string_equal(proxy_for("http", "x", env_a), "http://p:1");
    assert_string_equal(proxy_for("https", "x", env_a), "http://s:1");
    assert_null(proxy_for("https", "in", env_a));
    assert_string_equal(proxy_for("http", "x", env_b), "socks5://all");
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(exempts), cmocka_unit_test(chooses)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
