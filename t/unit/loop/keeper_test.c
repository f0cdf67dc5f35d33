#include "t/unit/loop/keeper_fixture.h"
#include "core/cgroup.h"

#include <jansson.h>

static void test_exit_codes(void **state)
{
    static const struct {
        const char *script;
        int code, signal;
    } rows[] = {{"exit 0", 0, 0},
                {"exit 7", 7, 0},
                {"exit 255", 255, 0},
                {"kill -9 $$", 137, 9},
                {"kill -TERM $$", 143, 15}};
    (void)state;
    for (size_t i = 0; i < countof(rows); i++) {
        int64_t before = time_now_ns();
        run("web", rows[i].script);
        until(heard_exit);
        assert_string_equal(pod.last_id, "web");
        assert_true(pod.last.known);
        assert_int_equal(pod.last.code, rows[i].code);
        assert_int_equal(pod.last.signal, rows[i].signal);
        assert_false(pod.last.oom_killed);
        assert_true(pod.last.finished_ns > before && pod.last.finished_ns < time_now_ns());
        assert_int_equal(access(in_dir("exits/web"), F_OK), 0);
        assert_true(keeper_container(pod.k, 0)->ended);
        keeper_forget(pod.k, "web");
        assert_null(keeper_container(pod.k, 0));
        unlink(in_dir("web.pid.start"));
    }
    finish_keeper();
    assert_int_not_equal(access(in_dir("exits/web"), F_OK), 0);
}

static void test_streams(void **state)
{
    (void)state;
    run("web", "echo one; echo two >&2; printf three; printf four >&2");
    until(heard_exit);
    assert_log(in_dir("web.log"), "stdout", "one\nthree");
    assert_log(in_dir("web.log"), "stderr", "two\nfour");
    struct stat st;
    assert_int_equal(stat(in_dir("web.log"), &st), 0);
    assert_int_equal(st.st_mode & 07777, 0640);
    finish_keeper();
}

static void test_stdin(void **state)
{
    (void)state;
    pod.exits = 0;
    create(&(struct ask){.id = "web", .script = "read x; echo got $x", .open_stdin = true});
    start("web");
    assert_true(write(box_find(pod.k, "web")->fds[0], "hello\n", 6) == 6);
    until(heard_exit);
    assert_log(in_dir("web.log"), "stdout", "got hello\n");
    finish_keeper();
}

static void test_terminal(void **state)
{
    (void)state;
    pod.exits = 0;
    create(&(struct ask){.id = "web", .script = "tty >/dev/null && echo terminal; exit 4", .tty = true});
    assert_int_not_equal(access(in_dir("web.tty"), F_OK), 0);
    start("web");
    until(heard_exit);
    assert_int_equal(pod.last.code, 4);
    assert_log(in_dir("web.log"), "stdout", "terminal\r\n");
    finish_keeper();
}

static void test_flood(void **state)
{
    enum { SIZE = 10 << 20 };
    cleanup_free char *data = mem_alloc(SIZE), *script = NULL;
    size_t line = 0;
    (void)state;
    srandom(1);
    for (size_t i = 0; i < SIZE; i++, line++) {
        data[i] = (char)random();
        if (data[i] == '\n' && line < 40000 &&
            i > SIZE / 2) /* in the second half, lines longer than 16 KiB too */
            data[i] = 'x';
        if (data[i] == '\n')
            line = 0;
    }
    write_file(in_dir("data"), data, SIZE, 0600);
    script = mem_printf("cat %s; cat %s >&2", in_dir("data"), in_dir("data"));
    run("web", script);
    until(heard_exit);
    static const char *const streams[] = {"stdout", "stderr"};
    for (size_t i = 0; i < countof(streams); i++) {
        cleanup_buf struct buf text = log_text(in_dir("web.log"), streams[i]);
        assert_int_equal(text.len, SIZE);
        assert_memory_equal(text.data, data, SIZE);
    }
    finish_keeper();
}

