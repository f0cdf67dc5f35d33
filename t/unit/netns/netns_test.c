/* Real namespaces, as root: what is set up in them, and that a failure at any step leaves neither mount nor file. */
#include "netns/netns.c"

#include <arpa/inet.h>
#include <dirent.h>
#include <fcntl.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <sched.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <cmocka.h>
#include "t/unit/loop/one_completion.h"

static char base[64]; /* of this test; must be empty after each */
static struct netns_spec spec;
static char dir[96], shm[96], net_pin[112];
static struct kv_list sysctls;

/* ---- the wait for one completion ----------------------------------------------------------------------------------- */

static struct buf output;

static void on_ran_test(void *data, struct buf *out, const struct err *err)
{
    buf_done(&output);
    output = *out;
    *out = (struct buf){0};
    on_done(data, err);
}

static void pin_ok(void)
{
    struct err err = {0};

    if (netns_pin(loop, &spec, on_done, NULL, &err) < 0)
        fail_msg("%s", err.msg);
    wait_for_it();
    if (got.grpc)
        fail_msg("%s", got.msg);
}

static void pin_fails(int grpc, int sys, const char *says)
{
    struct err err = {0};

    assert_int_equal(netns_pin(loop, &spec, on_done, NULL, &err), 0);
    wait_for_it();
    if (got.grpc != grpc || got.sys != sys || !strstr(got.msg, says))
        fail_msg("%s, errno %d, \"%s\"; wanted %s, errno %d, \"%s\"", grpc_code_name(got.grpc), got.sys,
                 got.msg, grpc_code_name(grpc), sys, says);
}

static void unpin_ok(void)
{
    struct err err = {0};

    assert_int_equal(netns_unpin(loop, dir, shm, on_done, NULL, &err), 0);
    wait_for_it();
    if (got.grpc)
        fail_msg("%s", got.msg);
}

/* ---- what is left --------------------------------------------------------------------------------------------------- */

static int mounts_below_base(void)
{
    cleanup_fclose FILE *f = fopen("/proc/self/mountinfo", "re");
    char line[4096];
    int n = 0;

    while (fgets(line, sizeof(line), f))
        n += strstr(line, base) != NULL;
    return n;
}

static int entries(const char *path)
{
    DIR *d = opendir(path);
    int n = 0;

    assert_non_null(d);
    while (readdir(d))
        n++;
    closedir(d);
    return n - 2;
}

static int setup(void **state)
{
    (void)state;
    strcpy(base, "/tmp/netns_test.XXXXXX");
    if (!mkdtemp(base))
        return -1;
    snprintf(dir, sizeof(dir), "%s/pod/ns", base);
    snprintf(shm, sizeof(shm), "%s/shm", base);
    snprintf(net_pin, sizeof(net_pin), "%s/net", dir);
    spec = (struct netns_spec){.dir = dir,
                               .net = true,
                               .ipc = true,
                               .uts = true,
                               .hostname = "web-0",
                               .shm_dir = shm,
                               .shm_size = 1 << 20};
    return 0;
}

static int teardown(void **state)
{
    char pod[96];

    (void)state;
    kv_done(&sysctls);
    assert_int_equal(mounts_below_base(), 0);
    assert_int_equal(child_count(), 0);
    snprintf(pod, sizeof(pod), "%s/pod", base);
    rmdir(pod); /* parents that the pin made are the pod's */
    assert_int_equal(entries(base), 0);
    return rmdir(base);
}

/* ---- inside --------------------------------------------------------------------------------------------------------- */

static int look_around(void *arg, int out_fd, struct err *err)
{
    struct ifaddrs *list, *i;
    char text[64];

    (void)arg;
    if (getifaddrs(&list) < 0)
        return err_sys(err, errno, "getifaddrs");
    for (i = list; i; i = i->ifa_next)
        if (i->ifa_addr && i->ifa_addr->sa_family == AF_INET) {
            inet_ntop(AF_INET, &((struct sockaddr_in *)i->ifa_addr)->sin_addr, text, sizeof(text));
            dprintf(out_fd, "%s %s %s;", i->ifa_name, text, i->ifa_flags & IFF_UP ? "up" : "down");
        }
    freeifaddrs(list);
    cleanup_close int fd = open("/proc/sys/net/ipv4/ip_unprivileged_port_start", O_RDONLY | O_CLOEXEC);
    ssize_t n = read(fd, text, sizeof(text));
    dprintf(out_fd, "%.*s", (int)n - 1, text);
    return 0;
}

