#include "core/manifest.c"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

#define D1              "\"sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855\""
#define OCI             "application/vnd.oci.image."
#define CONF            "{\"mediaType\":\"" OCI "config.v1+json\",\"digest\":" D1 ",\"size\":10}"
#define LAYER(type)     "{\"mediaType\":\"" type "\",\"digest\":" D1 ",\"size\":100}"
#define GZ              LAYER(OCI "layer.v1.tar+gzip")
#define IMAGE(layers)   "{\"schemaVersion\":2,\"config\":" CONF ",\"layers\":[" layers "]}"
#define ENTRY(platform) "{\"mediaType\":\"" OCI "manifest.v1+json\",\"digest\":" D1 ",\"size\":7" platform "}"
#define PLAT(os, arch, variant)                                                                                \
    ",\"platform\":{\"os\":\"" os "\",\"architecture\":\"" arch "\",\"variant\":\"" variant "\"}"
#define INDEX(entries) "{\"schemaVersion\":2,\"manifests\":[" entries "]}"

static int parse_text(const char *text, const char *type, struct manifest *m, struct err *err)
{
    *m = (struct manifest){0};
    *err = (struct err){0};
    return manifest_parse(text, strlen(text), type, m, err);
}

static void reads_image(void **state)
{
    struct manifest cleanup_manifest m = {0};
    struct err err;

    (void)state;
    assert_int_equal(
        parse_text(IMAGE(GZ "," LAYER(OCI "layer.v1.tar+zstd") "," LAYER(
                       "application/vnd.docker.image.rootfs.diff.tar.gzip") "," LAYER(OCI "layer.v1.tar")),
                   "application/vnd.oci.image.manifest.v1+json; charset=utf-8", &m, &err),
        0);
    assert_int_equal(m.kind, MANIFEST_IMAGE);
    assert_int_equal(m.layers_n, 4);
    assert_int_equal(m.layers[0].compression, LAYER_GZIP);
    assert_int_equal(m.layers[1].compression, LAYER_ZSTD);
    assert_int_equal(m.layers[2].compression, LAYER_GZIP);
    assert_int_equal(m.layers[3].compression, LAYER_PLAIN);
    assert_int_equal(m.layers[3].blob.size, 100);
    assert_int_equal(m.config.size, 10);
    assert_int_equal(manifest_size(&m), 410);
}

static void reads_index(void **state)
{
    struct manifest cleanup_manifest m = {0};
    struct err err;

    (void)state;
    assert_int_equal(
        parse_text(INDEX(ENTRY(PLAT("linux", "amd64", "")) "," ENTRY(
                       ",\"annotations\":{\"org.opencontainers.image.ref.name\":\"1.0\",\"io.containerd.image."
                       "name\":\"a/b:1\"}") "," ENTRY(",\"annotations\":{\"vnd.docker.reference.type\":"
                                                      "\"attestation-manifest\"}")),
                   "text/plain", &m, &err),
        0);
    assert_int_equal(m.kind, MANIFEST_INDEX);
    assert_int_equal(m.entries_n, 3);
    assert_string_equal(m.entries[0].platform.architecture, "amd64");
    assert_null(m.entries[0].platform.variant);
    assert_string_equal(m.entries[1].name, "a/b:1");
    assert_false(m.entries[1].attestation);
    assert_true(m.entries[2].attestation);
}