static void reopen(void)
{
    struct err err = {0};
    pod.is_done = false;
    assert_int_equal(keeper_reopen_log(pod.k, "web", on_done, NULL, &err), 0);
    until(heard_done);
}

static bool first_logged(void)
{
    cleanup_buf struct buf log = read_file(in_dir("web.log"));
    return log.data && strstr(log.data, "first") != NULL;
}

static void test_reopen(void **state)
{
    (void)state;
    run("web", "echo first; read x < $0.go; echo second");
    until(first_logged);
    assert_int_equal(rename(in_dir("web.log"), in_dir("web.log.1")), 0);
    reopen();
    assert_string_equal(pod.done_err.msg, "");
    assert_int_equal(access(in_dir("web.log"), F_OK), 0);
    go("web");
    until(heard_exit);
    assert_log(in_dir("web.log.1"), "stdout", "first\n");
    assert_log(in_dir("web.log"), "stdout", "second\n");
    keeper_forget(pod.k, "web");
    reopen();
    assert_int_equal(pod.done_err.grpc, GRPC_NOT_FOUND);
    finish_keeper();
}

static void test_create_fails(void **state)
{
    const struct {
        struct ask ask;
        int grpc;
        const char *text;
    } rows[] = {
        {{.id = "web", .script = "@echo no such image >&2; exit 3"},
         GRPC_INTERNAL,
         "runtime: exit status 3: no such image"},
        {{.id = "web", .script = "@kill -9 $$"}, GRPC_INTERNAL, "runtime: killed by signal 9"},
        {{.id = "web", .script = "@exit 0"}, GRPC_INTERNAL, "wrote no process id"},
        {{.id = "web", .script = "@echo hang >&2; sleep 100 | sleep 100", .timeout_ms = 150},
         GRPC_DEADLINE_EXCEEDED,
         "took too long and was killed: hang"},
        {{.id = "web", .script = "", .runtime = "/nowhere/crun"}, GRPC_INTERNAL, "No such file or directory"},
        {{.id = "web", .script = "", .runtime = "/bin/true", .tty = true},
         GRPC_INTERNAL,
         "wrote no process id"},
        {{.id = "web", .script = "", .runtime = "/bin/false", .tty = true},
         GRPC_INTERNAL,
         "false: exit status 1"},
        {{.id = "../web", .script = ""}, GRPC_INVALID_ARGUMENT, "container id"},
    };
    (void)state;
    quit_keeper(); /* counts descriptors of one that has done nothing yet */
    until(keeper_gone);
    start_keeper();
    size_t fds = count_fds(pod.process);
    for (size_t i = 0; i < countof(rows); i++) {
        ask_create(&rows[i].ask);
        until(heard_created);
        assert_int_equal(pod.created_err.grpc, rows[i].grpc);
        assert_non_null(strstr(pod.created_err.msg, rows[i].text));
        assert_null(keeper_container(pod.k, 0));
        assert_int_not_equal(access(in_dir("web.log"), F_OK), 0);
        assert_int_not_equal(access(in_dir("web.tty"), F_OK), 0);
        assert_int_equal(count_fds(pod.process), fds);
    }
    finish_keeper();
}

static void test_creates_side_by_side(void **state)
{
    (void)state;
    ask_create(&(struct ask){.id = "slow", .script = "@sleep 60; exit 1"});
    create(&(struct ask){.id = "fast", .script = "exit 5"}); /* while the other one hangs */
    pod.exits = 0;
    start("fast");
    until(heard_exit);
    assert_int_equal(pod.last.code, 5);
    quit_keeper();
    assert_int_equal(pod.done_err.grpc, GRPC_FAILED_PRECONDITION);
    pod.is_created = false;
    keeper_forget(pod.k, "slow");
    until(heard_created);
    assert_int_equal(pod.created_err.grpc, GRPC_CANCELLED);
    finish_keeper();
}

static bool record_exists(void)
{
    return access(in_dir("exits/web"), F_OK) == 0;
}

