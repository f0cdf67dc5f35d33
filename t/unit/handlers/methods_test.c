#include "handlers/methods.c"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

static const ProtobufCServiceDescriptor *const services[] = {
    &runtime__v1__runtime_service__descriptor,
    &runtime__v1__image_service__descriptor,
    &cricket__v1__cricket__descriptor,
};

static int setup(void **state)
{
    (void)state;
    methods_init();
    return 0;
}

static size_t rows_of(const ProtobufCMethodDescriptor *d)
{
    size_t n = 0;

    for (size_t i = 0; method_at(i); i++)
        n += method_at(i)->descriptor == d;
    return n;
}

static void test_each_method_of_the_protos_has_one_row(void **state)
{
    size_t n = 0;

    (void)state;
    for (size_t s = 0; s < countof(services); s++)
        for (unsigned i = 0; i < services[s]->n_methods; i++, n++)
            assert_int_equal(rows_of(&services[s]->methods[i]), 1);
    assert_null(method_at(n));
    assert_int_equal(n, 43 + 1);
}

static void test_paths(void **state)
{
    char path[128];

    (void)state;
    for (size_t i = 0; method_at(i); i++) {
        const struct method *m = method_at(i);
        snprintf(path, sizeof(path), "/%s/%s", m->service->name, m->name);
        assert_string_equal(m->path, path);
        assert_string_equal(m->descriptor->name, m->name);
        assert_ptr_equal(method_find(path), m);
    }
    assert_null(method_find("/runtime.v1.RuntimeService/"));
    assert_null(method_find("/runtime.v1.RuntimeService/version"));
    assert_null(method_find("/runtime.v1alpha2.RuntimeService/Version"));
    assert_null(method_find(""));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_each_method_of_the_protos_has_one_row),
        cmocka_unit_test(test_paths),
    };
    return cmocka_run_group_tests(tests, setup, NULL);
}
