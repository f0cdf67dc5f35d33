/* What a container wants of the host: sources, propagation, devices, the log's directory. As root: it makes mounts and nodes. */
#include "handlers/host_paths.c"

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <sys/mount.h>
#include <unistd.h>
#include <cmocka.h>

static char dir[64];
static struct loop *loop;
static Runtime__V1__ContainerConfig config;
static Runtime__V1__Mount mnt;
static Runtime__V1__Mount *mounts[] = {&mnt};
static Runtime__V1__Device dev;
static Runtime__V1__Device *devs[] = {&dev};
static struct pool pool;
static struct host_devices got;
static struct err err;
static int done;

static int setup(void **state)
{
    (void)state;
    snprintf(dir, sizeof(dir), "/tmp/cricket-host-paths-XXXXXX");
    assert_non_null(mkdtemp(dir));
    config = (Runtime__V1__ContainerConfig)RUNTIME__V1__CONTAINER_CONFIG__INIT;
    mnt = (Runtime__V1__Mount)RUNTIME__V1__MOUNT__INIT;
    dev = (Runtime__V1__Device)RUNTIME__V1__DEVICE__INIT;
    config.mounts = mounts;
    config.devices = devs;
    return 0;
}

static int teardown(void **state)
{
    cleanup_free char *command = mem_printf("rm -r %s", dir);

    (void)state;
    pool_done(&pool);
    return system(command);
}

static void on_done(void *data, const struct host_devices *devices, const struct err *e)
{
    (void)data;
    got = devices ? *devices : (struct host_devices){0};
    err = e ? *e : (struct err){0};
    done++;
    loop_stop(loop);
}

/* The child's time limit ends a wait that would be for ever. */
static int prepare(const char *log_path, bool all)
{
    struct err start;

    done = 0;
    assert_int_equal(host_paths_prepare(loop, &config, log_path, all, &pool, on_done, NULL, NULL, &start), 0);
    assert_int_equal(done, 0);
    loop_run(loop);
    assert_int_equal(done, 1);
    return err_errno(&err);
}

static char *in_dir(const char *name)
{
    return pool_printf(&pool, "%s/%s", dir, name);
}

static void sources(void **state)
{
    struct stat st;

    (void)state;
    config.n_mounts = 1;
    mnt.host_path = in_dir("a/b");
    assert_int_equal(prepare(in_dir("log/pod/0.log"), false), 0);
    assert_int_equal(stat(mnt.host_path, &st), 0); /* as containerd makes it */
    assert_true(S_ISDIR(st.st_mode));
    assert_int_equal(access(in_dir("log/pod"), F_OK), 0);
    assert_true(access(in_dir("log/pod/0.log"), F_OK) < 0);
    mnt.host_path = "/proc/1/status/x"; /* below a file */
    assert_true(prepare(NULL, false) < 0);
    assert_non_null(strstr(err.msg, "/proc/1/status/x"));
    mnt.host_path = "/proc/absent/x"; /* where nothing can be made */
    assert_true(prepare(NULL, false) < 0);
    assert_non_null(strstr(err.msg, "/proc/absent"));
}

static void propagation(void **state)
{
    char *place = in_dir("a place"); /* mountinfo escapes the space */

    (void)state;
    config.n_mounts = 1;
    assert_int_equal(mkdir(place, 0755), 0);
    if (mount("tmpfs", place, "tmpfs", 0, "size=64k") < 0)
        skip();
    mnt.host_path = pool_printf(&pool, "%s/sub", place);
    for (int mode = 0; mode < 3; mode++) { /* PRIVATE, HOST_TO_CONTAINER, BIDIRECTIONAL */
        mnt.propagation = (Runtime__V1__MountPropagation)mode;
        assert_int_equal(mount(NULL, place, NULL, MS_PRIVATE, NULL), 0);
        if (mode == 0) {
            assert_int_equal(prepare(NULL, false), 0);
        } else {
            assert_true(prepare(NULL, false) < 0);
            assert_int_equal(err.grpc, GRPC_FAILED_PRECONDITION);
            assert_non_null(strstr(err.msg, place)); /* the mount to be changed */
        }
        assert_int_equal(mount(NULL, place, NULL, MS_SHARED, NULL), 0);
        if (prepare(NULL, false) < 0)
            fail_msg("%s", err.msg);
    }
    assert_int_equal(umount(place), 0);
}

