#include "loop/curl_lib.c"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <cmocka.h>
#include <string.h>

static void loads_once(void **state)
{
    struct err err;
    (void)state;
    assert_null(curl_lib.easy_init);
    assert_int_equal(curl_lib_load(&err), 0);
    struct curl_lib first = curl_lib;
    assert_int_equal(curl_lib_load(&err), 0);
    assert_memory_equal(&first, &curl_lib, sizeof(first));
    CURL *easy = curl_easy_init();
    assert_non_null(easy);
    assert_int_equal(curl_easy_setopt(easy, CURLOPT_URL, "http://x/"), CURLE_OK);
    curl_easy_cleanup(easy);
}

static void a_library_that_lacks_a_function(void **state)
{
    void *self = dlopen(NULL, RTLD_NOW), *f = NULL;
    struct err err;
    (void)state;
    assert_true(find(self, "curl_no_such_function", &f, &err) < 0);
    assert_int_equal(err.grpc, GRPC_FAILED_PRECONDITION);
    assert_non_null(strstr(err.msg, "has no curl_no_such_function: install"));
    assert_null(f);
    dlclose(self);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(loads_once),
        cmocka_unit_test(a_library_that_lacks_a_function),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
