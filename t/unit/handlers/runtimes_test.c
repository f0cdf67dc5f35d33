/*
 * The table of handlers, their command lines, and the proof that what core/oci_spec.c builds is what real runtimes take:
 * runc, and crun with the trick that hosts like CI's need (test-only: an empty file over cgroup.controllers).
 */
#include "handlers/runtimes.c"
#include "core/caps.h"
#include "core/tree.h"

#include <fcntl.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <cmocka.h>
#include <sys/syscall.h>
#include <sys/wait.h>

static struct daemon daemon_;
static struct handler_config handlers[3];

static void set_config(const char *crun, const char *runc, const char *third)
{
    static char first[300], second[300], last[300];

    snprintf(first, sizeof(first), "%s", crun);
    snprintf(second, sizeof(second), "%s", runc);
    snprintf(last, sizeof(last), "%s", third);
    handlers[0] = (struct handler_config){.name = "crun", .path = first};
    handlers[1] = (struct handler_config){.name = "runc", .path = second};
    handlers[2] = (struct handler_config){.name = "third", .path = last};
    daemon_.config.handlers = handlers;
    daemon_.config.handlers_n = 3;
    daemon_.config.default_handler = "crun";
    daemon_.config.default_handler_set = false;
    daemon_.config.cgroup_driver = CGROUP_DRIVER_CGROUPFS;
    daemon_.config.state = "/tmp/cricket-runtimes-test";
}

static struct cgroup_mount hybrid_mounts[] = {
    {"/sys/fs/cgroup/memory", "/", "memory", false},
    {"/sys/fs/cgroup/unified", "/", "hugetlb", true},
};
static const struct host hybrid = {.cgroups = {CGROUP_HYBRID, hybrid_mounts, 2}};
static const struct host v2_only = {.cgroups = {CGROUP_V2, hybrid_mounts + 1, 1},
                                    .oci = {.kernel_major = 5, .kernel_minor = 12}};
static const struct host old_kernel = {.cgroups = {CGROUP_V2, hybrid_mounts + 1, 1},
                                       .oci = {.kernel_major = 5, .kernel_minor = 11}};

static void stop(void *data)
{
    (void)data;
    loop_stop(daemon_.loop);
}

static void wait_until_probed(struct runtimes *rs)
{
    struct runtimes_waiter w;

    assert_false(runtimes_probed(rs));
    runtimes_wait(rs, &w, stop, NULL);
    loop_run(daemon_.loop); /* each probe has a time limit of its own */
    assert_true(runtimes_probed(rs));
}

static void default_falls_where_no_file_chose(void **state)
{
    const struct runtime *rt;
    struct err err = {0};

    (void)state;
    set_config("crun", "runc", "/nowhere/youki");
    struct runtimes *rs = runtimes_new(&daemon_, &hybrid);
    assert_int_equal(runtime_find(rs, "", &rt, &err), 0);
    assert_string_equal(rt->config->name, "runc");
    assert_int_equal(runtime_find(rs, "crun", &rt, &err), -EBUSY);
    assert_int_equal(err.grpc, GRPC_FAILED_PRECONDITION);
    assert_non_null(strstr(err.msg, "hugetlb"));
    assert_int_equal(runtime_find(rs, "third", &rt, &err), -EBUSY);
    assert_non_null(strstr(err.msg, "not installed"));
    assert_int_equal(runtime_find(rs, "kata", &rt, &err), -EINVAL);
    assert_non_null(strstr(err.msg, "crun, runc, third"));
    daemon_.config.default_handler_set = true;
    assert_int_equal(runtime_find(rs, "", &rt, &err), -EBUSY);
    wait_until_probed(rs);
    assert_null(runtime_at(rs, 3));
    runtimes_free(rs);
}

