#include "core/cni_result.c"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <cmocka.h>

/* The pod's addresses as "A/PREFIX via GATEWAY", joined by a comma. */
static void addresses(const struct cni_result *r, char *ret, size_t size)
{
    const struct cni_ip *ips[4];
    size_t n = cni_result_pod_ips(r, ips, 4), at = 0;

    *ret = '\0';
    for (size_t i = 0; i < n; i++)
        at += (size_t)snprintf(ret + at, size - at, "%s%s/%d%s%s", i ? "," : "", ips[i]->address,
                               ips[i]->prefix, *ips[i]->gateway ? " via " : "", ips[i]->gateway);
}

static void results_of_every_version(void **state)
{
    static const struct {
        const char *text, *version, *addresses;
        size_t interfaces, ips, routes;
    } cases[] = {
        {"{\"ip4\":{\"ip\":\"10.99.0.5/16\",\"gateway\":\"10.99.0.1\",\"routes\":[{\"dst\":\"0.0.0.0/0\"}]}}",
         "0.1.0", "10.99.0.5/16 via 10.99.0.1", 0, 1, 1},
        {"{\"cniVersion\":\"0.2.0\",\"ip6\":{\"ip\":\"fd00:0::5/64\"},\"ip4\":{\"ip\":\"10.99.0.5/16\"}}",
         "0.2.0", "10.99.0.5/16,fd00::5/64", 0, 2, 0},
        {"{\"cniVersion\":\"0.3.1\",\"interfaces\":[{\"name\":\"b0\"},{\"name\":\"eth0\",\"sandbox\":\"/n\"}],"
         "\"ips\":[{\"version\":\"6\",\"address\":\"fd00::5/"
         "64\",\"interface\":1},{\"version\":\"4\",\"address\":\"10.0.0.5/8\","
         "\"gateway\":\"10.0.0.1\",\"interface\":1}],\"routes\":[{\"dst\":\"0.0.0.0/0\",\"gw\":\"10.0.0.1\"}]}",
         "0.3.1", "fd00::5/64,10.0.0.5/8 via 10.0.0.1", 2, 2, 1},
        {"{\"cniVersion\":\"0.4.0\",\"ips\":[{\"version\":\"4\",\"address\":\"10.0.0.5/8\"}]}", "0.4.0",
         "10.0.0.5/8", 0, 1, 0},
        /* an address of the host's side is not the pod's */
        {"{\"cniVersion\":\"1.0.0\",\"interfaces\":[{\"name\":\"b0\",\"mac\":\"x\"},{\"name\":\"eth0\","
         "\"sandbox\":\"/n\"}],"
         "\"ips\":[{\"address\":\"10.0.0.1/8\",\"interface\":0},{\"address\":\"10.0.0.5/8\",\"interface\":1}],"
         "\"dns\":{\"nameservers\":[\"1.1.1.1\"]}}",
         "1.0.0", "10.0.0.5/8", 2, 2, 0},
        {"{\"cniVersion\":\"1.1.0\",\"interfaces\":[{\"name\":\"eth0\",\"mtu\":1500,\"sandbox\":\"/"
         "n\"}],\"ips\":null,"
         "\"routes\":[{\"dst\":\"::/0\",\"priority\":5}]}",
         "1.1.0", "", 1, 0, 1},
        {"{}", "0.1.0", "", 0, 0, 0},
    };
    (void)state;
    for (size_t i = 0; i < countof(cases); i++) {
        struct cni_result *r;
        struct err err = {0};
        char got[256];
        if (cni_result_parse("p", cases[i].text, strlen(cases[i].text), &r, &err) < 0)
            fail_msg("%s: %s", cases[i].text, err.msg);
        addresses(r, got, sizeof(got));
        assert_string_equal(got, cases[i].addresses);
        assert_string_equal(r->version, cases[i].version);
        assert_int_equal(r->interfaces_n, cases[i].interfaces);
        assert_int_equal(r->ips_n, cases[i].ips);
        assert_int_equal(r->routes_n, cases[i].routes);
        assert_int_equal(r->dns != NULL, strstr(cases[i].text, "dns") != NULL);
        cni_result_free(r);
    }
    cni_result_free(NULL);
}

