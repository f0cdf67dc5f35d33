#include "core/cni_conf.c"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <cmocka.h>

static struct cni_conf *parse(const char *text)
{
    struct cni_conf *c = NULL;
    struct err err = {0};

    if (cni_conf_parse("a.conflist", text, strlen(text), &c, &err) < 0)
        fail_msg("%s", err.msg);
    return c;
}

static void lists(void **state)
{
    struct cni_conf *c = parse(
        "{\"cniVersion\":\"0.4.0\",\"name\":\"n\",\"disableCheck\":true,\"disableGC\":\"true\",\"plugins\":["
        "{\"type\":\"bridge\",\"ipam\":{\"type\":\"host-local\"}},"
        "{\"type\":\"portmap\",\"capabilities\":{\"portMappings\":true,\"dns\":false},\"ipam\":{}}]}");
    (void)state;
    assert_string_equal(c->name, "n");
    assert_string_equal(c->version, "0.4.0");
    assert_true(c->disable_check && c->disable_gc);
    assert_int_equal(c->plugins_n, 2);
    assert_string_equal(c->plugins[0].type, "bridge");
    assert_string_equal(c->plugins[0].ipam_type, "host-local");
    assert_null(c->plugins[1].ipam_type);
    assert_true(cni_plugin_can(&c->plugins[1], "portMappings"));
    assert_false(cni_plugin_can(&c->plugins[1], "dns"));
    assert_false(cni_plugin_can(&c->plugins[0], "portMappings"));

    struct cni_conf *held = cni_conf_ref(c);
    cni_conf_unref(c);
    assert_string_equal(held->file, "a.conflist");
    cni_conf_unref(held);
    cni_conf_unref(NULL);
}

static void versions_of_a_list(void **state)
{
    static const struct {
        const char *keys, *version;
    } cases[] = {
        {"", "0.1.0"},
        {"\"cniVersion\":\"\",", "0.1.0"},
        {"\"cniVersion\":\"1.1.0\",", "1.1.0"},
        {"\"cniVersions\":[\"0.3.1\",\"1.0.0\",\"2.0.0\"],", "1.0.0"},
        {"\"cniVersion\":\"0.4.0\",\"cniVersions\":[\"0.3.1\"],", "0.4.0"},
        {"\"cniVersion\":\"9.0.0\",\"cniVersions\":[\"0.3.1\"],", "0.3.1"},
    };
    (void)state;
    for (size_t i = 0; i < countof(cases); i++) {
        char *text = mem_printf("{%s\"name\":\"n\",\"plugins\":[{\"type\":\"t\"}]}", cases[i].keys);
        struct cni_conf *c = parse(text);
        assert_string_equal(c->version, cases[i].version);
        cni_conf_unref(c);
        free(text);
    }
}

static void a_single_plugin_is_a_list_of_one(void **state)
{
    struct cni_conf *c = parse("{\"cniVersion\":\"1.0.0\",\"name\":\"n\",\"type\":\"macvlan\",\"capabilities\":"
                               "{\"dns\":true},\"x\":1}");
    json_t *runtime = json_pack("{s:{s:i}, s:s}", "dns", "a", 1, "cgroupPath", "/c");

    (void)state;
    assert_int_equal(c->plugins_n, 1);
    char *text = cni_plugin_stdin(c, 0, CNI_ADD, runtime, NULL);
    assert_string_equal(text, "{\"cniVersion\":\"1.0.0\",\"name\":\"n\",\"type\":\"macvlan\",\"x\":1,"
                              "\"runtimeConfig\":{\"dns\":{\"a\":1}}}");
    free(text);

    /* what the cache keeps is read back as the same configuration */
    char *list = json_dumps(c->json, JSON_COMPACT);
    struct cni_conf *again = parse(list);
    text = cni_plugin_stdin(again, 0, CNI_DEL, NULL, NULL);
    assert_string_equal(text, "{\"cniVersion\":\"1.0.0\",\"name\":\"n\",\"type\":\"macvlan\",\"x\":1}");
    free(text);
    free(list);
    cni_conf_unref(again);
    json_decref(runtime);
    cni_conf_unref(c);
}