static void asks_the_binaries(void **state)
{
    (void)state;
    set_config("crun", "runc", "/bin/false");
    struct runtimes *rs = runtimes_new(&daemon_, &v2_only);
    const struct runtime *crun = runtime_at(rs, 0), *runc = runtime_at(rs, 1), *no = runtime_at(rs, 2);
    assert_null(no->unusable);
    wait_until_probed(rs);
    assert_int_equal(crun->kind, RUNTIME_CRUN);
    assert_int_equal(strncmp(crun->version, "crun ", 5), 0);
    assert_null(strstr(crun->version, "version"));
    assert_int_equal(runc->kind, RUNTIME_RUNC);
    assert_true(runc->recursive_read_only);
    assert_true(crun->recursive_read_only);
    assert_non_null(strstr(no->unusable, "exit status 1"));
    assert_ptr_equal(runtime_default(rs), crun);
    runtimes_free(rs);
}

static void recursive_read_only_needs_a_kernel(void **state)
{
    static const struct {
        const char *version;
        bool want;
    } rows[] = {{"crun 1.3", false}, {"crun 1.4", true},  {"crun 1.8.1", true},
                {"crun 2.0", true},  {"crun 0.9", false}, {"crun", false}};

    (void)state;
    set_config("crun", "runc", "/nowhere/youki");
    struct runtimes *rs = runtimes_new(&daemon_, &old_kernel);
    wait_until_probed(rs);
    assert_false(runtime_at(rs, 0)->recursive_read_only);
    assert_false(runtime_at(rs, 1)->recursive_read_only);
    runtimes_free(rs);
    for (size_t i = 0; i < countof(rows); i++) {
        struct runtime rt = {.kind = RUNTIME_CRUN, .version = (char *)(uintptr_t)rows[i].version};
        guess_features(&rt, true);
        assert_int_equal(rt.recursive_read_only, rows[i].want);
    }
}

static void count(void *data)
{
    ++*(unsigned *)data;
}

/* Looks in each turn: a child that was started in one is not reaped before the next. */
static void stop_when_asked(void *data)
{
    struct runtimes *rs = data;

    if (rs->entries[0].probe)
        loop_stop(daemon_.loop);
    else
        loop_defer(daemon_.loop, stop_when_asked, rs);
}

static void stop_when_childless(void *data)
{
    if (child_count() == 0)
        loop_stop(daemon_.loop);
    else
        loop_defer(daemon_.loop, stop_when_childless, data);
}

static void may_go_while_it_asks(void **state)
{
    (void)state;
    set_config("crun", "runc", "/bin/false");
    struct runtimes *rs = runtimes_new(&daemon_, &v2_only);
    assert_int_equal(child_count(), 0); /* nobody waits: not in the way of the start */
    struct runtimes_waiter w;
    runtimes_wait(rs, &w, stop, NULL);
    stop_when_asked(rs);
    loop_run(daemon_.loop);
    assert_int_equal(child_count(), 3);
    runtimes_wait_cancel(&w);
    runtimes_free(rs);
    runtimes_free(NULL);
}

static void asks_when_nobody_waits(void **state)
{
    struct runtimes_waiter first, second, third;

    (void)state;
    stop_when_childless(NULL); /* those of the test before */
    loop_run(daemon_.loop);
    set_config("/bin/false", "/bin/false", "/bin/false");
    struct runtimes *rs = runtimes_new(&daemon_, &v2_only);
    stop_when_asked(rs);
    loop_run(daemon_.loop);
    assert_int_equal(child_count(), 3);
    assert_false(runtimes_probed(rs));
    unsigned calls = 0; /* all of them hear, but for the one that went away */
    runtimes_wait(rs, &first, count, &calls);
    runtimes_wait(rs, &second, count, &calls);
    runtimes_wait(rs, &third, stop, NULL);
    runtimes_wait_cancel(&second);
    loop_run(daemon_.loop);
    assert_int_equal(calls, 1);
    assert_non_null(runtime_at(rs, 2)->unusable);
    runtimes_free(rs);
}

