/* Real overlays below a temporary directory. Needs root and a file system that may be an overlay's upper. */
#include "loop/rootfs.c"
#define flags   overlay_flags
#define options overlay_options
#include "core/overlay.c"
#undef flags
#undef options
#include "core/file.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <cmocka.h>
#include <time.h>

static char base[64];
static struct loop *loop;

struct outcome {
    int calls;
    bool ok;
    struct err err;
    uint32_t uid, gid;
    size_t groups_n;
    uint32_t groups[8];
    char home[64];
};

static char *at(const char *name)
{
    static char path[128][256]; /* each lives through its test */
    static unsigned i;
    char *p = path[i++ % countof(path)];

    snprintf(p, sizeof(path[0]), "%s/%s", base, name);
    return p;
}

static void make_dir(const char *name)
{
    if (mkdir(at(name), 0755) < 0)
        assert_int_equal(errno, EEXIST);
}

static void put(const char *name, const char *text)
{
    FILE *f = fopen(at(name), "we");
    assert_non_null(f);
    fputs(text, f);
    fclose(f);
}

static char *get(const char *name)
{
    char *text = NULL;
    int fd = open(at(name), O_RDONLY | O_CLOEXEC);
    char data[256] = "";

    if (fd < 0)
        return NULL;
    assert_true(read(fd, data, sizeof(data) - 1) >= 0);
    close(fd);
    text = strdup(data);
    return text;
}

static void on_prepared(void *data, struct image_user *user, const struct err *err)
{
    struct outcome *o = data;

    o->calls++;
    o->ok = !err;
    assert_true(!user == !!err);
    if (err)
        o->err = *err;
    if (user) {
        o->uid = user->uid;
        o->gid = user->gid;
        o->groups_n = user->groups_n;
        for (size_t i = 0; i < user->groups_n && i < countof(o->groups); i++)
            o->groups[i] = user->groups[i];
        snprintf(o->home, sizeof(o->home), "%s", user->home);
    }
    loop_stop(loop);
}

static void on_removed(void *data, const struct err *err)
{
    struct outcome *o = data;

    o->calls++;
    o->ok = !err;
    if (err)
        o->err = *err;
    loop_stop(loop);
}

static struct outcome prepare_it(const struct rootfs_spec *s)
{
    struct outcome o = {0};
    struct err err = {0};

    if (rootfs_prepare(loop, s, on_prepared, &o, NULL, &err) < 0) {
        o.err = err;
        return o;
    }
    assert_int_equal(o.calls, 0); /* never before it returns */
    loop_run(loop);
    assert_int_equal(o.calls, 1);
    return o;
}

static struct outcome remove_with(const char *bundle)
{
    struct outcome o = {0};
    struct err err = {0};

    assert_int_equal(rootfs_remove(loop, at("data/c1"), at("state/c1/rootfs"), bundle, on_removed, &o, &err),
                     0);
    loop_run(loop);
    assert_int_equal(o.calls, 1);
    return o;
}

static struct outcome remove_it(void)
{
    return remove_with(NULL);
}

static bool is_mounted(void)
{
    cleanup_buf struct buf b = {0};

    assert_int_equal(file_read("/proc/self/mountinfo", 4 << 20, &b, NULL), 0);
    return strstr(b.data, at("state/c1/rootfs")) != NULL;
}

static int set_up(void **state)
{
    (void)state;
    snprintf(base, sizeof(base), "/var/tmp/cricket-rootfs-XXXXXX");
    assert_non_null(mkdtemp(base));
    make_dir("lower1");
    make_dir("lower1/etc");
    make_dir("lower2");
    make_dir("lower2/etc");
    put("lower1/etc/passwd", "root:x:0:0::/root:/bin/sh\napp:x:1000:1001::/home/app:\n");
    put("lower1/etc/group", "wheel:x:10:app\n");
    put("lower1/which", "first");
    put("lower2/which", "second");
    assert_int_equal(chmod(at("lower2"), 0751), 0);
    return 0;
}

static int tear_down(void **state)
{
    struct err err = {0};

    (void)state;
    umount2(at("state/c1/rootfs"), MNT_DETACH);
    if (tree_remove(base, &err) < 0)
        fail_msg("%s", err.msg);
    assert_int_equal(child_count(), 0);
    return 0;
}

static struct rootfs_spec usual(const char *const *layers, const struct image_user_spec *user, const char *cwd)
{
    static char data[256], target[256];