static void test_reconnect(void **state)
{
    (void)state;
    run("web", "echo up; read x < $0.go; echo down; exit 9");
    keeper_disconnect(pod.k);
    connect_keeper();
    const struct keeper_container_state *s = keeper_container(pod.k, 0);
    assert_string_equal(s->id, "web");
    assert_int_equal(s->pid, pod.created_pid);
    assert_false(s->ended);
    assert_true(box_find(pod.k, "web")->fds[1] >= 0);
    keeper_disconnect(pod.k);
    go("web");
    until(record_exists);         /* it ended with nobody listening */
    for (int i = 0; i < 2; i++) { /* told again until it is forgotten */
        pod.exits = 0;
        connect_keeper();
        assert_true(keeper_container(pod.k, 0)->ended);
        until(heard_exit);
        assert_int_equal(pod.last.code, 9);
        if (i == 0)
            keeper_disconnect(pod.k);
    }
    keeper_forget(pod.k, "web");
    assert_log(in_dir("web.log"), "stdout", "up\ndown\n");
    finish_keeper();
    connect_keeper();
    assert_int_equal(pod.ready_err.grpc, GRPC_NOT_FOUND);
}

static bool late_logged(void)
{
    cleanup_buf struct buf log = read_file(in_dir("web.log"));
    return log.data && strstr(log.data, " stdout F late\n") != NULL;
}

static void test_exit_with_open_output(void **state)
{
    (void)state;
    run("web", "(read x < $0.go; echo late) & exit 2");
    until(heard_exit);
    assert_int_equal(pod.last.code, 2);
    go("web");
    until(late_logged);
    finish_keeper();
}

static int count_lines(const char *path)
{
    cleanup_buf struct buf text = log_text_so_far(path, "stdout");
    int n = 0;
    for (size_t i = 0; i < text.len; i++)
        n += text.data[i] == '\n';
    return n;
}

static bool many_lines(void)
{
    return count_lines(in_dir("web.log")) > 200;
}

/* The exit is told a second after it at the latest, even if a busy machine has not let all of the output be written. */
static bool all_is_written(void)
{
    cleanup_buf struct buf log = read_file(in_dir("web.log"));
    static const char end[] = " F last\n";

    return log.len >= strlen(end) && memcmp(log.data + log.len - strlen(end), end, strlen(end)) == 0;
}

static bool first_is_written(void)
{
    cleanup_buf struct buf log = read_file(in_dir("web.log"));

    return log.data && strstr(log.data, " F first\n");
}

static void test_keeper_killed(void **state)
{
    (void)state;
    run("done", "exit 6");
    until(heard_exit);
    run("web", "i=0; while [ ! -e $0.end ]; do i=$((i+1)); echo $i; done; echo last; exit 3");
    until(many_lines);
    pod.exits = 0;
    kill(pod.process, SIGKILL);
    restart_keeper();
    until(heard_exit); /* the one that the dead keeper had recorded and nobody has forgotten */
    assert_string_equal(pod.last_id, "done");
    assert_int_equal(pod.last.code, 6);
    keeper_forget(pod.k, "done");
    assert_int_equal(box_find(pod.k, "web")->state.pid, pod.created_pid);
    pod.exits = 0;
    write_file(in_dir("web.pid.end"), "", 0, 0600);
    until(heard_exit);
    assert_string_equal(pod.last_id, "web");
    assert_true(pod.last.known);
    assert_int_equal(pod.last.code, 3);
    until(all_is_written);
    /* every line but what the dead keeper may have read and not written */
    cleanup_buf struct buf text = log_text(in_dir("web.log"), "stdout");
    long expect = 0, jumps = 0;
    for (char *p = text.data, *nl; (nl = strchr(p, '\n')); p = nl + 1) {
        long n = strtol(p, NULL, 10);
        jumps += n != ++expect && n != 0;
        expect = n;
    }
    assert_true(jumps <= 1);
    assert_non_null(strstr(text.data, "last\n"));
    finish_keeper();
}

static void add_to(const char *path, const char *text)
{
    cleanup_close int fd = open(path, O_WRONLY | O_APPEND | O_CLOEXEC);
    assert_true(fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text));
}

