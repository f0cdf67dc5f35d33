#include "core/tar_entry.c"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <cmocka.h>

static void cleans_names(void **state)
{
    static const struct {
        const char *in, *out; /* out NULL: refused */
    } cases[] = {
        {"usr/bin/x", "usr/bin/x"},
        {"./usr/bin/", "usr/bin"},
        {"/etc/passwd", "etc/passwd"},
        {"///a//./b/././", "a/b"},
        {".", ""},
        {"./", ""},
        {"/", ""},
        {"././/.", ""},
        {"...", "..."},
        {"a/..b/b..", "a/..b/b.."},
        {".a/.", ".a"},
        {"a\nb", "a\nb"},
        {"e\xcc\x81\xff", "e\xcc\x81\xff"},
        {"", NULL},
        {"..", NULL},
        {"../../etc/passwd", NULL},
        {"a/../b", NULL},
        {"a/..", NULL},
        {"/..", NULL},
    };
    char path[TAR_PATH_SIZE];

    (void)state;
    for (size_t i = 0; i < countof(cases); i++) {
        struct err err = {0};
        int r = tar_path_clean(cases[i].in, TAR_PATH_MAX, path, &err);
        if (cases[i].out) {
            assert_int_equal(r, 0);
            assert_string_equal(path, cases[i].out);
        } else {
            assert_true(r < 0);
            assert_int_equal(err.grpc, GRPC_DATA_LOSS);
        }
    }
}

static void cleans_in_place(void **state)
{
    char path[TAR_PATH_SIZE] = "/.//abc//def/./g/";

    (void)state;
    assert_int_equal(tar_path_clean(path, TAR_PATH_MAX, path, NULL), 0);
    assert_string_equal(path, "abc/def/g");
}

static void limits_lengths(void **state)
{
    char in[TAR_PATH_SIZE + 100], path[TAR_PATH_SIZE];
    struct err err = {0};

    (void)state;
    memset(in, 'x', 255);
    in[255] = '\0';
    assert_int_equal(tar_path_clean(in, TAR_PATH_MAX, path, NULL), 0);
    in[255] = 'x', in[256] = '\0';
    assert_true(tar_path_clean(in, TAR_PATH_MAX, path, &err) < 0);
    assert_non_null(strstr(err.msg, "255"));

    for (size_t i = 0; i < sizeof(in); i++)
        in[i] = i % 2 ? '/' : 'a';
    in[TAR_PATH_MAX] = '\0'; /* a/a/.../a: 4095 bytes */
    assert_int_equal(tar_path_clean(in, 0xffffffff, path, NULL), 0);
    assert_int_equal(strlen(path), TAR_PATH_MAX);
    in[TAR_PATH_MAX] = '/', in[TAR_PATH_MAX + 1] = 'a', in[TAR_PATH_MAX + 2] = '\0';
    assert_true(tar_path_clean(in, 0xffffffff, path, &err) < 0);
    assert_non_null(strstr(err.msg, "4095"));
    assert_true(tar_path_clean("abcdef", 5, path, &err) < 0);
    assert_int_equal(tar_path_clean("./abcde/", 5, path, NULL), 0); /* what counts is the clean one */
}

static void knows_whiteouts(void **state)
{
    static const struct {
        const char *in;
        int kind;
        const char *out;
    } cases[] = {
        {"etc/passwd", TAR_NO_WHITEOUT, "etc/passwd"},
        {"", TAR_NO_WHITEOUT, ""},
        {"a/.whx", TAR_NO_WHITEOUT, "a/.whx"},
        {".wh.b/x", TAR_NO_WHITEOUT, ".wh.b/x"},
        {"a/.wh.b", TAR_WHITEOUT_NAME, "a/b"},
        {".wh.b", TAR_WHITEOUT_NAME, "b"},
        {"a/.wh..wh..opq", TAR_WHITEOUT_OPAQUE, "a"},
        {"a/b/.wh..wh..opq", TAR_WHITEOUT_OPAQUE, "a/b"},
        {".wh..wh..opq", TAR_WHITEOUT_OPAQUE, ""},
        {".wh..wh.plnk", TAR_WHITEOUT_OTHER, NULL},
        {".wh..wh.plnk/12.34", TAR_WHITEOUT_OTHER, NULL},
        {"a/.wh..wh.aufs", TAR_WHITEOUT_OTHER, NULL},
        {"a/.wh..hidden", TAR_WHITEOUT_NAME, "a/.hidden"},
        {"a/.wh.", -1, NULL},
        {"a/.wh..", -1, NULL},
        {".wh...", -1, NULL},
    };

    (void)state;
    for (size_t i = 0; i < countof(cases); i++) {
        char path[TAR_PATH_SIZE];
        struct err err = {0};
        strcpy(path, cases[i].in);
        int r = tar_whiteout_take(path, &err);
        if (cases[i].kind < 0) {
            assert_true(r < 0);
            assert_int_equal(err.grpc, GRPC_DATA_LOSS);
            continue;
        }
        assert_int_equal(r, cases[i].kind);
        if (cases[i].out)
            assert_string_equal(path, cases[i].out);
    }
}