static void a_previous_result_where_the_version_has_one(void **state)
{
    static const struct {
        const char *version;
        bool add, del;
    } cases[] = {{"0.2.0", false, false},
                 {"0.3.0", true, false},
                 {"0.3.1", true, false},
                 {"0.4.0", true, true},
                 {"1.1.0", true, true}};
    json_t *prev = json_pack("{s:[]}", "ips");

    (void)state;
    for (size_t i = 0; i < countof(cases); i++) {
        char *conf = mem_printf("{\"cniVersion\":\"%s\",\"name\":\"n\",\"plugins\":[{\"type\":\"t\"}]}",
                                cases[i].version);
        struct cni_conf *c = parse(conf);
        char *add = cni_plugin_stdin(c, 0, CNI_ADD, NULL, prev),
             *del = cni_plugin_stdin(c, 0, CNI_DEL, NULL, prev);
        assert_int_equal(strstr(add, "\"prevResult\":{\"ips\":[]}") != NULL, cases[i].add);
        assert_int_equal(strstr(del, "\"prevResult\":{\"ips\":[]}") != NULL, cases[i].del);
        free(add);
        free(del);
        free(conf);
        cni_conf_unref(c);
    }
    json_decref(prev);
}

static void errors_name_file_and_key(void **state)
{
    static const struct {
        const char *text, *says;
    } cases[] = {
        {"", "a.conflist:1:0: "},
        {"{\"name\":\"n\",", "a.conflist:1:"},
        {"[]", "not a JSON object"},
        {"{}", "neither plugins (a list) nor type"},
        {"{\"type\":\"t\"}", "name is missing"},
        {"{\"name\":7,\"type\":\"t\"}", "name is missing"},
        {"{\"name\":\"../x\",\"type\":\"t\"}", "name \"../x\""},
        {"{\"name\":\"\",\"type\":\"t\"}", "name \"\""},
        {"{\"name\":\"n\",\"plugins\":{}}", "plugins is not an array"},
        {"{\"name\":\"n\",\"plugins\":[]}", "plugins is empty"},
        {"{\"name\":\"n\",\"plugins\":[3]}", "plugins[0] is not an object"},
        {"{\"name\":\"n\",\"plugins\":[{\"type\":\"t\"},{\"type\":5}]}", "plugins[1].type"},
        {"{\"name\":\"n\",\"plugins\":[{\"type\":\"../sh\"}]}", "plugins[0].type \"../sh\""},
        {"{\"name\":\"n\",\"plugins\":[{\"type\":\"..\"}]}", "plugins[0].type \"..\""},
        {"{\"name\":\"n\",\"plugins\":[{\"type\":\"t\",\"ipam\":{\"type\":\"a/b\"}}]}",
         "plugins[0].ipam.type \"a/b\""},
        {"{\"name\":\"n\",\"plugins\":[{\"type\":\"t\",\"capabilities\":[]}]}", "plugins[0].capabilities"},
        {"{\"name\":\"n\",\"type\":\"t\",\"cniVersion\":1}", "cniVersion is not a string"},
        {"{\"name\":\"n\",\"type\":\"t\",\"cniVersion\":\"7.0.0\"}", "cniVersion \"7.0.0\" is not supported"},
        {"{\"name\":\"n\",\"type\":\"t\",\"cniVersions\":1}", "cniVersions is not an array"},
        {"{\"name\":\"n\",\"type\":\"t\",\"disableCheck\":\"yes\"}", "disableCheck"},
    };
    (void)state;
    for (size_t i = 0; i < countof(cases); i++) {
        struct cni_conf *c = NULL;
        struct err err = {0};
        if (cni_conf_parse("a.conflist", cases[i].text, strlen(cases[i].text), &c, &err) == 0)
            fail_msg("%s was taken", cases[i].text);
        assert_null(c);
        assert_int_equal(err.grpc, GRPC_FAILED_PRECONDITION);
        if (!strstr(err.msg, cases[i].says) || !strstr(err.msg, "a.conflist"))
            fail_msg("\"%s\" does not say \"%s\"", err.msg, cases[i].says);
    }
}

static void limits(void **state)
{
    struct cni_conf *c;
    struct err err = {0};
    char *big = mem_alloc(CNI_CONF_MAX + 1);

    (void)state;
    memset(big, ' ', CNI_CONF_MAX + 1);
    assert_true(cni_conf_parse("a.conflist", big, CNI_CONF_MAX + 1, &c, &err) < 0);
    assert_non_null(strstr(err.msg, "larger than 1048576"));
    char *p = big + sprintf(big, "{\"name\":\"n\",\"plugins\":[");
    for (int i = 0; i < CNI_PLUGINS_MAX + 1; i++)
        p += sprintf(p, "%s{\"type\":\"t\"}", i ? "," : "");
    strcpy(p, "]}");
    assert_true(cni_conf_parse("a.conflist", big, strlen(big), &c, &err) < 0);
    assert_non_null(strstr(err.msg, "65 plugins, the limit is 64"));
    free(big);
}