/* What a keeper leaves that is killed while the kernel copies its line: in its head, in its text. */
static void killed_in_a_line(const char *torn)
{
    run("web", "echo first; read x < $0.go; echo second; exit 0");
    until(first_is_written);
    kill(pod.process, SIGKILL);
    until(heard_lost);
    add_to(in_dir("web.log"), torn);
    restart_keeper();
    go("web");
    until(heard_exit);
    assert_log(in_dir("web.log"), "stdout", "first\nsecond\n"); /* checks that no line is torn */
    finish_keeper();
}

static void test_log_that_is_none(void **state)
{
    static const char before[] = "whose is this";
    (void)state;
    write_file(in_dir("web.log"), before, strlen(before), 0600);
    run("web", "exit 0");
    until(heard_exit);
    cleanup_buf struct buf log = read_file(in_dir("web.log"));
    assert_true(log.len >= strlen(before) && memcmp(log.data, before, strlen(before)) == 0);
    finish_keeper();
}

static void test_killed_in_a_head(void **state)
{
    (void)state;
    killed_in_a_line("2026-11-26T20:1");
}

static void test_killed_in_a_text(void **state)
{
    (void)state;
    killed_in_a_line("2026-11-26T20:15:02.123456789Z stdout F half a li");
}

static void test_container_ends_without_keeper(void **state)
{
    (void)state;
    run("web", "read x < $0.go; exit 8");
    kill(pod.process, SIGKILL);
    until(heard_lost);
    go("web");
    int64_t limit = time_monotonic_us() + LIMIT_MS * 1000LL;
    while (kill(pod.created_pid, 0) == 0 && time_monotonic_us() < limit) {
        siginfo_t info = {0}; /* it stays a zombie of ours until the loop reaps it */
        if (waitid(P_PID, (id_t)pod.created_pid, &info, WEXITED | WNOHANG | WNOWAIT) == 0 && info.si_pid)
            break;
    }
    restart_keeper();
    until(heard_exit);
    assert_true(pod.last.known);
    assert_int_equal(pod.last.code, 8);
    finish_keeper();
}

static bool keeper_has_pidfd(void)
{
    char path[PATH_MAX], to[64];
    bool found = false;

    snprintf(path, sizeof(path), "/proc/%d/fd", pod.process);
    DIR *d = opendir(path);
    assert_non_null(d);
    for (struct dirent *e; (e = readdir(d));) {
        ssize_t n = readlinkat(dirfd(d), e->d_name, to, sizeof(to) - 1);
        to[n > 0 ? n : 0] = '\0';
        found = found || strstr(to, "pidfd");
    }
    closedir(d);
    return found;
}

static bool keeper_is_parent(void)
{
    return !keeper_has_pidfd();
}

static bool container_is_zombie(void)
{
    char path[64];
    snprintf(path, sizeof(path), "/proc/%d/stat", pod.created_pid);
    cleanup_buf struct buf text = read_file(path);
    return text.data && memmem(text.data, text.len, ") Z ", 4);
}

/* The keeper becomes the parent some time after the command, before or after the container's end. */
static void test_parent_outlives_command(void **state)
{
    (void)state;
    create(&(struct ask){.id = "web", .script = "&read x < $0.go; exit 9"});
    until(keeper_has_pidfd);
    write_fifo("web", "leave");
    until(keeper_is_parent);
    go("web");
    until(heard_exit);
    assert_true(pod.last.known);
    assert_int_equal(pod.last.code, 9);

    pod.exits = 0;
    create(&(struct ask){.id = "late", .script = "&read x < $0.go; kill -9 $$"});
    go("late");
    until(container_is_zombie);
    write_fifo("late", "leave");
    until(heard_exit);
    assert_true(pod.last.known);
    assert_int_equal(pod.last.signal, 9);
    finish_keeper();
}

static const char *wanted_cgroup;