static void rules_xattrs(void **state)
{
    char longest[400];

    (void)state;
    assert_int_equal(tar_xattr_rule("security.capability"), TAR_XATTR_REQUIRED);
    assert_int_equal(tar_xattr_rule("user.mime"), TAR_XATTR_OPTIONAL);
    assert_int_equal(tar_xattr_rule("trusted.x"), TAR_XATTR_OPTIONAL);
    assert_int_equal(tar_xattr_rule("system.posix_acl_access"), TAR_XATTR_OPTIONAL);
    assert_int_equal(tar_xattr_rule("trusted.overlay.redirect"), TAR_XATTR_DROP);
    assert_int_equal(tar_xattr_rule("user.overlay.opaque"), TAR_XATTR_DROP);
    assert_int_equal(tar_xattr_rule("security.selinux"), TAR_XATTR_DROP);
    assert_int_equal(tar_xattr_rule("com.apple.quarantine"), TAR_XATTR_DROP);
    assert_int_equal(tar_xattr_rule(""), TAR_XATTR_DROP);
    memset(longest, 'u', sizeof(longest) - 1);
    longest[sizeof(longest) - 1] = '\0';
    memcpy(longest, "user.", 5);
    assert_int_equal(tar_xattr_rule(longest), TAR_XATTR_DROP);
}

static void checks_limits(void **state)
{
    struct tar_limits l = tar_limits_with_defaults((struct tar_limits){.max_path = 9999});
    struct err err = {0};

    (void)state;
    assert_int_equal(l.max_files, 1000000);
    assert_int_equal(l.max_bytes, (uint64_t)64 << 30);
    assert_int_equal(l.max_path, TAR_PATH_MAX);
    l = tar_limits_with_defaults((struct tar_limits){.max_files = 3, .max_bytes = 10, .max_path = 7});
    assert_int_equal(l.max_path, 7);
    assert_int_equal(tar_limits_check(&l, 3, 10, NULL), 0);
    assert_true(tar_limits_check(&l, 4, 10, &err) < 0);
    assert_int_equal(err.grpc, GRPC_RESOURCE_EXHAUSTED);
    assert_non_null(strstr(err.msg, "3 entries"));
    assert_true(tar_limits_check(&l, 3, 11, &err) < 0);
    assert_non_null(strstr(err.msg, "10 bytes"));
}

static void quotes_names(void **state)
{
    char q[TAR_QUOTED_SIZE], longest[1000];

    (void)state;
    assert_string_equal(tar_quote("usr/bin/a b", q), "usr/bin/a b");
    assert_string_equal(tar_quote("a\nb\\c\x7f\xc3\xa9", q), "a\\012b\\134c\\177\\303\\251");
    assert_string_equal(tar_quote("", q), "");
    for (int fill = 'x'; fill; fill = fill == 'x' ? '\n' : 0) {
        memset(longest, fill, sizeof(longest) - 1);
        longest[sizeof(longest) - 1] = '\0';
        tar_quote(longest, q);
        assert_true(strlen(q) < TAR_QUOTED_SIZE && strlen(q) > TAR_QUOTED_SIZE - 10);
        assert_string_equal(q + strlen(q) - 3, "...");
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(cleans_names),    cmocka_unit_test(cleans_in_place), cmocka_unit_test(limits_lengths),
        cmocka_unit_test(knows_whiteouts), cmocka_unit_test(rules_xattrs),    cmocka_unit_test(checks_limits),
        cmocka_unit_test(quotes_names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
