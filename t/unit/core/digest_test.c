#include "core/digest.c"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <cmocka.h>

static void sums_in_pieces(void **state)
{
    char text[DIGEST_MAX + 1], whole[DIGEST_MAX + 1];
    struct digest *d = digest_new(NULL);

    (void)state;
    digest_add(d, "a", 1);
    digest_add(d, "bc", 2);
    digest_end(d, text);
    assert_string_equal(text, "sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    digest_of("abc", 3, whole);
    assert_string_equal(text, whole);
    d = digest_new("sha512:whatever");
    digest_add(d, "abc", 3);
    digest_end(d, text);
    assert_memory_equal(text, "sha512:ddaf35a193617aba", 23);
    assert_true(digest_is_valid(text));
    digest_end(NULL, text);
    assert_string_equal(text, "");
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(sums_in_pieces)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