static bool keeper_has_moved(void)
{
    cleanup_free char *proc = mem_printf("/proc/%d/cgroup", pod.process);
    cleanup_buf struct buf keepers = read_file(proc);
    size_t hierarchies = 0, want = access("/sys/fs/cgroup/cgroup.controllers", F_OK) == 0 ? 1 : 4;

    buf_add(&keepers, "", 1);
    for (const char *at = keepers.data; (at = strstr(at, wanted_cgroup)); at++)
        hierarchies++;
    return hierarchies >= want;
}

/* The pod's limit of processor time holds for its keeper, not for the runtime's commands. */
static void test_commands_run_outside_of_the_pod(void **state)
{
    cleanup_free char *cgroup = mem_printf("/cricket-keeper-test-%d", getpid());
    struct cgroups cgroups = {0};
    struct err err = {0};
    (void)state;
    start_keeper_in(cgroup);
    wanted_cgroup = cgroup;
    until(keeper_has_moved); /* a child does it, while others are served */
    ask_create(
        &(struct ask){.id = "web", .script = "@grep -E '^0::|[:,]cpu[,:]' /proc/self/cgroup >&2; exit 1"});
    until(heard_created);
    assert_non_null(strstr(pod.created_err.msg, ":/"));
    assert_null(strstr(pod.created_err.msg, cgroup));
    finish_keeper();
    assert_int_equal(cgroups_read("", &cgroups, &err), 0);
    assert_int_equal(cgroup_remove(&cgroups, cgroup, &err), 0);
    cgroups_done(&cgroups);
}

static void test_malformed_messages(void **state)
{
    struct err err = {0};
    unsigned char msg[300];
    int fd;
    (void)state;
    assert_int_equal(keeper_connect_to(pod.dir, &fd, &err), 0); /* replaces the test's own connection */
    fcntl(fd, F_SETFL, 0);
    assert_true(recv(fd, msg, sizeof(msg), 0) >= (ssize_t)sizeof(struct keeper_greeting_msg));
    for (int type = 0; type < 300; type++)
        for (unsigned cut = 1; cut < 64; cut++) {
            memset(msg, cut % 3 ? 0xff : 0, sizeof(msg));
            struct keeper_head h = {.size = cut % 4 ? cut : cut * 7,
                                    .type = (uint16_t)type,
                                    .fixed = (uint16_t)(cut % 5 ? 16 : cut),
                                    .seq = 5};
            memcpy(msg, &h, sizeof(h));
            msg[cut - 1] = 0;
            if (type == KEEPER_QUIT && h.size == cut && h.fixed >= sizeof(h) && h.fixed <= cut)
                continue; /* that would be a valid one */
            if (type == KEEPER_FORGET)
                continue; /* has no answer */
            assert_true(send(fd, msg, cut, MSG_NOSIGNAL) == (ssize_t)cut);
            unsigned char answer[1000];
            struct keeper_reply_msg r;
            ssize_t n = recv(fd, answer, sizeof(answer), 0);
            assert_true(n > 0 && keeper_msg_read(answer, (size_t)n, &r, sizeof(r)));
            assert_int_equal(r.head.type, KEEPER_REPLY);
            assert_int_not_equal(r.grpc, 0);
        }
    close(fd);
    keeper_disconnect(pod.k);
    connect_keeper();
    run("web", "exit 1");
    until(heard_exit);
    finish_keeper();
}

static bool loss_reported(void)
{
    cleanup_buf struct buf log = read_file(in_dir("small/web.log"));
    return log.data && strstr(log.data, " bytes of output lost: No space left on device]\n") != NULL;
}

static bool disk_full(void)
{
    struct stat st;
    return stat(in_dir("small/web.log"), &st) == 0 && st.st_size > 100000 &&
           access(in_dir("web.pid.filled"), F_OK) == 0;
}

