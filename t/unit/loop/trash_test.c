#include "loop/trash.c"

#include <ev.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <sys/stat.h>
#include <cmocka.h>

static bool over;
static void on_over(void *data)
{
    (void)data;
    over = true;
}

static void removes_trees_in_batches(void **state)
{
    char root[] = "/tmp/trash-test-XXXXXX", path[256];
    struct loop *l = loop_new();
    struct trash *t = trash_new(l);
    struct timer limit = {0};

    (void)state;
    assert_non_null(mkdtemp(root));
    trash_add(t, "/tmp/trash-test-absent");
    for (int i = 0; i < 3 * TREES_AT_ONCE; i++) {
        snprintf(path, sizeof(path), "%s/%d", root, i);
        assert_int_equal(mkdir(path, 0700), 0);
        snprintf(path, sizeof(path), "%s/%d/in", root, i);
        assert_int_equal(mkdir(path, 0700), 0);
        snprintf(path, sizeof(path), "%s/%d", root, i);
        trash_add(t, path);
    }
    assert_false(trash_is_empty(t));
    timer_start(&limit, l, 20, on_over, NULL);
    while (!trash_is_empty(t) && !over)
        ev_run(loop_ev(l), EVRUN_ONCE);
    timer_stop(&limit);
    assert_false(over);
    assert_int_equal(rmdir(root), 0); /* empty */

    trash_add(t, "/tmp/trash-test-absent"); /* freed while a child runs, and while something waits */
    while (!t->child)
        ev_run(loop_ev(l), EVRUN_ONCE);
    trash_add(t, "/tmp/trash-test-absent");
    trash_free(t);
    while (child_count())
        ev_run(loop_ev(l), EVRUN_ONCE);
    loop_free(l);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(removes_trees_in_batches)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