static void unusable_results(void **state)
{
    static const struct {
        const char *text, *says;
    } cases[] = {
        {"", "printed no result"},
        {" \n\t\n", "printed no result"},
        {"\npanic: no\nmore", "not JSON: \"panic: no\""},
        {"\x1b[31mred", "not JSON: \"?[31mred\""},
        {"[]", "not a JSON object"},
        {"{\"cniVersion\":1}", "cniVersion"},
        {"{\"ips\":{}}", "ips is not an array"},
        {"{\"ips\":[{\"address\":\"10.0.0.1\"}]}", "address \"10.0.0.1\""},
        {"{\"ips\":[{\"address\":\"10.0.0.1/33\"}]}", "address \"10.0.0.1/33\""},
        {"{\"ips\":[{\"address\":\"10.0.0.1/-1\"}]}", "address \"10.0.0.1/-1\""},
        {"{\"ips\":[{\"address\":\"host/8\"}]}", "address \"host/8\""},
        {"{\"ips\":[7]}", "address \"\""},
        {"{\"ips\":[{\"address\":\"10.0.0.1/8\",\"gateway\":\"x\"}]}", "gateway \"x\""},
        {"{\"ips\":[{\"address\":\"10.0.0.1/8\",\"interface\":0}]}", "interface 0, and there are 0"},
        {"{\"ips\":[{\"address\":\"10.0.0.1/8\",\"interface\":-1}],\"interfaces\":[{}]}", "interface -1"},
        {"{\"routes\":[{\"dst\":\"default\"}]}", "route to \"default\""},
        {"{\"ip4\":{\"ip\":\"x\"}}", "address \"x\""},
    };
    (void)state;
    for (size_t i = 0; i < countof(cases); i++) {
        struct cni_result *r = NULL;
        struct err err = {0};
        if (cni_result_parse("bridge", cases[i].text, strlen(cases[i].text), &r, &err) == 0)
            fail_msg("%s was taken", cases[i].text);
        assert_null(r);
        assert_int_equal(err.grpc, GRPC_INTERNAL);
        if (!strstr(err.msg, cases[i].says) || !strstr(err.msg, "bridge"))
            fail_msg("\"%s\" does not say \"%s\"", err.msg, cases[i].says);
    }
}

static void limits(void **state)
{
    struct cni_result *r;
    struct err err = {0};
    char *big = mem_alloc(CNI_RESULT_MAX + 1);

    (void)state;
    memset(big, ' ', CNI_RESULT_MAX + 1);
    assert_true(cni_result_parse("p", big, CNI_RESULT_MAX + 1, &r, &err) < 0);
    assert_non_null(strstr(err.msg, "more than 1048576"));
    for (int n = CNI_RESULT_ITEMS_MAX; n <= CNI_RESULT_ITEMS_MAX + 1; n++) {
        char *p = big + sprintf(big, "{\"routes\":[");
        for (int i = 0; i < n; i++)
            p += sprintf(p, "%s{\"dst\":\"10.0.0.0/8\"}", i ? "," : "");
        strcpy(p, "]}");
        int rc = cni_result_parse("p", big, strlen(big), &r, &err);
        assert_int_equal(rc == 0, n == CNI_RESULT_ITEMS_MAX);
        if (rc == 0)
            cni_result_free(r);
    }
    assert_non_null(strstr(err.msg, "257 routes, the limit is 256"));
    free(big);
}

static void errors_in_the_plugins_words(void **state)
{
    static const struct {
        const char *text;
        int grpc;
        const char *msg;
    } cases[] = {
        {"{\"cniVersion\":\"1.0.0\",\"code\":7,\"msg\":\"no subnet\",\"details\":\"in ipam\"}",
         GRPC_FAILED_PRECONDITION, "CNI plugin p: no subnet; in ipam (code 7)"},
        {"{\"code\":11,\"msg\":\"busy\"}", GRPC_UNAVAILABLE, "CNI plugin p: busy (code 11)"},
        {"{\"code\":3,\"details\":\"gone\"}", GRPC_NOT_FOUND, "CNI plugin p: gone (code 3)"},
        {"{\"code\":999,\"msg\":\"own\\nlines\"}", GRPC_INTERNAL, "CNI plugin p: own (code 999)"},
        {"{\"msg\":\"m\"}", GRPC_INTERNAL, "CNI plugin p: m (code 0)"},
        {"\nsegfault\nat 0", GRPC_INTERNAL, "CNI plugin p: segfault"},
        {"", GRPC_INTERNAL, "CNI plugin p: exit status 1"},
        {NULL, GRPC_INTERNAL, "CNI plugin p: exit status 1"},
        {"{}", GRPC_INTERNAL, "CNI plugin p: {}"},
    };
    (void)state;
    for (size_t i = 0; i < countof(cases); i++) {
        struct err err = {0};
        const char *t = cases[i].text;
        assert_true(cni_result_error("p", t, t ? strlen(t) : 0, "exit status 1", &err) < 0);
        assert_string_equal(err.msg, cases[i].msg);
        assert_int_equal(err.grpc, cases[i].grpc);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(results_of_every_version),
        cmocka_unit_test(unusable_results),
        cmocka_unit_test(limits),
        cmocka_unit_test(errors_in_the_plugins_words),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