static void test_disk_full(void **state)
{
    (void)state;
    mkdir(in_dir("small"), 0755);
    assert_int_equal(mount("tmpfs", in_dir("small"), "tmpfs", 0, "size=256k"), 0);
    char filler[64 << 10] = "";
    write_file(in_dir("small/filler"), filler, sizeof(filler), 0600);
    create(&(struct ask){.id = "big", .script = "exit 0", .no_log = true});
    cleanup_free char *log = mem_printf("%s/small/web.log", pod.dir);
    cleanup_free char *sh = mem_printf("%s/runtime", top);
    cleanup_free char *pid_file = mem_printf("%s/web.pid", pod.dir);
    const char *argv[] = {
        sh,
        "--pid-file",
        pid_file,
        "-",
        "-",
        "i=0; while [ $i -lt 9000 ]; do echo line $i of a long text that fills the disk; i=$((i+1)); done; "
        "echo > $0.filled; read x < $0.go; echo after; exit 0",
        NULL};
    struct keeper_create c = {.container_id = "web", .argv = argv, .pid_file = pid_file, .log_path = log};
    struct err err = {0};
    pod.is_created = false;
    assert_int_equal(keeper_create(pod.k, &c, on_created, NULL, &err), 0);
    until(heard_created);
    start("web");
    until(disk_full);
    unlink(in_dir("small/filler"));
    go("web");
    until(loss_reported);
    start("big");
    pod.exits = 0;
    cleanup_buf struct buf text = log_text(log, "stdout"); /* checks that no line is torn */
    assert_non_null(strstr(text.data, "line 0 of"));
    until(heard_exit);
    cleanup_buf struct buf whole = log_text(log, "stdout");
    assert_non_null(strstr(whole.data, "after\n"));
    while (umount2(in_dir("small"), MNT_DETACH) == 0)
        ;
    pod.exits = 0;
    if (keeper_container(pod.k, 0)->ended + keeper_container(pod.k, 1)->ended < 2)
        until(heard_exit);
    finish_keeper();
}

static void test_many_connections_replace(void **state)
{
    struct err err = {0};
    int fd;
    (void)state;
    run("web", "read x < $0.go; exit 0");
    /* a newer daemon takes over; the older one is cut off, comes back, and knows its container still */
    assert_int_equal(keeper_connect_to(pod.dir, &fd, &err), 0);
    close(fd);
    go("web");
    until(heard_exit);
    finish_keeper();
}

/* ---- a real runtime, where there is one ---- */
static void run_runc(const char *root, const char *bundle, const char *verb, const char *id)
{
    const char *argv[] = {"runc", "--root", root, verb, id, NULL};
    const char *spec[] = {"runc", "spec", "-b", bundle, NULL};
    pid_t pid = fork();
    if (pid == 0) {
        execvp("runc", (char *const *)(uintptr_t)(bundle ? spec : argv));
        _exit(127);
    }
    int status;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
}

/* The specification that runc itself proposes, with our command, terminal and memory limit put in. */
static void make_bundle(const char *bundle, const char *script, bool tty, bool limit)
{
    cleanup_free char *config = mem_printf("%s/config.json", bundle), *proposal = NULL;
    unlink(config);
    run_runc(NULL, bundle, NULL, NULL);
    json_t *spec = json_load_file(config, 0, NULL);
    assert_non_null(spec);
    json_t *process = json_object_get(spec, "process"), *host = json_object_get(spec, "linux");
    json_object_set_new(process, "args", json_pack("[sss]", "/bin/busybox", "sh", "-c"));
    json_array_append_new(json_object_get(process, "args"), json_string(script));
    json_object_set_new(process, "terminal", json_boolean(tty));
    json_object_del(process, "rlimits");
    json_object_set_new(host, "cgroupsPath", json_sprintf("/cricket-keeper-test-%d", getpid()));
    if (limit)
        json_object_set_new(json_object_get(host, "resources"), "memory",
                            json_pack("{sisi}", "limit", 20 << 20, "swap", 20 << 20));
    proposal = json_dumps(spec, 0);
    write_file(config, proposal, strlen(proposal), 0600);
    json_decref(spec);
}

