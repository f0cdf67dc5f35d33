#include "core/cni_runtime.c"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <cmocka.h>

static void quantities(void **state)
{
    static const struct {
        const char *text;
        uint64_t value;
    } good[] = {
        {"0", 0},
        {"10", 10},
        {"+10", 10},
        {"10M", 10000000},
        {"1Gi", 1ull << 30},
        {"1.5Ki", 1536},
        {"0.5", 1},
        {"100m", 1},
        {"1.5e6", 1500000},
        {"15E5", 1500000},
        {"1E", 1000000000000000000},
        {"2e-1", 1},
        {"1e+3", 1000},
        {".5k", 500},
        {"5.", 5},
        {"15Ei", 15ull << 60},
        {"1n", 1},
        {"999999999999999999", 999999999999999999},
    };
    static const char *const bad[] = {"",     "M",     ".",    "-1",    "1 M",
                                      "1MB",  "1mi",   "0x10", "1e",    "1e99",
                                      "1e3M", "1.2.3", "20E",  "1e+-3", "1000000000000000000000",
                                      "10M ", "1e003"};
    (void)state;
    for (size_t i = 0; i < countof(good); i++) {
        struct err err = {0};
        uint64_t v = 77;
        if (cni_quantity_parse(good[i].text, &v, &err) < 0 || v != good[i].value)
            fail_msg("\"%s\": %llu, not %llu (%s)", good[i].text, (unsigned long long)v,
                     (unsigned long long)good[i].value, err.msg);
    }
    for (size_t i = 0; i < countof(bad); i++) {
        struct err err = {0};
        uint64_t v = 77;
        if (cni_quantity_parse(bad[i], &v, &err) == 0)
            fail_msg("\"%s\" was taken as %llu", bad[i], (unsigned long long)v);
        assert_int_equal(err.grpc, GRPC_INVALID_ARGUMENT);
        assert_int_equal(v, 77);
    }
}

static void expect_json(const struct cni_runtime *r, const char *want)
{
    struct err err = {0};
    json_t *out;

    if (cni_runtime_json(r, &out, &err) < 0)
        fail_msg("%s", err.msg);
    char *text = json_dumps(out, JSON_COMPACT | JSON_SORT_KEYS);
    assert_string_equal(text, want);
    free(text);
    json_decref(out);
}

static void capabilities(void **state)
{
    const struct cni_port_mapping ports[] = {
        {"TCP", 80, 8080, ""}, {"udp", 53, 0, NULL}, {"sctp", 9, 9, "::1"}};
    char *servers[] = {"10.0.0.10", NULL}, *none[] = {NULL};
    const struct cni_dns_config dns = {.servers = servers, .searches = none};
    struct kv_list notes = {0};

    (void)state;
    expect_json(&(struct cni_runtime){0}, "{}");
    expect_json(&(struct cni_runtime){.ports = &ports[1], .ports_n = 1, .cgroup_path = ""}, "{}");
    expect_json(&(struct cni_runtime){.ports = ports, .ports_n = 3, .dns = &dns, .cgroup_path = "/kubepods/x"},
                "{\"cgroupPath\":\"/kubepods/x\",\"dns\":{\"servers\":[\"10.0.0.10\"]},\"portMappings\":["
                "{\"containerPort\":80,\"hostPort\":8080,\"protocol\":\"tcp\"},"
                "{\"containerPort\":9,\"hostIP\":\"::1\",\"hostPort\":9,\"protocol\":\"sctp\"}]}");
    kv_set(&notes, "kubernetes.io/ingress-bandwidth", "10M");
    expect_json(&(struct cni_runtime){.annotations = &notes},
                "{\"bandwidth\":{\"ingressBurst\":4294967295,\"ingressRate\":10000000},"
                "\"io.kubernetes.cri.pod-annotations\":{\"kubernetes.io/ingress-bandwidth\":\"10M\"}}");
    kv_done(&notes);
}

static void refusals(void **state)
{
    static const struct {
        struct cni_port_mapping port;
        const char *bandwidth;
        const char *says;
    } cases[] = {
        {{"icmp", 80, 8080, ""}, NULL, "protocol \"icmp\""},
        {{NULL, 80, 8080, ""}, NULL, "protocol \"\""},
        {{"tcp", 0, 8080, ""}, NULL, "container port 0"},
        {{"tcp", 80, 65536, ""}, NULL, "host port 65536"},
        {{"tcp", 80, -1, ""}, NULL, "host port -1"},
        {{"tcp", 80, 80, "localhost"}, NULL, "host IP \"localhost\""},
        {{"tcp", 80, 80, ""}, "fast", "kubernetes.io/egress-bandwidth: \"fast\""},
        {{"tcp", 80, 80, ""}, "10", "kubernetes.io/egress-bandwidth: 10 bits"},
        {{"tcp", 80, 80, ""}, "2P", "not in 1k..1P"},
    };
    (void)state;
    for (size_t i = 0; i < countof(cases); i++) {
        struct kv_list notes = {0};
        struct err err = {0};
        json_t *out;
        if (cases[i].bandwidth)
            kv_set(&notes, "kubernetes.io/egress-bandwidth", cases[i].bandwidth);
        const struct cni_runtime r = {.ports = &cases[i].port, .ports_n = 1, .annotations = &notes};
        assert_true(cni_runtime_json(&r, &out, &err) < 0);
        assert_int_equal(err.grpc, GRPC_INVALID_ARGUMENT);
        if (!strstr(err.msg, cases[i].says))
            fail_msg("\"%s\" does not say \"%s\"", err.msg, cases[i].says);
        kv_done(&notes);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(quantities),
        cmocka_unit_test(capabilities),
        cmocka_unit_test(refusals),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
