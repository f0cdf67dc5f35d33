#include "core/archive_index.c"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <cmocka.h>

static void reads_layout(void **state)
{
    static const char good[] = "{\"imageLayoutVersion\": \"1.0.0\"}",
                      two[] = "{\"imageLayoutVersion\": \"2.0.0\"}";
    struct err err;

    (void)state;
    assert_int_equal(oci_layout_check(good, strlen(good), &err), 0);
    assert_true(oci_layout_check(two, strlen(two), &err) < 0);
    assert_string_equal(err.msg, "oci-layout: imageLayoutVersion is \"2.0.0\"; only 1.x can be read");
    assert_true(oci_layout_check("{}", 2, &err) < 0);
    assert_true(oci_layout_check("[]", 2, &err) < 0);
    assert_int_equal(err.grpc, GRPC_UNIMPLEMENTED);
    char *cleanup_free path = oci_layout_blob_path("sha256:abc");
    assert_string_equal(path, "blobs/sha256/abc");
}

static void reads_docker(void **state)
{
    static const char text[] =
        "[{\"Config\":\"blobs/sha256/ab\",\"RepoTags\":[\"busybox:1\",\"r.example/x:y\"],"
        "\"Layers\":[\"a/layer.tar\",\"b.tar\"],\"Other\":{}},"
        "{\"Config\":\"c.json\",\"RepoTags\":null,\"Layers\":[\"a/layer.tar\"]}]";
    struct docker_archive a;
    struct err err;

    (void)state;
    assert_int_equal(docker_archive_parse(text, strlen(text), &a, &err), 0);
    assert_int_equal(a.n, 2);
    assert_string_equal(a.images[0].config, "blobs/sha256/ab");
    assert_string_equal(a.images[0].repo_tags[0], "docker.io/library/busybox:1");
    assert_string_equal(a.images[0].repo_tags[1], "r.example/x:y");
    assert_int_equal(a.images[0].layers_n, 2);
    assert_string_equal(a.images[0].layers[1], "b.tar");
    assert_null(a.images[1].repo_tags[0]);
    docker_archive_done(&a);
    docker_archive_done(&a);
}

#define ONE(config, tags, layers) "[{\"Config\":" config ",\"RepoTags\":" tags ",\"Layers\":" layers "}]"

static void refuses(void **state)
{
    static const struct {
        const char *text, *says;
    } rows[] = {
        {"{}", "manifest.json is an object; it must be an array"},
        {"[]", "lists no image"},
        {"[7]", "image 0 is not an object"},
        {"[{}]", "Config: nothing is not a relative path"},
        {ONE("\"/etc/passwd\"", "[]", "[\"a\"]"), "Config: \"/etc/passwd\" is not a relative path"},
        {ONE("\"a/../../b\"", "[]", "[\"a\"]"), "is not a relative path"},
        {ONE("\"a/\"", "[]", "[\"a\"]"), "is not a relative path"},
        {ONE("\"a//b\"", "[]", "[\"a\"]"), "is not a relative path"},
        {ONE("\"..\"", "[]", "[\"a\"]"), "is not a relative path"},
        {ONE("\"c\"", "[]", "[\"../a\"]"), "Layers: \"../a\""},
        {ONE("\"c\"", "[]", "[]"), "Layers: there are none"},
        {ONE("\"c\"", "[]", "null"), "Layers: there are none"},
        {ONE("\"c\"", "[\"UP\"]", "[\"a\"]"), "image 0: RepoTags: image reference \"UP\""},
        {ONE("\"c\"", "\"x\"", "[\"a\"]"), "RepoTags is a string"},
        {ONE("\"c\"", "[\"x@sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855\"]",
             "[\"a\"]"),
         "has no tag"},
    };

    (void)state;
    for (size_t i = 0; i < countof(rows); i++) {
        struct docker_archive a = {0};
        struct err err = {0};
        assert_true(docker_archive_parse(rows[i].text, strlen(rows[i].text), &a, &err) < 0);
        assert_int_equal(err.grpc, GRPC_INVALID_ARGUMENT);
        if (!strstr(err.msg, rows[i].says))
            fail_msg("row %zu: \"%s\" does not say \"%s\"", i, err.msg, rows[i].says);
        assert_null(a.images);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_layout),
        cmocka_unit_test(reads_docker),
        cmocka_unit_test(refuses),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