static void test_real_runc(void **state)
{
    static const struct {
        const char *id, *script;
        bool tty, limit;
        int code;
        bool oom;
        const char *text;
    } rows[] = {
        {"pipes", "echo hi; exit 5", false, false, 5, false, "hi\n"},
        {"terminal", "echo hi; exit 6", true, false, 6, false, "hi\r\n"},
        {"big", "x=aaaaaaaa; while :; do x=$x$x; done", false, true, 137, true, ""},
    };
    (void)state;
    if (system("runc --version >/dev/null 2>&1 && test -x /bin/busybox") != 0) {
        finish_keeper();
        skip();
    }
    cleanup_free char *root = mem_printf("%s/rt", pod.dir), *bundle = mem_printf("%s/bundle", pod.dir);
    cleanup_free char *fill =
        mem_printf("mkdir -p %s/rootfs/bin && cp /bin/busybox %s/rootfs/bin/", bundle, bundle);
    assert_int_equal(system(fill), 0);
    for (size_t i = 0; i < countof(rows); i++) {
        struct err err = {0};
        cleanup_free char *pid_file = mem_printf("%s/%s.pid", pod.dir, rows[i].id);
        cleanup_free char *console = mem_printf("%s/%s.tty", pod.dir, rows[i].id);
        cleanup_free char *log = mem_printf("%s/%s.log", pod.dir, rows[i].id);
        const char *argv[] = {"runc",
                              "--root",
                              root,
                              "create",
                              "-b",
                              bundle,
                              "--pid-file",
                              pid_file,
                              rows[i].tty ? "--console-socket" : rows[i].id,
                              rows[i].tty ? console : NULL,
                              rows[i].id,
                              NULL};
        struct keeper_create c = {.container_id = rows[i].id,
                                  .argv = argv,
                                  .pid_file = pid_file,
                                  .console_socket = rows[i].tty ? console : NULL,
                                  .log_path = log,
                                  .timeout_ms = 15000};
        make_bundle(bundle, rows[i].script, rows[i].tty, rows[i].limit);
        pod.exits = 0;
        pod.is_created = false;
        assert_int_equal(keeper_create(pod.k, &c, on_created, NULL, &err), 0);
        until(heard_created);
        assert_string_equal(pod.created_err.msg, "");
        run_runc(root, NULL, "start", rows[i].id);
        until(heard_exit);
        run_runc(root, NULL, "delete", rows[i].id);
        assert_int_equal(pod.last.code, rows[i].code);
        assert_int_equal(pod.last.oom_killed, rows[i].oom);
        assert_log(log, "stdout", rows[i].text);
        keeper_forget(pod.k, rows[i].id);
    }
    finish_keeper();
}

static int run_group(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_exit_codes, setup),
        cmocka_unit_test_setup(test_streams, setup),
        cmocka_unit_test_setup(test_stdin, setup),
        cmocka_unit_test_setup(test_terminal, setup),
        cmocka_unit_test_setup(test_flood, setup),
        cmocka_unit_test_setup(test_reopen, setup),
        cmocka_unit_test_setup(test_create_fails, setup),
        cmocka_unit_test_setup(test_creates_side_by_side, setup),
        cmocka_unit_test_setup(test_reconnect, setup),
        cmocka_unit_test_setup(test_exit_with_open_output, setup),
        cmocka_unit_test_setup(test_keeper_killed, setup),
        cmocka_unit_test_setup(test_log_that_is_none, setup),
        cmocka_unit_test_setup(test_killed_in_a_head, setup),
        cmocka_unit_test_setup(test_killed_in_a_text, setup),
        cmocka_unit_test_setup(test_container_ends_without_keeper, setup),
        cmocka_unit_test_setup(test_parent_outlives_command, setup),
        cmocka_unit_test_setup(test_commands_run_outside_of_the_pod, make_pod),
        cmocka_unit_test_setup(test_malformed_messages, setup),
        cmocka_unit_test_setup(test_disk_full, setup),
        cmocka_unit_test_setup(test_many_connections_replace, setup),
        cmocka_unit_test_setup(test_real_runc, setup),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

int main(int argc, char **argv)
{
    return fixture_main(argc, argv, run_group);
}