static void mounts_the_file_of_crun(void **state)
{
    char dir[] = "/tmp/cricket-runtimes-XXXXXX", crun[60], first[60], command[300];

    (void)state;
    assert_non_null(mkdtemp(dir));
    snprintf(crun, sizeof(crun), "%s/crun", dir);
    snprintf(command, sizeof(command), "cp /bin/true %s", crun);
    assert_int_equal(system(command), 0);
    set_config(crun, "runc", "/nowhere/youki");
    struct runtimes *rs = runtimes_new(&daemon_, &v2_only);
    const struct runtime *rt = runtime_at(rs, 0);
    assert_true(runtime_mounts_itself(rt));
    assert_false(runtime_mounts_itself(runtime_at(rs, 1)));
    assert_null(runtime_file(runtime_at(rs, 1)));
    assert_null(runtime_file(runtime_at(rs, 2)));
    const char *file = runtime_file(rt);
    assert_non_null(file);
    snprintf(first, sizeof(first), "%s", file);
    assert_string_equal(runtime_file(rt), first); /* the same mount for the next command */
    struct stat before, after;
    assert_int_equal(stat(first, &before), 0);
    snprintf(command, sizeof(command), "cp /bin/false %s.new && mv %s.new %s", crun, crun, crun);
    assert_int_equal(system(command), 0); /* an upgrade */
    assert_int_equal(stat(runtime_file(rt), &after), 0);
    assert_int_not_equal(before.st_ino, after.st_ino);
    snprintf(command, sizeof(command), "printf '#!/bin/sh\n' > %s", crun);
    assert_int_equal(system(command), 0);
    assert_null(runtime_file(rt)); /* a script's interpreter could not read it there */
    snprintf(command, sizeof(command), "rm -r %s", dir);
    assert_int_equal(system(command), 0);
    assert_null(runtime_file(rt));
    runtimes_free(rs);
}

static void check_argv(char **argv, const char *want)
{
    cleanup_buf struct buf b = {0};

    for (size_t i = 0; argv[i]; i++)
        buf_addf(&b, "%s%s", i ? " " : "", argv[i]);
    assert_string_equal(b.data, want);
    free(argv);
}

static void command_lines(void **state)
{
    struct handler_config hc = {.name = "runc"};
    char path[] = "/usr/bin/runc", root[] = "/run/r";
    struct runtime r = {.config = &hc, .path = path, .root = root};
    struct runtime_create c = {.id = "c1", .bundle = "/b", .pid_file = "/p", .log_file = "/l"};
    struct runtime_exec x = {.id = "c1", .process_file = "/x.json", .pid_file = "/p", .detach = true};

    (void)state;
    check_argv(runtime_create_argv(&r, &c),
               "/usr/bin/runc --root /run/r --log /l --log-format json create --bundle /b "
               "--pid-file /p c1");
    r.systemd_cgroup = true;
    c.console_socket = "/c";
    c.log_file = NULL;
    check_argv(
        runtime_create_argv(&r, &c),
        "/usr/bin/runc --root /run/r --systemd-cgroup create --bundle /b --pid-file /p --console-socket /c c1");
    r.systemd_cgroup = false;
    c.run = true;
    c.console_socket = NULL;
    check_argv(runtime_create_argv(&r, &c),
               "/usr/bin/runc --root /run/r run --detach --bundle /b --pid-file /p c1");
    check_argv(runtime_start_argv(&r, "c1", NULL), "/usr/bin/runc --root /run/r start c1");
    check_argv(runtime_state_argv(&r, "c1", NULL), "/usr/bin/runc --root /run/r state c1");
    check_argv(runtime_kill_argv(&r, "c1", 15, false, NULL), "/usr/bin/runc --root /run/r kill c1 15");
    check_argv(runtime_kill_argv(&r, "c1", 9, true, NULL), "/usr/bin/runc --root /run/r kill --all c1 9");
    check_argv(runtime_delete_argv(&r, "c1", NULL), "/usr/bin/runc --root /run/r delete --force c1");
    check_argv(runtime_exec_argv(&r, &x),
               "/usr/bin/runc --root /run/r exec --process /x.json --pid-file /p --detach c1");
    check_argv(runtime_features_argv(&r), "/usr/bin/runc features");
}

