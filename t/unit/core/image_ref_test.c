#include "core/image_ref.c"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <cmocka.h>

#define HEX64  "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
#define HEX128 HEX64 HEX64
#define X50    "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"

static void good(void **state)
{
    static const struct {
        const char *text, *domain, *path, *tag, *digest;
    } rows[] = {
        {"busybox", "docker.io", "library/busybox", "latest", NULL},
        {"busybox:1.36", "docker.io", "library/busybox", "1.36", NULL},
        {"docker.io/busybox", "docker.io", "library/busybox", "latest", NULL},
        {"index.docker.io/library/busybox", "docker.io", "library/busybox", "latest", NULL},
        {"a/b", "docker.io", "a/b", "latest", NULL},
        {"a/b/c", "docker.io", "a/b/c", "latest", NULL},
        {"localhost/a", "localhost", "a", "latest", NULL},
        {"localhost:5000/a/b:tag@sha256:" HEX64, "localhost:5000", "a/b", "tag", "sha256:" HEX64},
        {"busybox@sha256:" HEX64, "docker.io", "library/busybox", NULL, "sha256:" HEX64},
        {"busybox@sha512:" HEX128, "docker.io", "library/busybox", NULL, "sha512:" HEX128},
        {"127.0.0.1:5000/x", "127.0.0.1:5000", "x", "latest", NULL},
        {"[::1]:5000/x:y", "[::1]:5000", "x", "y", NULL},
        {"[2001:db8::1]/x", "[2001:db8::1]", "x", "latest", NULL},
        {"Registry.Example.com/x", "Registry.Example.com", "x", "latest", NULL},
        {"r.example/a__b-c---d.e_f/0:_T.-9", "r.example", "a__b-c---d.e_f/0", "_T.-9", NULL},
        {"a-b.c/x", "a-b.c", "x", "latest", NULL},
        {"5000/x", "docker.io", "5000/x", "latest", NULL},
        {"localhost:5000", "docker.io", "library/localhost", "5000", NULL},
        {HEX64 ":x", "docker.io", "library/" HEX64, "x", NULL},
    };

    (void)state;
    for (size_t i = 0; i < countof(rows); i++) {
        struct image_ref cleanup_image_ref ref = {0};
        struct err err = {0};
        if (image_ref_parse(rows[i].text, &ref, &err) < 0)
            fail_msg("%s: %s", rows[i].text, err.msg);
        assert_string_equal(ref.domain, rows[i].domain);
        assert_string_equal(ref.path, rows[i].path);
        assert_string_equal(ref.tag ? ref.tag : "-", rows[i].tag ? rows[i].tag : "-");
        assert_string_equal(ref.digest ? ref.digest : "-", rows[i].digest ? rows[i].digest : "-");

        /* what is normal stays as it is */
        struct image_ref cleanup_image_ref again = {0};
        char *cleanup_free text = image_ref_text(&ref);
        assert_int_equal(image_ref_parse(text, &again, &err), 0);
        char *cleanup_free text_again = image_ref_text(&again);
        assert_string_equal(text, text_again);
    }
}

static void bad(void **state)
{
    static const struct {
        const char *text, *says;
    } rows[] = {
        {"", "is empty"},
        {NULL, "is empty"},
        {"Busybox", "lower case"},
        {"Foo/bar", "lower case"},
        {"docker.io/Foo", "lower case"},
        {HEX64, "id, not a reference"},
        {"busybox:", "the tag must be"},
        {"busybox:.x", "the tag must be"},
        {"busybox:-x", "the tag must be"},
        {"busybox:a b", "the tag must be"},
        {"busybox:" X50 X50 X50, "the tag must be"},
        {"busybox@", "not a digest"},
        {"busybox@sha256:123", "not a digest"},
        {"busybox@sha256:" HEX64 "0", "not a digest"},
        {"busybox@md5:" HEX64, "not a digest"},
        {"busybox@sha256:E3B0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855", "not a digest"},
        {"a//b", "repository name must be"},
        {"/a", "repository name must be"},
        {"a/", "repository name must be"},
        {"a..b", "repository name must be"},
        {"a___b", "repository name must be"},
        {"a._b", "repository name must be"},
        {"-a", "repository name must be"},
        {"a-", "repository name must be"},
        {"a/-b", "repository name must be"},
        {"a\nb", "repository name must be"},
        {"r.example/", "no repository name"},
        {":tag", "no repository name"},
        {"@sha256:" HEX64, "no repository name"},
        {"-r.example/a", "host name"},
        {"r-.example/a", "host name"},
        {"r..example/a", "host name"},
        {".r/a", "host name"},
        {"r./a", "host name"},
        {"r:/a", "host name"},
        {"r:123456/a", "host name"},
        {"r:5x/a", "host name"},
        {"[::1/a", "host name"},
        {"[]:5/a", "host name"},
        {"[::1]5/a", "host name"},
        {"r_x.example/a", "host name"},
        {"https://r.example/a", "host name"},
        {"r.example/" X50 X50 X50 X50 X50 X50, "longer than 255"},
        {X50 X50 X50 X50 X50 X50 X50 X50 X50 X50 X50, "longer than any"},
    };

    (void)state;
    for (size_t i = 0; i < countof(rows); i++) {
        struct image_ref ref = {0};
        struct err err = {0};
        assert_int_equal(image_ref_parse(rows[i].text, &ref, &err), -22);
        assert_int_equal(err.grpc, GRPC_INVALID_ARGUMENT);
        if (!strstr(err.msg, rows[i].says))
            fail_msg("%s: \"%s\" does not say \"%s\"", rows[i].text, err.msg, rows[i].says);
        assert_null(strchr(err.msg, '\n'));
        assert_null(ref.domain);
    }
}

static void forms(void **state)
{
    struct image_ref cleanup_image_ref ref = {0};
    struct image_ref cleanup_image_ref bare = {0};
    struct err err;

    (void)state;
    assert_int_equal(image_ref_parse("busybox:1@sha256:" HEX64, &ref, &err), 0);
    char *cleanup_free name = image_ref_name(&ref), *cleanup_free tagged = image_ref_tagged(&ref);
    char *cleanup_free own = image_ref_digested(&ref, NULL);
    char *cleanup_free other = image_ref_digested(&ref, "sha256:00");
    assert_string_equal(name, "docker.io/library/busybox");
    assert_string_equal(tagged, "docker.io/library/busybox:1");
    assert_string_equal(own, "docker.io/library/busybox@sha256:" HEX64);
    assert_string_equal(other, "docker.io/library/busybox@sha256:00");
    assert_string_equal(image_ref_reference(&ref), "sha256:" HEX64);

    assert_int_equal(image_ref_parse("busybox", &bare, &err), 0);
    assert_null(image_ref_digested(&bare, NULL));
    assert_string_equal(image_ref_reference(&bare), "latest");
    assert_string_equal(image_ref_host("docker.io"), "registry-1.docker.io");
    assert_string_equal(image_ref_host("r.example:5000"), "r.example:5000");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(good),
        cmocka_unit_test(bad),
        cmocka_unit_test(forms),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
