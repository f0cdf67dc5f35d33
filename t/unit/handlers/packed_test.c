/* packed.c with a call's arena of our own: one block. */
#include "handlers/packed.c"
#include "proto/cri.pb-c.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

static void *arena;

void *rpc_alloc(struct rpc *rpc, size_t size)
{
    (void)rpc;
    assert_null(arena);
    return arena = calloc(1, size);
}

/* A reply whose only container has this id and this state. */
static struct rpc_piece make(struct packed *p, char *id, int state)
{
    Runtime__V1__ListContainersResponse r = RUNTIME__V1__LIST_CONTAINERS_RESPONSE__INIT;
    Runtime__V1__Container c = RUNTIME__V1__CONTAINER__INIT, *item = &c;
    struct rpc_piece piece;

    c.id = id;
    c.state = (Runtime__V1__ContainerState)state;
    r.n_containers = 1;
    r.containers = &item;
    packed_make(p, state, NULL, &r.base, &piece);
    return piece;
}

static void one_state_only(void **state)
{
    struct packed p = {0};
    struct rpc_piece piece, again;

    (void)state;
    assert_false(packed_find(&p, 0, &again));
    piece = make(&p, "a", 0);
    assert_true(packed_find(&p, 0, &again));
    assert_ptr_equal(again.p, piece.p);
    assert_int_equal(again.n, piece.n);
    assert_false(packed_find(&p, 1, &again));
    make(&p, "a", 1); /* frees the first: the sanitizers see it */
    assert_true(packed_find(&p, 1, &again));
    assert_false(packed_find(&p, 0, &again));
    packed_done(&p);
    assert_false(packed_find(&p, 1, &again));
    packed_done(&p);
}

static void pieces_are_the_whole_list(void **state)
{
    static char *const ids[] = {"one", "", "th\xffree"};
    struct packed p[3] = {0};
    uint8_t whole[200];
    size_t n = 0;

    (void)state;
    for (size_t i = 0; i < countof(ids); i++) {
        char id[10];
        snprintf(id, sizeof(id), "%s", ids[i]);
        struct rpc_piece piece = make(&p[i], id, (int)i);
        memcpy(whole + n, piece.p, piece.n);
        n += piece.n;
    }
    Runtime__V1__ListContainersResponse *r = runtime__v1__list_containers_response__unpack(NULL, n, whole);
    assert_non_null(r);
    assert_int_equal(r->n_containers, 3);
    assert_string_equal(r->containers[0]->id, "one");
    assert_string_equal(r->containers[1]->id, "");
    assert_string_equal(r->containers[2]->id, "th?ree"); /* clients refuse a list for one such string */
    assert_int_equal(r->containers[2]->state, 2);
    runtime__v1__list_containers_response__free_unpacked(r, NULL);
    for (size_t i = 0; i < countof(ids); i++)
        packed_done(&p[i]);
}

static void large_ones_are_not_kept(void **state)
{
    struct packed p = {0};
    struct rpc_piece piece;
    char *id = calloc(1, PACKED_MAX + 1);

    (void)state;
    memset(id, 'x', PACKED_MAX);
    make(&p, "small", 0);
    piece = make(&p, id, 0);
    assert_ptr_equal(piece.p, arena);
    assert_true(piece.n > PACKED_MAX);
    assert_int_equal(piece.p[piece.n - 1], 'x');
    assert_false(packed_find(&p, 0, &piece)); /* nor the one from before */
    id[PACKED_MAX - 20] = '\0';
    make(&p, id, 0);
    assert_true(packed_find(&p, 0, &piece));
    packed_done(&p);
    free(id);
    free(arena);
    arena = NULL;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_state_only),
        cmocka_unit_test(pieces_are_the_whole_list),
        cmocka_unit_test(large_ones_are_not_kept),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