static void last_error_of_a_log(void **state)
{
    static const struct {
        const char *text, *want;
    } rows[] = {
        {"", NULL},
        {"\n\n", NULL},
        {"plain text\n", NULL},
        {"{\"level\":\"warning\",\"msg\":\"w\"}\n", NULL},
        {"{\"level\":\"error\",\"msg\":\"one\"}\n{\"level\":\"error\",\"msg\":\"two\"}\n", "two"},
        {"{\"level\":\"error\",\"msg\":\"one\"}\n{\"level\":\"info\",\"msg\":\"two\"}\n{\"level\":\"err",
         "one"},
        {"{\"msg\":\"a\\nb\",\"level\":\"error\"}", "a b"},
        {"{\"msg\":5,\"level\":\"error\"}", NULL},
        {"[1]\n{\"level\":\"fatal\",\"msg\":\"f\"}\n[2]", "f"},
    };

    (void)state;
    for (size_t i = 0; i < countof(rows); i++) {
        cleanup_free char *got = runtime_log_error(rows[i].text, strlen(rows[i].text));
        if (rows[i].want)
            assert_string_equal(got, rows[i].want);
        else
            assert_null(got);
    }
    cleanup_buf struct buf b = {0};
    buf_adds(&b, "{\"level\":\"error\",\"msg\":\"");
    for (int i = 0; i < 1000; i++)
        buf_adds(&b, "\xc3\xa4");
    buf_adds(&b, "\"}\n");
    cleanup_free char *got = runtime_log_error(b.data, b.len);
    assert_true(strlen(got) <= 400 && strlen(got) % 2 == 0);
}

/* ---- the real thing ---- */

static char base[64];
static struct host real;

static const char *path_of(const char *name)
{
    static char paths[32][256];
    static unsigned i;
    char *p = paths[i++ % countof(paths)];

    snprintf(p, sizeof(paths[0]), "%s/%s", base, name);
    return p;
}