static int say_hostname(void *arg, int out_fd)
{
    char path[128], name[128];

    snprintf(path, sizeof(path), "%s/uts", (const char *)arg);
    int fd = open(path, O_RDONLY);
    if (setns(fd, CLONE_NEWUTS) < 0 || gethostname(name, sizeof(name)) < 0)
        return 1;
    dprintf(out_fd, "%s", name);
    snprintf(path, sizeof(path), "%s/ipc", (const char *)arg);
    fd = open(path, O_RDONLY);
    if (setns(fd, CLONE_NEWIPC) < 0)
        return 1;
    fd = open("/proc/sys/kernel/shmmni", O_RDONLY);
    ssize_t n = read(fd, name, sizeof(name));
    dprintf(out_fd, " %.*s", (int)n - 1, name);
    return 0;
}

static void on_child(void *data, struct child_result *r)
{
    assert_int_equal(r->status, 0);
    on_ran_test(data, &r->out, NULL);
}

static void a_pod(void **state)
{
    struct err err = {0};
    char before[128], after[128];
    struct statvfs fs;
    struct stat st;

    (void)state;
    gethostname(before, sizeof(before));
    kv_set(&sysctls, "net.ipv4.ip_unprivileged_port_start", "77");
    kv_set(&sysctls, "kernel/shmmni", "33");
    spec.sysctls = &sysctls;
    pin_ok();
    assert_int_equal(mounts_below_base(), 4);

    const struct netns_run_spec run = {.path = net_pin, .fn = look_around};
    assert_int_equal(netns_run(loop, &run, on_ran_test, NULL, NULL, &err), 0);
    wait_for_it();
    assert_int_equal(got.grpc, 0);
    assert_string_equal(output.data, "lo 127.0.0.1 up;77");

    const struct child_spec uts = {.name = "uts", .run = say_hostname, .arg = dir};
    assert_int_equal(child_start(loop, &uts, on_child, NULL, NULL, &err), 0);
    wait_for_it();
    assert_string_equal(output.data, "web-0 33");

    assert_int_equal(statvfs(shm, &fs), 0);
    assert_int_equal(fs.f_blocks * fs.f_frsize, 1 << 20);
    assert_int_equal(fs.f_flag & (ST_NOSUID | ST_NODEV | ST_NOEXEC), ST_NOSUID | ST_NODEV | ST_NOEXEC);
    assert_int_equal(stat(shm, &st), 0);
    assert_int_equal(st.st_mode & 07777, 01777);

    gethostname(after, sizeof(after));
    assert_string_equal(before, after); /* the daemon stays where it is */
    unpin_ok();
    unpin_ok(); /* again */
}

static void only_what_was_asked_for(void **state)
{
    (void)state;
    spec.net = spec.ipc = false;
    spec.shm_dir = NULL;
    pin_ok();
    assert_int_equal(mounts_below_base(), 1);
    assert_int_equal(entries(dir), 1);
    unpin_ok();
    spec.uts = false; /* a pod in all of the host's */
    pin_ok();
    assert_int_equal(mounts_below_base(), 0);
    unpin_ok();
}

/* A killed daemon's pins are replaced and not covered; a file of somebody else's keeps the directory. */
static void leftovers(void **state)
{
    char own[128];

    (void)state;
    pin_ok();
    pin_ok();
    assert_int_equal(mounts_below_base(), 4);
    snprintf(own, sizeof(own), "%s/own", dir);
    close(open(own, O_CREAT | O_WRONLY, 0600));
    unpin_ok();
    assert_int_equal(entries(dir), 1);
    assert_int_equal(unlink(own), 0);
    unpin_ok();
}

/* ---- failures at every step ------------------------------------------------------------------------------------------ */

