/* Layers that are unpacked and wait for the disk: a sync that fails, that hangs, and what has its name by then. */
#include "t/unit/loop/sync_seam.h"

#include "loop/disk_sync.c"

#include "core/log.h"
#include "core/tree.h"
#include "handlers/daemon.h"
#include "handlers/layer_set.h"

#include <dirent.h>
#include <ev.h>
#include <limits.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <cmocka.h>

enum { LAYERS = 5 };

/* main.c has the real one; handlers that this test does not call want it */
struct cni *daemon_cni(const struct daemon *daemon, const char *handler)
{
    (void)daemon;
    (void)handler;
    return NULL;
}

static struct daemon d;
static struct layers *layers;
static struct layer_set set;
static struct loop *shared_loop;
static char root[] = "/tmp/layer-sync-test-XXXXXX", unpack[PATH_MAX];
static char diff_ids[LAYERS][72];
static int begun_before, over_times;
static struct err outcome;

static bool too_late;
static struct timer tick;
static void on_too_late(void *data)
{
    (void)data;
    too_late = true;
}
static void on_tick(void *data)
{
    (void)data;
    timer_start(&tick, d.loop, 0.002, on_tick, NULL); /* what a child does in a file wakes nobody up */
}

static void turn_until(bool (*holds)(void))
{
    struct timer limit = {0};

    too_late = false;
    timer_start(&limit, d.loop, 20, on_too_late, NULL);
    on_tick(NULL);
    while (!holds() && !too_late)
        ev_run(loop_ev(d.loop), EVRUN_ONCE);
    timer_stop(&limit);
    timer_stop(&tick);
    assert_false(too_late);
}

static bool is_over(void)
{
    return over_times;
}

static int begun(void)
{
    return sync_seam_begun() - begun_before;
}

static bool round_runs(void)
{
    return begun() > 0 && set.next == LAYERS && set.unpacking == 0;
}

static bool is_settled(void)
{
    return layers_settled(layers) && child_count() == 0;
}

static int open_source(void *data, size_t job, struct layer_source *source, struct err *err)
{
    cleanup_free char *path = mem_printf("%s/%zu.tar", root, job);

    (void)data;
    (void)err;
    source->fd = open(path, O_RDONLY | O_CLOEXEC);
    return source->fd < 0 ? -errno : 0;
}

static void on_over(void *data, const struct err *err)
{
    (void)data;
    over_times++;
    if (err)
        outcome = *err;
}

static void begin(void)
{
    over_times = 0;
    outcome = (struct err){0};
    begun_before = sync_seam_begun();
    set = (struct layer_set){.layers = layers, .parallel = 2, .open_source = open_source, .on_done = on_over};
    for (int i = 0; i < LAYERS; i++)
        layer_set_add(&set, diff_ids[i], NULL, 0);
    layer_set_start(&set, d.loop);
}

/* Of ROOT/layers, those that are named PREFIX...; "": all. */
static int named(const char *prefix)
{
    cleanup_free char *dir = mem_printf("%s/root/layers", root);
    DIR *dp = opendir(dir);
    int n = 0;

    assert_non_null(dp);
    for (struct dirent *e; (e = readdir(dp));)
        n += e->d_name[0] != '.' && strncmp(e->d_name, prefix, strlen(prefix)) == 0;
    closedir(dp);
    return n;
}

static int count_row(void *data, const char *id, const char *json, const void *blob, size_t n, struct err *err)
{
    (void)id;
    (void)json;
    (void)blob;
    (void)n;
    (void)err;
    ++*(int *)data;
    return 0;
}

static int rows(void)
{
    struct err err;
    int n = 0;

    if (store_each(d.store, "layer", count_row, &n, &err) < 0)
        fail_msg("%s", err.msg);
    return n;
}

static void nothing_is_left(void)
{
    layer_set_done(&set);
    turn_until(is_settled);
    assert_int_equal(named(""), 0);
    assert_int_equal(rows(), 0);
}