/* Runs a command with /dev/null as stdio but for stderr. crun on a hybrid host gets its empty cgroup.controllers. */
static int run_command(char **argv)
{
    static const char trick[] = "f=$(mktemp) && mount --bind \"$f\" \"$0\" && rm -f \"$f\" && exec \"$@\"";
    const struct cgroup_mount *v2 = cgroup_unified(&real.cgroups);
    bool wrap = strstr(argv[0], "crun") && real.cgroups.kind == CGROUP_HYBRID && v2->controllers[0];
    char file[256];
    const char *full[32] = {"unshare", "-m", "--propagation", "private", "sh", "-ec", trick, file};
    size_t n = wrap ? 8 : 0;
    int status = -1;

    snprintf(file, sizeof(file), "%s/cgroup.controllers", v2 ? v2->path : "");
    for (size_t i = 0; argv[i]; i++)
        full[n++] = argv[i];
    full[n] = NULL;
    pid_t pid = fork();
    if (pid == 0) {
        int null = open("/dev/null", O_RDWR);
        dup2(null, 0);
        dup2(null, 1);
        execvp(full[0], (char **)(uintptr_t)full);
        _exit(127);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    free(argv);
    return status;
}

static void wait_for_end(const char *pid_file)
{
    char text[16] = "";
    int fd = open(pid_file, O_RDONLY);

    assert_true(fd >= 0 && read(fd, text, sizeof(text) - 1) > 0);
    close(fd);
    int pidfd = (int)syscall(SYS_pidfd_open, atoi(text), 0);
    if (pidfd < 0)
        return; /* gone already */
    struct pollfd p = {.fd = pidfd, .events = POLLIN};
    assert_int_equal(poll(&p, 1, 10000), 1);
    close(pidfd);
}

static void make_bundle(void)
{
    static const char *const dirs[] = {"b", "b/rootfs", "b/rootfs/bin", "out"};
    char command[200];

    snprintf(base, sizeof(base), "/tmp/cricket-oci-XXXXXX");
    assert_non_null(mkdtemp(base));
    for (size_t i = 0; i < countof(dirs); i++)
        assert_int_equal(mkdir(path_of(dirs[i]), 0755), 0);
    assert_int_equal(chmod(path_of("out"), 0777), 0);
    snprintf(command, sizeof(command), "cp /bin/busybox %s/b/rootfs/bin/busybox", base);
    assert_int_equal(system(command), 0);
    assert_int_equal(symlink("busybox", path_of("b/rootfs/bin/sh")), 0);
}

static void write_spec(const struct oci_container *c)
{
    struct err err = {0};
    cleanup_free char *json = NULL;

    if (oci_spec_build(c, &real.oci, &json, &err) < 0)
        fail_msg("%s", err.msg);
    FILE *f = fopen(path_of("b/config.json"), "we");
    fputs(json, f);
    fclose(f);
}

static char *result_text(void)
{
    static char text[8192];
    int fd = open(path_of("out/status"), O_RDONLY);
    ssize_t n = fd < 0 ? -1 : read(fd, text, sizeof(text) - 1);

    if (n < 0)
        fail_msg("the container wrote nothing");
    text[n] = '\0';
    close(fd);
    unlink(path_of("out/status"));
    return text;
}

static void expect_line(const char *text, const char *line)
{
    if (!strstr(text, line))
        fail_msg("no \"%s\" in:\n%s", line, text);
}

static void run_container(const struct runtime *rt, const char *parent)
{
    const char *pid_file = path_of("pid");
    struct err err = {0};
    struct runtime_create rc = {.id = "cricket-spec-test", .bundle = path_of("b"), .pid_file = pid_file};

    assert_int_equal(run_command(runtime_create_argv(rt, &rc)), 0);
    assert_true(cgroup_exists(&real.cgroups, parent));
    assert_int_equal(run_command(runtime_start_argv(rt, rc.id, NULL)), 0);
    wait_for_end(pid_file);
    assert_int_equal(run_command(runtime_delete_argv(rt, rc.id, NULL)), 0);
    if (cgroup_remove(&real.cgroups, parent, &err) < 0)
        fail_msg("%s", err.msg);
    assert_false(cgroup_exists(&real.cgroups, parent));
}

static void is_accepted_by(const char *binary)
{
    static char script[] = "cat /proc/self/status >/out/status; echo cwd $PWD >>/out/status; id >>/out/status;"
                           "grep -c . /proc/keys >>/out/status; echo end >>/out/status";
    static char *args[] = {"/bin/busybox", "sh", "-c", script, NULL}, *env[] = {"PATH=/bin", NULL};
    static char *const caps[] = {"CHOWN", "KILL", NULL};
    static char *const rw[] = {"rbind", "rw", NULL};
    char *found = look_up(binary), root[128], parent[64], cgroup[128];
    struct handler_config hc = {.name = (char *)(uintptr_t)binary};

    if (!found) {
        print_message("# %s is not installed\n", binary);
        skip();
    }
    make_bundle();
    snprintf(root, sizeof(root), "%s/root", base);
    snprintf(parent, sizeof(parent), "/cricket-spec-%d", getpid());
    snprintf(cgroup, sizeof(cgroup), "%s/c1", parent);
    struct runtime rt = {.config = &hc, .path = found, .root = root};
    struct oci_mount out = {"/out", (char *)(uintptr_t)path_of("out"), "bind", (char **)(uintptr_t)rw};
    struct oci_container c = {
        .id = "cricket-spec-test",
        .args = args,
        .env = env,
        .cwd = "/work",
        .uid = 1000,
        .gid = 1001,
        .additional_gids = (uint32_t[]){1001, 10},
        .additional_gids_n = 2,
        .hostname = "spec",
        .rootfs = path_of("b/rootfs"),
        .readonly_rootfs = true,
        .mounts = &out,
        .mounts_n = 1,
        .no_new_privs = true,
        .cap_default = caps,
        .seccomp = SECCOMP_RUNTIME_DEFAULT,
        .masked_paths = (char **)(uintptr_t)oci_default_masked_paths,
        .readonly_paths = (char **)(uintptr_t)oci_default_readonly_paths,
        .oom_score_adj_set = true,
        .oom_score_adj = -997,
        .resources = {.cpu_shares = 256,
                      .cpu_quota = 50000,
                      .cpu_period = 100000,
                      .memory_limit = 64 << 20,
                      .pids_limit = 50},
        .cgroups_path = cgroup,
        .ns_net = {.create = true},
        .ns_ipc = {.create = true},
        .ns_uts = {.create = true},
        .ns_pid = {.create = true},
        .ns_mnt = {.create = true},
    };
    assert_int_equal(mkdir(path_of("b/rootfs/work"), 0755), 0);
    assert_int_equal(mkdir(path_of("b/rootfs/out"), 0755), 0);
    static const char *const mount_points[] = {"b/rootfs/proc", "b/rootfs/dev", "b/rootfs/sys"};
    for (size_t i = 0; i < countof(mount_points); i++)
        assert_int_equal(mkdir(path_of(mount_points[i]), 0755), 0);
    kv_set(&c.annotations, "io.kubernetes.cri.container-type", "container");
    kv_set(&c.sysctls, "net.ipv4.ip_unprivileged_port_start", "0");

    write_spec(&c);
    run_container(&rt, parent);
    char *text = result_text();
    expect_line(text, "Uid:\t1000\t1000");
    expect_line(text, "Groups:\t10 1001");
    expect_line(text, "NoNewPrivs:\t1");
    expect_line(text, "Seccomp:\t2");
    expect_line(text, "CapBnd:\t0000000000000021");
    expect_line(text, "CapInh:\t0000000000000000");
    expect_line(text, "cwd /work");
    expect_line(text, "\n0\nend"); /* /proc/keys is masked */

    c.privileged = c.host_devices = true;
    c.no_new_privs = c.readonly_rootfs = false;
    c.uid = c.gid = 0;
    c.additional_gids_n = 0;
    write_spec(&c);
    run_container(&rt, parent);
    text = result_text();
    char all[64];
    snprintf(all, sizeof(all), "CapBnd:\t%016llx", (unsigned long long)(real.oci.bounding_caps & caps_all()));
    expect_line(text, all);
    expect_line(text, "Seccomp:\t0");
    expect_line(text, "end");

    struct err err = {0};
    kv_done(&c.annotations);
    kv_done(&c.sysctls);
    free(found);
    if (tree_remove(base, &err) < 0)
        fail_msg("%s", err.msg);
}

static void runc_takes_the_configuration(void **state)
{
    (void)state;
    is_accepted_by("runc");
}

static void crun_takes_the_configuration(void **state)
{
    (void)state;
    is_accepted_by("crun");
}

static int open_all(void **state)
{
    struct err err = {0};

    (void)state;
    daemon_.loop = loop_new();
    return host_probe("", &real, &err);
}

static int close_all(void **state)
{
    struct err err = {0};

    (void)state;
    host_done(&real);
    if (tree_remove("/tmp/cricket-runtimes-test", &err) < 0)
        print_message("%s\n", err.msg);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(default_falls_where_no_file_chose),
        cmocka_unit_test(asks_the_binaries),
        cmocka_unit_test(recursive_read_only_needs_a_kernel),
        cmocka_unit_test(command_lines),
        cmocka_unit_test(last_error_of_a_log),
        cmocka_unit_test(runc_takes_the_configuration),
        cmocka_unit_test(crun_takes_the_configuration),
        cmocka_unit_test(mounts_the_file_of_crun),
        cmocka_unit_test(may_go_while_it_asks),
        cmocka_unit_test(asks_when_nobody_waits),
    };
    return cmocka_run_group_tests(tests, open_all, close_all);
}