    snprintf(data, sizeof(data), "%s", at("data/c1"));
    snprintf(target, sizeof(target), "%s", at("state/c1/rootfs"));
    return (struct rootfs_spec){
        .name = "c1", .layers = layers, .data_dir = data, .target = target, .user = user, .working_dir = cwd};
}

static void mounts_layers_and_finds_the_user(void **state)
{
    const char *layers[] = {at("lower1"), at("lower2"), NULL};
    const struct image_user_spec app = {.image_user = "app"};
    struct rootfs_spec s = usual(layers, &app, "/srv/deep/dir");
    struct stat st;
    char *which;

    (void)state;
    struct outcome o = prepare_it(&s);
    assert_string_equal(o.err.msg, "");
    assert_true(o.ok && is_mounted());
    assert_int_equal(o.uid, 1000);
    assert_int_equal(o.gid, 1001);
    assert_int_equal(o.groups_n, 2);
    assert_int_equal(o.groups[0], 1001);
    assert_int_equal(o.groups[1], 10);
    assert_string_equal(o.home, "/home/app");
    which = get("state/c1/rootfs/which");
    assert_string_equal(which, "second");
    free(which);
    assert_int_equal(stat(at("state/c1/rootfs/srv/deep/dir"), &st), 0);
    assert_int_equal(st.st_mode & 07777, 0755);
    assert_int_equal(stat(at("state/c1/rootfs"), &st), 0);
    assert_int_equal(st.st_mode & 07777, 0751); /* of the uppermost layer */
    put("state/c1/rootfs/new", "x");
    assert_int_not_equal(access(at("lower2/new"), F_OK), 0);
    assert_int_not_equal(access(at("lower2/srv"), F_OK), 0);

    o = remove_it();
    assert_true(o.ok);
    assert_false(is_mounted());
    assert_int_not_equal(access(at("data/c1"), F_OK), 0);
    assert_int_not_equal(access(at("state/c1/rootfs"), F_OK), 0);
    assert_int_equal(access(at("lower1/etc/passwd"), F_OK), 0);
    o = remove_it(); /* twice is once */
    assert_true(o.ok);
}

static void the_bundle_goes_last(void **state)
{
    const char *layers[] = {at("lower1"), NULL};
    struct rootfs_spec s = usual(layers, NULL, NULL);

    (void)state;
    assert_true(prepare_it(&s).ok);
    put("state/c1/config.json", "{}");
    make_dir("data/c1/busy");
    assert_int_equal(mount("tmpfs", at("data/c1/busy"), "tmpfs", 0, NULL), 0);
    struct outcome o = remove_with(at("state/c1"));
    assert_false(o.ok);
    assert_non_null(strstr(o.err.msg, "busy"));
    assert_false(is_mounted());
    assert_int_equal(access(at("state/c1/config.json"), F_OK), 0); /* what a retry may need */
    assert_int_equal(umount2(at("data/c1/busy"), 0), 0);
    assert_true(remove_with(at("state/c1")).ok);
    assert_int_not_equal(access(at("state/c1"), F_OK), 0);
    assert_int_not_equal(access(at("data/c1"), F_OK), 0);
    assert_int_equal(access(at("state"), F_OK), 0);
    assert_true(remove_with(at("state/c1")).ok);
}

static void prepares_again_after_a_crash(void **state)
{
    const char *layers[] = {at("lower1"), NULL};
    struct rootfs_spec s = usual(layers, NULL, NULL);

    (void)state;
    assert_true(prepare_it(&s).ok);
    put("state/c1/rootfs/left", "x");
    assert_int_equal(umount2(at("state/c1/rootfs"), 0), 0);
    assert_true(prepare_it(&s).ok); /* the volatile mark of the first is no hindrance */
    assert_int_not_equal(access(at("state/c1/rootfs/left"), F_OK), 0);
    assert_true(remove_it().ok);
}