static void failures_leave_nothing(void **state)
{
    char file[128], in_file[160];

    (void)state;
    snprintf(file, sizeof(file), "%s/file", base);
    close(open(file, O_CREAT | O_WRONLY, 0600));
    snprintf(in_file, sizeof(in_file), "%s/x", file);

    spec.dir = in_file;
    pin_fails(GRPC_INTERNAL, ENOTDIR, "make directory");
    spec.dir = dir;

    kv_set(&sysctls, "net.ipv4.foo", "1");
    spec.sysctls = &sysctls;
    pin_fails(GRPC_INVALID_ARGUMENT, ENOENT,
              "pod namespaces: sysctl net.ipv4.foo=1: No such file or directory");
    kv_done(&sysctls);
    sysctls = (struct kv_list){0};
    kv_set(&sysctls, "net.ipv4.ip_forward", "many");
    pin_fails(GRPC_INVALID_ARGUMENT, EINVAL, "sysctl net.ipv4.ip_forward=many: Invalid argument");
    spec.sysctls = NULL;

    spec.shm_dir = in_file;
    pin_fails(GRPC_INTERNAL, ENOTDIR, "make directory");
    spec.shm_dir = file;
    pin_fails(GRPC_INTERNAL, ENOTDIR, "mount tmpfs on");
    assert_int_equal(mounts_below_base(), 0);
    spec.shm_dir = shm;
    unlink(file);
}

/* A directory where a pin belongs: the ones before it are undone. */
static void a_pin_in_the_way(void **state)
{
    char pod[128], way[128];

    (void)state;
    snprintf(pod, sizeof(pod), "%s/pod", base);
    snprintf(way, sizeof(way), "%s/uts", dir);
    assert_int_equal(mkdir(pod, 0700), 0);
    assert_int_equal(mkdir(dir, 0700), 0);
    assert_int_equal(mkdir(way, 0700), 0);
    pin_fails(GRPC_INTERNAL, 0, "uts");
    assert_int_equal(mounts_below_base(), 0);
    assert_int_equal(entries(dir), 1);
    assert_int_equal(rmdir(way), 0);
    assert_int_equal(rmdir(dir), 0);
}

static pid_t only_child(void)
{
    char path[64], text[64] = "";

    snprintf(path, sizeof(path), "/proc/self/task/%d/children", (int)getpid());
    cleanup_close int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t n = read(fd, text, sizeof(text) - 1);
    assert_true(n > 0);
    return (pid_t)atoi(text);
}

/* Killed in the middle: what it had done is undone by another child. */
static void a_killed_child(void **state)
{
    struct err err = {0};
    char target[128];

    (void)state;
    for (int i = 0; i < 20; i++) {
        assert_int_equal(netns_pin(loop, &spec, on_done, NULL, &err), 0);
        /* any moment will do: the child is killed somewhere in its way, and from the second half on after some of it */
        snprintf(target, sizeof(target), "%s/%s", dir, i % 2 ? "uts" : "net");
        for (int64_t end = time_monotonic_us() + 20000;
             i >= 4 && access(target, F_OK) < 0 && time_monotonic_us() < end;)
            sched_yield();
        kill(only_child(), SIGKILL);
        wait_for_it();
        if (got.grpc == 0)
            unpin_ok();
        else
            assert_non_null(strstr(got.msg, "killed by signal 9"));
        assert_int_equal(mounts_below_base(), 0);
        assert_int_equal(access(dir, F_OK), -1);
    }
}

static void refused_before_anything(void **state)
{
    static const struct {
        const char *name;
        bool net, ipc, uts;
        const char *says;
    } cases[] = {
        {"vm.swappiness", true, true, true, "sysctl vm.swappiness is not namespaced"},
        {"kernel.panic", true, true, true, "is not namespaced"},
        {"net.core.somaxconn", false, true, true, "host's network namespace"},
        {"kernel.sem", true, false, true, "host's IPC namespace"},
        {"kernel.domainname", true, true, false, "host's UTS namespace"},
        {"net/../vm/swappiness", true, true, true, "is not the name"},
    };
    (void)state;
    for (size_t i = 0; i < countof(cases); i++) {
        struct kv_list one = {0};
        struct err err = {0};
        kv_set(&one, cases[i].name, "1");
        assert_true(netns_check_sysctls(&one, cases[i].net, cases[i].ipc, cases[i].uts, &err) < 0);
        assert_int_equal(err.grpc, GRPC_INVALID_ARGUMENT);
        if (!strstr(err.msg, cases[i].says))
            fail_msg("\"%s\" does not say \"%s\"", err.msg, cases[i].says);
        spec.sysctls = &one;
        spec.net = cases[i].net, spec.ipc = cases[i].ipc, spec.uts = cases[i].uts;
        assert_true(netns_pin(loop, &spec, on_done, NULL, &err) < 0);
        kv_done(&one);
    }
    struct err err = {0};
    spec.sysctls = NULL;
    spec.hostname = "01234567890123456789012345678901234567890123456789012345678901234";
    assert_true(netns_pin(loop, &spec, on_done, NULL, &err) < 0);
    assert_int_equal(err.grpc, GRPC_INVALID_ARGUMENT);
    assert_int_equal(calls, 0);
}