static int setup(void **state)
{
    struct err err;
    cleanup_free char *store = mem_printf("%s/store.db", root);

    (void)state;
    sync_seam = SYNC_REAL;
    d = (struct daemon){.loop = shared_loop, .unpack_path = unpack};
    d.config.root = mem_printf("%s/root", root);
    if (store_open(store, &d.store, &err) < 0)
        fail_msg("%s", err.msg);
    layers = layers_new(&d);
    if (layers_load(layers, &err) < 0)
        fail_msg("%s", err.msg);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    turn_until(is_settled);
    layers_free(layers);
    store_close(d.store);
    free(d.config.root);
    return 0;
}

static void has_names_only_after_the_sync(void **state)
{
    (void)state;
    sync_seam = SYNC_BLOCKS;
    begin();
    turn_until(
        round_runs); /* all are unpacked, though only two may be at a time: those that wait do not count */
    assert_int_equal(named(""), named("tmp-"));
    assert_true(named("tmp-") >= LAYERS);
    assert_int_equal(rows(), 0);
    sync_seam = SYNC_REAL;
    sync_seam_release();
    turn_until(is_over);
    assert_int_equal(outcome.grpc, GRPC_OK);
    assert_int_equal(named("tmp-"), 0);
    assert_int_equal(named(""), LAYERS);
    assert_int_equal(rows(), LAYERS);
    assert_true(begun() < LAYERS);
    nothing_is_left();
}

static void leaves_nothing_when_the_sync_fails(void **state)
{
    (void)state;
    sync_seam = SYNC_FAILS;
    sync_seam_errno = EIO;
    begin();
    turn_until(is_over);
    assert_int_equal(outcome.grpc, GRPC_INTERNAL);
    assert_non_null(strstr(outcome.msg, "to disk: Input/output error"));
    assert_non_null(strstr(outcome.msg, "layer sha256:"));
    assert_int_equal(over_times, 1);
    nothing_is_left();

    sync_seam = SYNC_REAL; /* and the next time all is well */
    begin();
    turn_until(is_over);
    assert_int_equal(outcome.grpc, GRPC_OK);
    nothing_is_left();
}

static void is_cancelled_while_the_disk_hangs(void **state)
{
    (void)state;
    sync_seam = SYNC_BLOCKS;
    begin();
    turn_until(round_runs);
    layer_set_cancel(&set);
    assert_int_equal(over_times, 0);
    turn_until(is_over); /* without waiting for the disk */
    assert_int_equal(outcome.grpc, GRPC_CANCELLED);
    assert_int_equal(over_times, 1);
    assert_int_equal(begun(), 1);
    layer_set_done(&set);
    sync_seam_release();
    turn_until(is_settled);
    assert_int_equal(named(""), 0);
}

static int make_archives(void)
{
    cleanup_free char *command = mem_printf(
        "cd %s && for i in 0 1 2 3 4; do mkdir d && echo $i > d/file && tar -cf $i.tar -C d . && rm -r d && "
        "sha256sum < $i.tar | cut -c1-64 > $i.sum || exit 1; done",
        root);

    if (system(command) != 0)
        return -1;
    for (int i = 0; i < LAYERS; i++) {
        cleanup_free char *path = mem_printf("%s/%d.sum", root, i);
        cleanup_fclose FILE *f = fopen(path, "r");
        char hex[65] = "";
        if (!f || fread(hex, 1, 64, f) != 64)
            return -1;
        snprintf(diff_ids[i], sizeof(diff_ids[i]), "sha256:%s", hex);
    }
    return 0;
}

int main(void)
{
    ssize_t n = readlink("/proc/self/exe", unpack, sizeof(unpack) - 1);
    struct err err;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(has_names_only_after_the_sync, setup, teardown),
        cmocka_unit_test_setup_teardown(leaves_nothing_when_the_sync_fails, setup, teardown),
        cmocka_unit_test_setup_teardown(is_cancelled_while_the_disk_hangs, setup, teardown),
    };

    for (int up = 0; n > 0 && up < 4; up++) /* BUILD/t/unit/handlers/layer_sync_test */
        *strrchr(unpack, '/') = '\0';
    strncat(unpack, "/cricket-unpack", sizeof(unpack) - strlen(unpack) - 1);
    if (n <= 0 || log_level_set("error") < 0 || !mkdtemp(root) || make_archives() < 0 || sync_seam_setup() < 0)
        return 1;
    shared_loop = loop_new();
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    loop_free(shared_loop);
    return sync_seam_teardown() < 0 || tree_remove(root, &err) < 0 ? 1 : failed;
}