static void mounts_as_many_as_the_kernel_takes(void **state)
{
    enum { MANY = 500 };
    const char **layers = mem_alloc((MANY + 2) * sizeof(*layers));
    struct rootfs_spec s = usual(layers, NULL, NULL);
    char name[64];

    (void)state;
    for (int i = 0; i < MANY; i++) {
        snprintf(name, sizeof(name), "l%d", i);
        make_dir(name);
        layers[i] = mem_strdup(at(name));
        snprintf(name, sizeof(name), "l%d/f%d", i, i);
        put(name, "x");
    }
    struct outcome o = prepare_it(&s);
    assert_string_equal(o.err.msg, "");
    assert_int_equal(access(at("state/c1/rootfs/f0"), F_OK), 0);
    assert_int_equal(access(at("state/c1/rootfs/f499"), F_OK), 0);
    assert_true(remove_it().ok);
    layers[MANY] = mem_strdup(layers[0]);
    o = prepare_it(&s);
    assert_false(o.ok);
    assert_int_equal(o.err.grpc, GRPC_INVALID_ARGUMENT);
    assert_true(remove_it().ok);
    for (int i = 0; i <= MANY; i++)
        free((char *)(uintptr_t)layers[i]);
    free(layers);
}

/* In a fork, as it changes directory. */
static int run_old(void *arg, int out_fd)
{
    struct err err = {0};
    const struct overlay_spec *o = arg;
    size_t n = 0;

    (void)out_fd;
    while (o->layers[n])
        n++;
    int r = mount_old(o, n, &err);
    if (r < 0)
        dprintf(2, "%s\n", err.msg);
    return r < 0;
}

static void on_old_done(void *data, struct child_result *result)
{
    struct err *err = data;
    (void)!child_check(result, "old mount", err);
    loop_stop(loop);
}

static void mounts_the_old_way_as_well(void **state)
{
    const char *layers[] = {at("lower1"), at("lower2"), NULL};
    make_dir("u");
    make_dir("w");
    make_dir("m");
    char *upper = strdup(at("u")), *work = strdup(at("w")), *target = strdup(at("m"));
    struct overlay_spec o = {.layers = layers, .upper = upper, .work = work, .target = target};
    const struct child_spec cs = {.name = "old", .run = run_old, .arg = &o};
    struct err err = {0};

    (void)state;
    assert_int_equal(child_start(loop, &cs, on_old_done, &err, NULL, &err), 0);
    loop_run(loop);
    assert_string_equal(err.msg, "");
    char *which = get("m/which");
    assert_string_equal(which, "second");
    free(which);
    assert_int_equal(access(at("m/etc/passwd"), F_OK), 0);
    assert_int_equal(umount2(target, 0), 0);
    free(upper);
    free(work);
    free(target);
}

static void an_image_without_layers_is_empty(void **state)
{
    struct rootfs_spec s = usual(NULL, NULL, "/work");

    (void)state;
    struct outcome o = prepare_it(&s);
    assert_true(o.ok);
    assert_int_equal(o.uid, 0);
    assert_int_equal(access(at("state/c1/rootfs/work"), F_OK), 0);
    assert_true(remove_it().ok);
}

static void links_of_the_image_stay_inside(void **state)
{
    const char *layers[] = {at("lower1"), NULL};
    const struct image_user_spec evil = {.image_user = "evil"};

    (void)state;
    /* /etc/passwd points at a file of the host; /work at a directory of the host, /self through ".." */
    put("passwd", "evil:x:666:666::/:\n");
    assert_int_equal(unlink(at("lower1/etc/passwd")), 0);
    assert_int_equal(symlink(at("passwd"), at("lower1/etc/passwd")), 0);
    assert_int_equal(symlink(base, at("lower1/work")), 0);
    assert_int_equal(symlink("../../../../../../tmp", at("lower1/up")), 0);
    struct rootfs_spec s = usual(layers, &evil, NULL);
    struct outcome o = prepare_it(&s);
    assert_false(o.ok);
    assert_non_null(strstr(o.err.msg, "evil"));
    assert_int_equal(o.err.grpc, GRPC_INVALID_ARGUMENT);
    assert_true(remove_it().ok);

    s = usual(layers, NULL, "/work/escaped");
    o = prepare_it(&s); /* a link to a place that is not there */
    assert_false(o.ok);
    assert_int_not_equal(access(at("escaped"), F_OK), 0);
    assert_true(remove_it().ok);

    s = usual(layers, NULL, "/etc/group/x");
    o = prepare_it(&s);
    assert_false(o.ok);
    assert_non_null(strstr(o.err.msg, "no directory"));
    assert_true(remove_it().ok);

    make_dir("lower1/tmp");
    s = usual(layers, NULL, "/up/cricket-never-outside");
    o = prepare_it(&s);
    assert_true(o.ok);
    assert_int_not_equal(access("/tmp/cricket-never-outside", F_OK), 0);
    assert_int_equal(access(at("state/c1/rootfs/tmp/cricket-never-outside"), F_OK), 0);
    assert_true(remove_it().ok);
}