static void the_built_in_network(void **state)
{
    static const char *const bad[] = {"",     "10.85.0.0",     "10.85.0.0/", "10.85.0.0/31", "10.85.0.0/7",
                                      "x/16", "10.85.0.0/16 ", "fd00::/127"};
    struct cni_conf *c;
    struct err err = {0};
    char name[CNI_BRIDGE_SIZE], other[CNI_BRIDGE_SIZE];

    (void)state;
    assert_int_equal(cni_conf_default("cricket0", "10.85.0.0/16", "/run/x/ipam", &c, &err), 0);
    assert_string_equal(c->file, "built-in");
    assert_int_equal(c->plugins_n, 2);
    assert_string_equal(c->plugins[0].ipam_type, "host-local");
    assert_true(cni_plugin_can(&c->plugins[1], "portMappings"));
    char *text = cni_plugin_stdin(c, 0, CNI_ADD, NULL, NULL);
    assert_string_equal(
        text,
        "{\"type\":\"bridge\",\"bridge\":\"cricket0\",\"isGateway\":true,\"ipMasq\":true,\"hairpinMode\":true,"
        "\"promiscMode\":false,\"ipam\":{\"type\":\"host-local\",\"dataDir\":\"/run/x/ipam\",\"ranges\":[[{"
        "\"subnet\":\"10.85.0.0/16\"}]],\"routes\":[{\"dst\":\"0.0.0.0/"
        "0\"}]},\"name\":\"cricket\",\"cniVersion\":"
        "\"1.0.0\"}");
    free(text);
    cni_conf_unref(c);
    for (size_t i = 0; i < countof(bad); i++)
        if (cni_conf_default("cricket0", bad[i], "/x", &c, &err) == 0)
            fail_msg("\"%s\" was taken", bad[i]);

    cni_bridge_name("/var/lib/cricket/", name);
    assert_string_equal(name, "cricket0");
    cni_bridge_name("/tmp/a", name);
    cni_bridge_name("/tmp/b", other);
    assert_int_equal(strlen(name), 15);
    assert_string_not_equal(name, other);
    cni_bridge_name("/tmp/b/", name);
    assert_string_equal(name, other);
}

static void a_portmap_without_ports_is_idle(void **state)
{
    static const struct {
        const char *portmap, *runtime;
        bool idle;
    } rows[] = {
        {"{\"type\":\"portmap\",\"capabilities\":{\"portMappings\":true}}", "{}", true},
        {"{\"type\":\"portmap\",\"snat\":true,\"capabilities\":{\"portMappings\":true}}", "{\"dns\":{}}", true},
        {"{\"type\":\"portmap\",\"capabilities\":{\"portMappings\":true}}", "{\"portMappings\":[]}", false},
        {"{\"type\":\"portmap\",\"snat\":\"yes\"}", "{}", false}, /* the plugin refuses it */
        {"{\"type\":\"portmap\",\"markMasqBit\":99}", "{}", false},
        {"{\"type\":\"portmap\",\"runtimeConfig\":{}}", "{}", false},
        {"{\"type\":\"firewall\"}", "{}", false},
    };

    (void)state;
    for (size_t i = 0; i < countof(rows); i++) {
        cleanup_free char *text = mem_printf("{\"cniVersion\":\"1.0.0\",\"name\":\"n\",\"plugins\":[%s,%s]}",
                                             rows[i].portmap, rows[i].portmap);
        struct cni_conf *c = parse(text);
        json_t *runtime = json_loads(rows[i].runtime, 0, NULL);
        if (cni_plugin_is_idle(c, 1, runtime) != rows[i].idle || cni_plugin_is_idle(c, 0, runtime))
            fail_msg("%s with %s", rows[i].portmap, rows[i].runtime);
        json_decref(runtime);
        cni_conf_unref(c);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lists),
        cmocka_unit_test(versions_of_a_list),
        cmocka_unit_test(a_single_plugin_is_a_list_of_one),
        cmocka_unit_test(a_previous_result_where_the_version_has_one),
        cmocka_unit_test(errors_name_file_and_key),
        cmocka_unit_test(limits),
        cmocka_unit_test(the_built_in_network),
        cmocka_unit_test(a_portmap_without_ports_is_idle),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
