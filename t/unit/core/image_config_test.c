#include "core/image_config.c"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <cmocka.h>

#define DIFF   "\"sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855\""
#define ROOTFS "\"rootfs\":{\"type\":\"layers\",\"diff_ids\":[" DIFF "," DIFF "]}"

static struct image_config *parse_text(const char *text, struct err *err)
{
    struct image_config *c = NULL;

    *err = (struct err){0};
    return image_config_parse(text, strlen(text), &c, err) < 0 ? NULL : c;
}

static void reads_all(void **state)
{
    struct err err;
    struct image_config *c = parse_text(
        "{\"architecture\":\"arm\",\"os\":\"linux\",\"variant\":\"v7\",\"created\":\"2024-01-02T03:04:05Z\","
        "\"config\":{"
        "\"User\":\"1000:users\",\"Env\":[\"PATH=/bin\",\"BAD\",\"=x\",\"A=b=c\"],\"Entrypoint\":[\"/a\",\"\"],"
        "\"Cmd\":[\"-x\"],\"WorkingDir\":\"/w\",\"Labels\":{\"k\":\"v\"},\"StopSignal\":\"SIGRTMIN+3\","
        "\"Volumes\":{\"/data\":{}},\"ExposedPorts\":{\"80/tcp\":{}}}," ROOTFS ",\"history\":[{\"x\":1}]}",
        &err);

    (void)state;
    if (!c)
        fail_msg("%s", err.msg);
    assert_string_equal(c->architecture, "arm");
    assert_string_equal(c->variant, "v7");
    assert_string_equal(c->created, "2024-01-02T03:04:05Z");
    assert_string_equal(c->user, "1000:users");
    assert_string_equal(c->env[0], "PATH=/bin");
    assert_string_equal(c->env[1], "A=b=c");
    assert_null(c->env[2]);
    assert_string_equal(c->entrypoint[1], "");
    assert_null(c->entrypoint[2]);
    assert_string_equal(c->cmd[0], "-x");
    assert_string_equal(c->working_dir, "/w");
    assert_string_equal(kv_get(&c->labels, "k"), "v");
    assert_string_equal(c->stop_signal, "SIGRTMIN+3");
    assert_string_equal(c->volumes[0], "/data");
    assert_int_equal(c->diff_ids_n, 2);
    assert_null(c->diff_ids[2]);
    image_config_free(c);
}

static void nothing_said(void **state)
{
    static const char *const texts[] = {
        "{" ROOTFS "}",
        "{\"config\":null," ROOTFS "}",
        "{\"config\":{}," ROOTFS "}",
        "{\"config\":{\"Env\":null,\"Cmd\":null,\"Labels\":null,\"Volumes\":null,\"User\":\"\"}," ROOTFS "}",
    };

    (void)state;
    for (size_t i = 0; i < countof(texts); i++) {
        struct err err;
        struct image_config *c = parse_text(texts[i], &err);
        if (!c)
            fail_msg("%s", err.msg);
        assert_null(c->user);
        assert_null(c->env[0]);
        assert_null(c->entrypoint[0]);
        assert_null(c->cmd[0]);
        assert_null(c->volumes[0]);
        assert_int_equal(c->labels.n, 0);
        image_config_free(c);
    }
}

static void refuses(void **state)
{
    static const struct {
        const char *text, *says;
    } rows[] = {
        {"", "not valid JSON"},
        {"[]", "not a JSON object"},
        {"{}", "rootfs is missing"},
        {"{\"rootfs\":[]}", "rootfs is an array; it must be an object"},
        {"{\"rootfs\":{\"diff_ids\":[\"sha256:1\"]}}", "item 0: \"sha256:1\" is neither"},
        {"{\"rootfs\":{\"diff_ids\":[1]}}", "diff_ids: item 0 is a number; it must be a string"},
        {"{\"config\":{\"User\":1000}," ROOTFS "}", "User is a number; it must be a string"},
        {"{\"config\":{\"Cmd\":\"sh\"}," ROOTFS "}", "Cmd is a string; it must be an array"},
        {"{\"config\":{\"Env\":[null]}," ROOTFS "}", "Env: item 0 is null"},
        {"{\"config\":{\"Labels\":{\"a\":1}}," ROOTFS "}", "Labels: the value of \"a\""},
        {"{\"config\":{\"Labels\":[]}," ROOTFS "}", "Labels is an array"},
        {"{\"config\":{\"Volumes\":{\"data\":{}}}," ROOTFS "}", "Volumes: \"data\" is not an absolute path"},
        {"{\"config\":{\"WorkingDir\":\"w\"}," ROOTFS "}", "WorkingDir: \"w\" is not an absolute path"},
        {"{\"config\":{\"StopSignal\":\"SIGFOO\"}," ROOTFS "}", "StopSignal: \"SIGFOO\" is not a signal"},
        {"{\"config\":{\"User\":\"a\\u0000b\"}," ROOTFS "}", "not valid JSON"},
        {"{\"os\":{}," ROOTFS "}", "os is an object"},
    };

    (void)state;
    for (size_t i = 0; i < countof(rows); i++) {
        struct err err;
        assert_null(parse_text(rows[i].text, &err));
        assert_int_equal(err.grpc, GRPC_INVALID_ARGUMENT);
        if (!strstr(err.msg, rows[i].says) || strncmp(err.msg, "image config", 12) != 0)
            fail_msg("row %zu: \"%s\" does not say \"%s\"", i, err.msg, rows[i].says);
    }
    image_config_free(NULL);
}

static void has_limits(void **state)
{
    char *cleanup_free word = mem_alloc(IMAGE_CONFIG_STRING_MAX + 2);
    struct err err;

    (void)state;
    memset(word, 'x', IMAGE_CONFIG_STRING_MAX + 1);
    char *cleanup_free text = mem_printf("{\"config\":{\"User\":\"%s\"}," ROOTFS "}", word);
    char *cleanup_free list = mem_printf("{\"config\":{\"Cmd\":[\"%s\"]}," ROOTFS "}", word);
    assert_null(parse_text(text, &err));
    assert_non_null(strstr(err.msg, "User has 131073 bytes; at most 131072"));
    assert_null(parse_text(list, &err));
    assert_non_null(strstr(err.msg, "Cmd: item 0 has 131073 bytes"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_all),
        cmocka_unit_test(nothing_said),
        cmocka_unit_test(refuses),
        cmocka_unit_test(has_limits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