static void no_file_of_the_image_holds_it_up(void **state)
{
    const char *layers[] = {at("lower1"), NULL};
    const struct image_user_spec number = {.image_user = "12"};
    struct rootfs_spec s = usual(layers, &number, NULL);

    (void)state;
    assert_int_equal(unlink(at("lower1/etc/passwd")), 0);
    assert_int_equal(mkfifo(at("lower1/etc/passwd"), 0644), 0);
    assert_true(prepare_it(&s).ok);
    assert_true(remove_it().ok);

    assert_int_equal(unlink(at("lower1/etc/passwd")), 0);
    put("lower1/etc/passwd", "");
    assert_int_equal(truncate(at("lower1/etc/passwd"), IMAGE_USER_FILE_MAX + 1), 0);
    struct outcome o = prepare_it(&s);
    assert_false(o.ok);
    assert_non_null(strstr(o.err.msg, "/etc/passwd"));
    assert_true(remove_it().ok);
}

static void errors_name_the_object(void **state)
{
    const char *layers[] = {at("nowhere"), NULL};
    const struct image_user_spec group_only = {.gid_set = true, .gid = 5};
    struct rootfs_spec s = usual(layers, NULL, NULL);

    (void)state;
    struct outcome o = prepare_it(&s);
    assert_false(o.ok);
    assert_non_null(strstr(o.err.msg, "c1"));
    assert_non_null(strstr(o.err.msg, "nowhere"));
    assert_true(remove_it().ok);
    s.user = &group_only;
    o = prepare_it(&s);
    assert_int_equal(o.calls, 0); /* told at once, nothing started */
    assert_int_equal(o.err.grpc, GRPC_INVALID_ARGUMENT);
}

static void a_cancelled_one_completes_and_is_removable(void **state)
{
    const char *layers[] = {at("lower1"), NULL};
    struct rootfs_spec s = usual(layers, NULL, NULL);
    struct outcome o = {0};
    struct child *child;
    struct err err = {0};

    (void)state;
    assert_int_equal(rootfs_prepare(loop, &s, on_prepared, &o, &child, &err), 0);
    child_cancel(child);
    loop_run(loop);
    assert_int_equal(o.calls, 1);
    assert_int_equal(o.err.grpc, GRPC_CANCELLED);
    assert_true(remove_it().ok);
    assert_false(is_mounted());
}

static void how_long_it_takes(void **state)
{
    const char *layers[] = {at("lower1"), at("lower2"), NULL};
    const struct image_user_spec app = {.image_user = "app"};
    struct rootfs_spec s = usual(layers, &app, "/");
    int64_t prepare_us = 0, remove_us = 0;

    (void)state;
    for (int i = 0; i < 20; i++) {
        int64_t t0 = time_monotonic_us();
        assert_true(prepare_it(&s).ok);
        int64_t t1 = time_monotonic_us();
        assert_true(remove_it().ok);
        prepare_us += t1 - t0;
        remove_us += time_monotonic_us() - t1;
    }
    print_message("# prepare %lld us, remove %lld us (mean of 20)\n", (long long)prepare_us / 20,
                  (long long)remove_us / 20);
}

int main(void)
{
    loop = loop_new();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(mounts_layers_and_finds_the_user, set_up, tear_down),
        cmocka_unit_test_setup_teardown(the_bundle_goes_last, set_up, tear_down),
        cmocka_unit_test_setup_teardown(prepares_again_after_a_crash, set_up, tear_down),
        cmocka_unit_test_setup_teardown(mounts_as_many_as_the_kernel_takes, set_up, tear_down),
        cmocka_unit_test_setup_teardown(mounts_the_old_way_as_well, set_up, tear_down),
        cmocka_unit_test_setup_teardown(an_image_without_layers_is_empty, set_up, tear_down),
        cmocka_unit_test_setup_teardown(links_of_the_image_stay_inside, set_up, tear_down),
        cmocka_unit_test_setup_teardown(no_file_of_the_image_holds_it_up, set_up, tear_down),
        cmocka_unit_test_setup_teardown(errors_name_the_object, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_cancelled_one_completes_and_is_removable, set_up, tear_down),
        cmocka_unit_test_setup_teardown(how_long_it_takes, set_up, tear_down),
    };
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    loop_free(loop);
    return failed;
}