static void one_device(void **state)
{
    (void)state;
    config.n_devices = 1;
    dev.host_path = "/dev/null";
    assert_int_equal(prepare(NULL, false), 0);
    assert_int_equal(got.n, 1);
    assert_string_equal(got.items[0].path, "/dev/null");
    assert_string_equal(got.items[0].permissions, "rwm");
    assert_true(got.items[0].type == 'c' && got.items[0].major == 1 && got.items[0].minor == 3);
    assert_int_equal(got.items[0].file_mode, 0666);
    dev.container_path = "/dev/a b";
    dev.permissions = "r";
    assert_int_equal(prepare(NULL, false), 0);
    assert_string_equal(got.items[0].path, "/dev/a b");
    assert_string_equal(got.items[0].permissions, "r");
}

static void a_directory_of_devices(void **state)
{
    (void)state;
    config.n_devices = 1;
    dev.host_path = in_dir("devs");
    dev.container_path = "/dev/mine";
    assert_int_equal(mkdir(dev.host_path, 0755), 0);
    assert_int_equal(mkdir(in_dir("devs/sub"), 0755), 0);
    if (mknod(in_dir("devs/sub/n"), S_IFCHR | 0600, makedev(1, 5)) < 0)
        skip();
    assert_int_equal(mknod(in_dir("devs/pipe"), S_IFIFO | 0600, 0), 0); /* no device */
    assert_int_equal(prepare(NULL, false), 0);
    assert_int_equal(got.n, 1);
    assert_string_equal(got.items[0].path, "/dev/mine/sub/n");
    assert_int_equal(got.items[0].minor, 5);
}

static void all_devices(void **state)
{
    bool null = false;

    (void)state;
    assert_int_equal(prepare(NULL, true), 0);
    for (size_t i = 0; i < got.n; i++) {
        null |= strcmp(got.items[i].path, "/dev/null") == 0;
        assert_true(strncmp(got.items[i].path, "/dev/", 5) == 0);
        assert_true(strncmp(got.items[i].path, "/dev/pts", 8) != 0);
        assert_string_not_equal(got.items[i].path, "/dev/console");
    }
    assert_true(null);
}

static void refused_devices(void **state)
{
    static const struct {
        const char *host, *container, *permissions, *words;
    } rows[] = {
        {"/dev/null", "", "x", "\"x\""},
        {"/dev/null", "", "rwmrwmrwm", "rwmrwmrwm"},
        {"/dev/null", "relative", "", "relative"},
        {"/dev/null", "/dev/a\nc 1 1 666 0 0 rwm /dev/mem", "", "container_path"}, /* would be a second one */
        {"/etc/passwd", "", "", "/etc/passwd"},
        {"/dev/absent", "", "", "/dev/absent"},
    };

    (void)state;
    config.n_devices = 1;
    for (size_t i = 0; i < countof(rows); i++) {
        dev.host_path = (char *)(uintptr_t)rows[i].host;
        dev.container_path = (char *)(uintptr_t)rows[i].container;
        dev.permissions = (char *)(uintptr_t)rows[i].permissions;
        assert_true(prepare(NULL, false) < 0);
        assert_int_equal(err.grpc, GRPC_INVALID_ARGUMENT);
        assert_non_null(strstr(err.msg, rows[i].words));
        assert_int_equal(got.n, 0);
    }
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
    const struct CMUnitTest tests[] = {T(sources),     T(propagation),
                                       T(one_device),  T(a_directory_of_devices),
                                       T(all_devices), T(refused_devices)};
#undef T

    signal(SIGPIPE, SIG_IGN);
    loop = loop_new();
    int r = cmocka_run_group_tests(tests, NULL, NULL);
    loop_free(loop);
    return r;
}