static void refuses(void **state)
{
    static const struct {
        const char *text, *type;
        int grpc;
        const char *says;
    } rows[] = {
        {"", NULL, GRPC_INVALID_ARGUMENT, "not valid JSON"},
        {"{", NULL, GRPC_INVALID_ARGUMENT, "not valid JSON"},
        {"[]", NULL, GRPC_INVALID_ARGUMENT, "not a JSON object"},
        {"{}", NULL, GRPC_INVALID_ARGUMENT, "schemaVersion is missing"},
        {"{\"schemaVersion\":3}", NULL, GRPC_INVALID_ARGUMENT, "must be 2"},
        {"{\"schemaVersion\":\"2\"}", NULL, GRPC_INVALID_ARGUMENT, "schemaVersion is a string"},
        {"{\"schemaVersion\":2,\"schemaVersion\":2}", NULL, GRPC_INVALID_ARGUMENT, "duplicate"},
        {"{\"schemaVersion\":1,\"fsLayers\":[]}", NULL, GRPC_UNIMPLEMENTED, "push the image again"},
        {IMAGE(GZ), "application/vnd.docker.distribution.manifest.v1+prettyjws", GRPC_UNIMPLEMENTED,
         "schema version 1"},
        {"{\"schemaVersion\":2}", NULL, GRPC_INVALID_ARGUMENT, "config is missing"},
        {IMAGE(""), NULL, GRPC_INVALID_ARGUMENT, "there are none"},
        {INDEX(""), NULL, GRPC_INVALID_ARGUMENT, "there are none"},
        {"{\"schemaVersion\":2,\"manifests\":{}}", NULL, GRPC_INVALID_ARGUMENT,
         "manifests is an object; it must be an array"},
        {INDEX("7"), NULL, GRPC_INVALID_ARGUMENT, "item 0 is missing or not an object"},
        {IMAGE(GZ ",7"), NULL, GRPC_INVALID_ARGUMENT, "layers: item 1"},
        {IMAGE(LAYER(OCI "layer.nondistributable.v1.tar+gzip")), NULL, GRPC_UNIMPLEMENTED, "foreign layer"},
        {IMAGE(LAYER(OCI "layer.v1.tar+gzip+encrypted")), NULL, GRPC_UNIMPLEMENTED,
         "is not supported; layers may be"},
        {IMAGE("{\"digest\":" D1 ",\"size\":1}"), NULL, GRPC_UNIMPLEMENTED,
         "mediaType nothing is not supported"},
        {IMAGE("{\"mediaType\":\"" OCI "layer.v1.tar\",\"digest\":\"sha256:../..\",\"size\":1}"), NULL,
         GRPC_INVALID_ARGUMENT, "digest: \"sha256:../..\" is neither"},
        {IMAGE("{\"mediaType\":\"" OCI "layer.v1.tar\",\"digest\":" D1 "}"), NULL, GRPC_INVALID_ARGUMENT,
         "size is missing"},
        {IMAGE("{\"mediaType\":\"" OCI "layer.v1.tar\",\"digest\":" D1 ",\"size\":-1}"), NULL,
         GRPC_INVALID_ARGUMENT, "size is -1"},
        {IMAGE("{\"mediaType\":\"" OCI "layer.v1.tar\",\"digest\":" D1 ",\"size\":9000000000000000000}"), NULL,
         GRPC_INVALID_ARGUMENT, "must be from 0 to"},
        {"{\"schemaVersion\":2,\"config\":{\"mediaType\":\"application/vnd.x.chart\",\"digest\":" D1
         ",\"size\":1},\"layers\":[" GZ "]}",
         NULL, GRPC_UNIMPLEMENTED, "another kind of artifact"},
        {"{\"schemaVersion\":2,\"mediaType\":\"application/x\",\"config\":" CONF ",\"layers\":[" GZ "]}", NULL,
         GRPC_UNIMPLEMENTED, "\"application/x\" is not that of"},
        {"{\"schemaVersion\":2,\"mediaType\":\"" OCI "index.v1+json\",\"config\":" CONF ",\"layers\":[" GZ "]}",
         "application/vnd.oci.image.manifest.v1+json", GRPC_INVALID_ARGUMENT, "contradicts"},
        {"{\"schemaVersion\":2,\"manifests\":[],\"layers\":[" GZ "]}", NULL, GRPC_INVALID_ARGUMENT,
         "has fields of"},
        {IMAGE(GZ), "application/vnd.oci.image.index.v1+json", GRPC_INVALID_ARGUMENT,
         "has fields of an image manifest"},
    };

    (void)state;
    for (size_t i = 0; i < countof(rows); i++) {
        struct manifest m;
        struct err err;
        assert_true(parse_text(rows[i].text, rows[i].type, &m, &err) < 0);
        if (err.grpc != rows[i].grpc || !strstr(err.msg, rows[i].says))
            fail_msg("row %zu: %s \"%s\" does not say \"%s\"", i, grpc_code_name(err.grpc), err.msg,
                     rows[i].says);
        assert_null(m.layers);
    }
}

static void has_limits(void **state)
{
    struct buf cleanup_buf many = {0}, cleanup_buf deep = {0}, cleanup_buf wide = {0};
    struct manifest m;
    struct err err;

    (void)state;
    buf_adds(&many, "{\"schemaVersion\":2,\"config\":" CONF ",\"layers\":[" GZ);
    for (int i = 0; i < MANIFEST_LAYERS_MAX; i++)
        buf_adds(&many, "," GZ);
    buf_adds(&many, "]}");
    assert_true(parse_text(many.data, NULL, &m, &err) < 0);
    assert_non_null(strstr(err.msg, "layers has 501 items; at most 500"));

    for (int i = 0; i < 1000; i++)
        buf_adds(&deep, "[");
    assert_true(parse_text(deep.data, NULL, &m, &err) < 0);
    assert_non_null(strstr(err.msg, "nests deeper"));

    for (int i = 0; i < 200000; i++)
        buf_adds(&wide, "[],");
    assert_true(parse_text(wide.data, NULL, &m, &err) < 0);
    assert_non_null(strstr(err.msg, "more than 100000 values"));

    assert_true(manifest_parse("{}", MANIFEST_MAX + 1, NULL, &m, &err) <
                0); /* refused before the text is looked at */
    assert_non_null(strstr(err.msg, "at most 4194304"));
}