/* ---- netns_run ------------------------------------------------------------------------------------------------------ */

static int fail_in_words(void *arg, int out_fd, struct err *err)
{
    dprintf(out_fd, "partial");
    dprintf(2, "chatter\n");
    return err_sys(err, ECONNREFUSED, "connect to port %d", *(int *)arg);
}

static int hang(void *arg, int out_fd, struct err *err)
{
    (void)arg;
    (void)out_fd;
    for (;;)
        pause();
    return err_set(err, GRPC_INTERNAL, 0, "never");
}

static int count_descriptors(void *arg, int out_fd, struct err *err)
{
    int n = 0;

    (void)arg;
    (void)err;
    for (int fd = 0; fd < 100; fd++)
        n += fcntl(fd, F_GETFD) >= 0;
    dprintf(out_fd, "%d", n);
    return 0;
}

static void run(const struct netns_run_spec *s, struct child **ret_child)
{
    struct err err = {0};
    assert_int_equal(netns_run(loop, s, on_ran_test, NULL, ret_child, &err), 0);
}

static void running_inside(void **state)
{
    int port = 80;
    struct child *c;

    (void)state;
    pin_ok();
    run(&(struct netns_run_spec){.path = net_pin, .fn = fail_in_words, .arg = &port}, NULL);
    wait_for_it();
    assert_int_equal(got.sys, ECONNREFUSED);
    assert_int_equal(got.grpc, GRPC_INTERNAL);
    assert_non_null(strstr(got.msg, "connect to port 80: Connection refused"));
    assert_string_equal(output.data, "partial");

    run(&(struct netns_run_spec){.path = net_pin, .fn = count_descriptors}, NULL);
    wait_for_it();
    assert_string_equal(output.data, "4");

    run(&(struct netns_run_spec){.path = net_pin, .fn = hang, .timeout_ms = 20}, NULL);
    wait_for_it();
    assert_int_equal(got.grpc, GRPC_DEADLINE_EXCEEDED);
    run(&(struct netns_run_spec){.path = net_pin, .fn = hang}, &c);
    child_cancel(c);
    wait_for_it();
    assert_int_equal(got.grpc, GRPC_CANCELLED);
    unpin_ok();

    run(&(struct netns_run_spec){.path = net_pin, .fn = look_around}, NULL);
    wait_for_it();
    assert_int_equal(got.grpc, GRPC_NOT_FOUND);
    assert_non_null(strstr(got.msg, net_pin));
    run(&(struct netns_run_spec){.path = "/etc/passwd", .fn = look_around}, NULL);
    wait_for_it();
    assert_int_equal(got.grpc, GRPC_FAILED_PRECONDITION);
}

static int compare(const void *a, const void *b)
{
    return *(const int64_t *)a < *(const int64_t *)b ? -1 : 1;
}

static void times(void **state)
{
    int64_t pin_us[21], unpin_us[21];

    (void)state;
    for (size_t i = 0; i < countof(pin_us); i++) {
        int64_t t0 = time_monotonic_us();
        pin_ok();
        int64_t t1 = time_monotonic_us();
        unpin_ok();
        unpin_us[i] = time_monotonic_us() - t1;
        pin_us[i] = t1 - t0;
    }
    qsort(pin_us, countof(pin_us), sizeof(*pin_us), compare);
    qsort(unpin_us, countof(unpin_us), sizeof(*unpin_us), compare);
    print_message("# p50: pin %lld us, unpin %lld us\n", (long long)pin_us[10], (long long)unpin_us[10]);
    assert_true(pin_us[10] < 1000000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_pod, setup, teardown),
        cmocka_unit_test_setup_teardown(only_what_was_asked_for, setup, teardown),
        cmocka_unit_test_setup_teardown(leftovers, setup, teardown),
        cmocka_unit_test_setup_teardown(failures_leave_nothing, setup, teardown),
        cmocka_unit_test_setup_teardown(a_pin_in_the_way, setup, teardown),
        cmocka_unit_test_setup_teardown(a_killed_child, setup, teardown),
        cmocka_unit_test_setup_teardown(refused_before_anything, setup, teardown),
        cmocka_unit_test_setup_teardown(running_inside, setup, teardown),
        cmocka_unit_test_setup_teardown(times, setup, teardown),
    };
    loop = loop_new();
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    buf_done(&output);
    loop_free(loop);
    return failed;
}
