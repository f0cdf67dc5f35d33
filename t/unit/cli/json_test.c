/* ProtoJSON of CRI messages: names, 64-bit numbers, enums, maps, bytes, defaults, text that is no UTF-8. */
#include "cli/json.c"
#include "cli/format.c"
#include "proto/cri.pb-c.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

static void is(const void *message, int flags, const char *want)
{
    json_t *j = json_of_message(message, flags);
    char *got = json_dumps(j, JSON_COMPACT);

    assert_string_equal(got, want);
    free(got);
    json_decref(j);
}

static void names_follow_protobuf(void **state)
{
    char s[NAME_MAX_LEN];
    (void)state;

    camel("log_path", s);
    assert_string_equal(s, "logPath");
    camel("CDI_devices", s);
    assert_string_equal(s, "CDIDevices");
    camel("uidMappings", s);
    assert_string_equal(s, "uidMappings");
    camel("memory_swap_limit_in_bytes", s);
    assert_string_equal(s, "memorySwapLimitInBytes");
}

static void a_pod(void **state)
{
    Runtime__V1__PodSandbox p = RUNTIME__V1__POD_SANDBOX__INIT;
    Runtime__V1__PodSandbox__LabelsEntry a = RUNTIME__V1__POD_SANDBOX__LABELS_ENTRY__INIT;
    Runtime__V1__PodSandbox__LabelsEntry *labels[] = {&a};
    (void)state;

    is(&p, 0,
       "{\"id\":\"\",\"metadata\":null,\"state\":\"SANDBOX_READY\",\"createdAt\":\"0\",\"labels\":{},"
       "\"annotations\":{},\"runtimeHandler\":\"\"}");
    p.id = "x\"y";
    p.state = RUNTIME__V1__POD_SANDBOX_STATE__SANDBOX_NOTREADY;
    p.created_at = 9223372036854775807;
    a.key = "app";
    a.value = "caf\xc3\xa9";
    p.labels = labels;
    p.n_labels = 1;
    is(&p, 0,
       "{\"id\":\"x\\\"y\",\"metadata\":null,\"state\":\"SANDBOX_NOTREADY\",\"createdAt\":"
       "\"9223372036854775807\",\"labels\":{\"app\":\"caf\xc3\xa9\"},"
       "\"annotations\":{},\"runtimeHandler\":\"\"}");
    p.state = 77;
    json_t *j = json_of_message(&p.base, 0);
    assert_int_equal(json_integer_value(json_object_get(j, "state")), 77);
    json_decref(j);
}

static void times_and_info(void **state)
{
    Runtime__V1__PodSandboxStatus st = RUNTIME__V1__POD_SANDBOX_STATUS__INIT;
    Runtime__V1__StatusResponse r = RUNTIME__V1__STATUS_RESPONSE__INIT;
    Runtime__V1__StatusResponse__InfoEntry a = RUNTIME__V1__STATUS_RESPONSE__INFO_ENTRY__INIT, b = a;
    Runtime__V1__StatusResponse__InfoEntry *info[] = {&a, &b};
    (void)state;

    st.created_at = 1700000000000000001;
    json_t *j = json_of_message(&st.base, JSON_TIMES);
    assert_string_equal(json_string_value(json_object_get(j, "createdAt")), "2023-11-14T22:13:20.000000001Z");
    json_decref(j);

    a.key = "config";
    a.value = "{\"a\":[1]}";
    b.key = "note";
    b.value = "plain";
    r.info = info;
    r.n_info = 2;
    is(&r, JSON_INFO,
       "{\"status\":null,\"info\":{\"config\":{\"a\":[1]},\"note\":\"plain\"},\"runtimeHandlers\":[],"
       "\"features\":null}");
    is(&r, 0,
       "{\"status\":null,\"info\":{\"config\":\"{\\\"a\\\":[1]}\",\"note\":\"plain\"},\"runtimeHandlers\":[],"
       "\"features\":null}");
}

static void bytes_and_text(void **state)
{
    Runtime__V1__ExecSyncResponse r = RUNTIME__V1__EXEC_SYNC_RESPONSE__INIT;
    Runtime__V1__KeyValue kv = RUNTIME__V1__KEY_VALUE__INIT;
    (void)state;

    r.stdout = (ProtobufCBinaryData){4, (uint8_t *)"\xff\x00\x01z"};
    r.stderr = (ProtobufCBinaryData){2, (uint8_t *)"ab"};
    r.exit_code = -1;
    is(&r, 0, "{\"stdout\":\"/wABeg==\",\"stderr\":\"YWI=\",\"exitCode\":-1}");
    kv.key = "bad\xfe";
    kv.value = (ProtobufCBinaryData){5, (uint8_t *)"value"};
    is(&kv, 0, "{\"key\":\"bad?\",\"value\":\"value\"}");
}

static void lists_of_every_width(void **state)
{
    int64_t groups[] = {1, -2};
    int32_t ports[] = {80, 443};
    Runtime__V1__LinuxContainerUser u = RUNTIME__V1__LINUX_CONTAINER_USER__INIT;
    Runtime__V1__PortForwardRequest f = RUNTIME__V1__PORT_FORWARD_REQUEST__INIT;
    Runtime__V1__PsiData psi = RUNTIME__V1__PSI_DATA__INIT;
    (void)state;

    u.supplemental_groups = groups;
    u.n_supplemental_groups = 2;
    is(&u, 0, "{\"uid\":\"0\",\"gid\":\"0\",\"supplementalGroups\":[\"1\",\"-2\"]}");
    f.pod_sandbox_id = "p";
    f.port = ports;
    f.n_port = 2;
    is(&f, 0, "{\"podSandboxId\":\"p\",\"port\":[80,443]}");
    psi.total = UINT64_MAX;
    psi.avg10 = 0.5;
    psi.avg60 = __builtin_nan("");
    psi.avg300 = -__builtin_inf();
    is(&psi, 0,
       "{\"Total\":\"18446744073709551615\",\"Avg10\":0.5,\"Avg60\":\"NaN\",\"Avg300\":\"-Infinity\"}");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_follow_protobuf), cmocka_unit_test(a_pod),
        cmocka_unit_test(times_and_info),        cmocka_unit_test(bytes_and_text),
        cmocka_unit_test(lists_of_every_width),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
