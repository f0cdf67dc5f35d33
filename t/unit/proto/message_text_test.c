#include "proto/message_text.c"
#include "core/cleanup.h"
#include "proto/cri.pb-c.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <string.h>

static void test_nested_strings_are_found_and_repaired(void **state)
{
    char id[] = "c1", image[] = "b\xffsybox", value[] = "caf\xc3", fine[] = "caf\xc3\xa9";
    Runtime__V1__ImageSpec spec = RUNTIME__V1__IMAGE_SPEC__INIT;
    Runtime__V1__Container c = RUNTIME__V1__CONTAINER__INIT;
    Runtime__V1__Container__LabelsEntry label = RUNTIME__V1__CONTAINER__LABELS_ENTRY__INIT,
                                        *labels[] = {&label};
    Runtime__V1__ListContainersResponse list = RUNTIME__V1__LIST_CONTAINERS_RESPONSE__INIT;
    Runtime__V1__Container *items[] = {&c};
    const char *field = NULL;

    (void)state;
    list.n_containers = 1;
    list.containers = items;
    assert_true(message_text_is_valid(&list.base, &field));
    c.id = id;
    c.image = &spec;
    c.n_labels = 1;
    c.labels = labels;
    label.key = fine;
    label.value = fine;
    assert_true(message_text_is_valid(&list.base, &field));
    assert_null(field);

    label.value = value;
    assert_false(message_text_is_valid(&list.base, &field));
    assert_string_equal(field, "value");
    spec.image = image;
    message_text_repair(&list.base);
    assert_string_equal(image, "b?sybox");
    assert_string_equal(value, "caf?");
    assert_string_equal(fine, "caf\xc3\xa9");
    assert_true(message_text_is_valid(&list.base, NULL));
}

static void test_repeated_strings_are_walked_and_bytes_are_not(void **state)
{
    char a[] = "fine", b[] = "\x80";
    char *command[] = {a, b};
    Runtime__V1__ExecSyncRequest request = RUNTIME__V1__EXEC_SYNC_REQUEST__INIT;
    Runtime__V1__ExecSyncResponse reply = RUNTIME__V1__EXEC_SYNC_RESPONSE__INIT;
    uint8_t raw[] = {0xff, 0xfe};

    (void)state;
    request.n_cmd = 2;
    request.cmd = command;
    assert_false(message_text_is_valid(&request.base, NULL));
    message_text_repair(&request.base);
    assert_string_equal(b, "?");
    reply.stdout.data = raw;
    reply.stdout.len = sizeof(raw);
    assert_true(message_text_is_valid(&reply.base, NULL));
}

static void test_packed_behind_room_with_its_text_repaired(void **state)
{
    char odd[] = "b\xffox";
    Runtime__V1__ImageSpec spec = RUNTIME__V1__IMAGE_SPEC__INIT;
    size_t n = 0;

    (void)state;
    spec.image = odd;
    size_t whole = protobuf_c_message_get_packed_size(&spec.base);
    cleanup_free uint8_t *bytes = message_text_pack(&spec.base, 5, whole, &n);
    assert_non_null(bytes);
    assert_int_equal(n, whole);
    Runtime__V1__ImageSpec *copy = runtime__v1__image_spec__unpack(NULL, n, bytes + 5);
    assert_non_null(copy);
    assert_string_equal(copy->image, "b?ox");
    assert_string_equal(odd, "b\xffox"); /* the message itself is not ours to change */
    runtime__v1__image_spec__free_unpacked(copy, NULL);
    n = 0;
    assert_null(message_text_pack(&spec.base, 5, whole - 1, &n));
    assert_int_equal(n, whole);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_nested_strings_are_found_and_repaired),
        cmocka_unit_test(test_repeated_strings_are_walked_and_bytes_are_not),
        cmocka_unit_test(test_packed_behind_room_with_its_text_repaired),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