static void chooses(void **state)
{
    static const struct {
        const char *os, *arch, *variant;
        const char *entries;
        int best; /* -1: none */
    } rows[] = {
        {"linux", "amd64", NULL, ENTRY(PLAT("linux", "arm64", "")) "," ENTRY(PLAT("linux", "amd64", "")), 1},
        {"linux", "amd64", NULL, ENTRY(PLAT("windows", "amd64", "")) "," ENTRY(PLAT("linux", "x86_64", "")), 1},
        {"linux", "amd64", NULL, ENTRY(PLAT("linux", "amd64", "v3")) "," ENTRY(PLAT("linux", "amd64", "v1")),
         1},
        {"linux", "amd64", NULL, ENTRY(PLAT("linux", "amd64", "v3")), -1},
        {"linux", "amd64", NULL, ENTRY("") "," ENTRY(PLAT("linux", "amd64", "")), 1},
        {"linux", "amd64", NULL, ENTRY(PLAT("linux", "arm64", "")) "," ENTRY("") "," ENTRY(""), 1},
        {"linux", "amd64", NULL, ENTRY(PLAT("unknown", "unknown", "")), -1},
        {"linux", "amd64", NULL,
         ENTRY(",\"annotations\":{\"vnd.docker.reference.type\":\"attestation-manifest\"}") "," ENTRY(""), 1},
        {"linux", "arm", "v7",
         ENTRY(PLAT("linux", "arm", "v5")) "," ENTRY(PLAT("linux", "arm", "v6")) "," ENTRY(
             PLAT("linux", "arm", "v8")),
         1},
        {"linux", "arm", "v7", ENTRY(PLAT("linux", "arm", "v6")) "," ENTRY(PLAT("linux", "arm", "")), 1},
        {"linux", "arm", "v6", ENTRY(PLAT("linux", "arm", "v7")), -1},
        {"linux", "arm", "v6", ENTRY(PLAT("linux", "arm", "v4")), -1},
        {"linux", "arm64", "v8", ENTRY(PLAT("linux", "arm64", "v9")) "," ENTRY(PLAT("linux", "aarch64", "8")),
         1},
        {"linux", "arm64", "v8", ENTRY(PLAT("linux", "arm", "v7")), -1},
        {"linux", "amd64", NULL, ENTRY(PLAT("linux", "amd64", "")) "," ENTRY(PLAT("linux", "amd64", "")), 0},
    };

    (void)state;
    for (size_t i = 0; i < countof(rows); i++) {
        struct platform want = {(char *)rows[i].os, (char *)rows[i].arch, (char *)rows[i].variant};
        char *cleanup_free text = mem_printf("{\"schemaVersion\":2,\"manifests\":[%s]}", rows[i].entries);
        struct manifest cleanup_manifest m = {0};
        const struct manifest_entry *e = NULL;
        struct err err;
        assert_int_equal(parse_text(text, NULL, &m, &err), 0);
        int r = manifest_choose(&m, &want, &e, &err);
        if ((r < 0 ? -1 : (int)(e - m.entries)) != rows[i].best)
            fail_msg("row %zu: chose %d, not %d", i, r < 0 ? -1 : (int)(e - m.entries), rows[i].best);
        if (r < 0) {
            assert_int_equal(err.grpc, GRPC_NOT_FOUND);
            assert_non_null(strstr(err.msg, rows[i].arch));
        }
    }
}

static void names_what_is_there(void **state)
{
    struct manifest cleanup_manifest m = {0};
    struct platform want = {"linux", "riscv64", NULL};
    const struct manifest_entry *e;
    struct err err;

    (void)state;
    assert_int_equal(parse_text(INDEX(ENTRY(PLAT("linux", "amd64", "")) "," ENTRY(PLAT("linux", "arm", "v7"))),
                                NULL, &m, &err),
                     0);
    assert_true(manifest_choose(&m, &want, &e, &err) < 0);
    assert_string_equal(err.msg, "image has nothing for linux/riscv64, only for \"linux/amd64, linux/arm/v7\"; "
                                 "choose another image or tag");
    assert_string_equal(platform_host()->os, "linux");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_image), cmocka_unit_test(reads_index), cmocka_unit_test(refuses),
        cmocka_unit_test(has_limits),  cmocka_unit_test(chooses),     cmocka_unit_test(names_what_is_there),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
