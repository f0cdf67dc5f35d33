#include "bench/program.h"
#include "bench/conn.h"
#include "core/mem.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>

enum { OUTPUT_MAX = 1 << 20, SAID_MAX = 300 };

/* Files in memory, so that neither side ever waits for the other. */
static int memory_file(const char *text, struct err *err)
{
    int fd = memfd_create("cribench", MFD_CLOEXEC);
    size_t n = text ? strlen(text) : 0;

    if (fd < 0)
        return err_sys(err, errno, "memfd_create");
    if (n && (write(fd, text, n) != (ssize_t)n || lseek(fd, 0, SEEK_SET) < 0)) {
        close(fd);
        return err_sys(err, EIO, "memfd");
    }
    return fd;
}

static void read_back(int fd, struct buf *b)
{
    char part[4096];
    ssize_t n;

    b->max = OUTPUT_MAX;
    lseek(fd, 0, SEEK_SET);
    while ((n = read(fd, part, sizeof(part))) > 0)
        buf_add(b, part, (size_t)n);
}

static int spawn(const char *const argv[], char *const envp[], int in, int out, pid_t *ret_pid, struct err *err)
{
    posix_spawn_file_actions_t actions;

    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_adddup2(&actions, in, STDIN_FILENO);
    posix_spawn_file_actions_adddup2(&actions, out, STDOUT_FILENO);
    posix_spawn_file_actions_adddup2(&actions, out, STDERR_FILENO);
    int r = posix_spawnp(ret_pid, argv[0], &actions, NULL, (char *const *)argv, envp ? envp : environ);
    posix_spawn_file_actions_destroy(&actions);
    return r ? err_sys(err, r, "%s: install it, or see cribench --help", argv[0]) : 0;
}

int program_run(const char *const argv[], char *const envp[], const char *input, struct buf *output,
                double *ret_ms, struct err *err)
{
    cleanup_close int in = memory_file(input, err);
    cleanup_close int out = in < 0 ? -1 : memory_file(NULL, err);
    cleanup_buf struct buf said = {0};
    int status, rc;
    pid_t pid;

    if (out < 0)
        return err_errno(err);
    uint64_t start = now_ns();
    if ((rc = spawn(argv, envp, in, out, &pid, err)) < 0)
        return rc;
    while (waitpid(pid, &status, 0) < 0)
        if (errno != EINTR)
            return err_sys(err, errno, "waiting for %s", argv[0]);
    if (ret_ms)
        *ret_ms = (double)(now_ns() - start) / 1e6;
    read_back(out, output ? output : &said);
    if (status == 0)
        return 0;
    const char *text = (output ? output : &said)->data;
    return err_set(err, GRPC_INTERNAL, 0, "%s %s: status 0x%x: %.*s", argv[0], argv[1] ? argv[1] : "", status,
                   SAID_MAX, text ? text : "");
}

int program_prepare(const char *before, const char *words, pid_t *ret_pid, struct err *err)
{
    cleanup_free char *script = mem_printf("%s\nkill -STOP $$\n%s", before ? before : "", words);
    siginfo_t how = {0};
    pid_t pid = fork();

    if (pid < 0)
        return err_sys(err, errno, "fork");
    if (pid == 0) {
        setsid();
        execl("/bin/sh", "sh", "-ec", script, (char *)NULL);
        _exit(127);
    }
    while (waitid(P_PID, (id_t)pid, &how, WSTOPPED | WEXITED) < 0)
        if (errno != EINTR)
            return err_sys(err, errno, "waiting for `%s`", words);
    if (how.si_code != CLD_STOPPED)
        return err_set(err, GRPC_INTERNAL, 0, "`%s`: status %d before `%s` began", before, how.si_status,
                       words);
    *ret_pid = pid;
    return 0;
}

int program_go(pid_t pid, struct err *err)
{
    return kill(pid, SIGCONT) < 0 ? err_sys(err, errno, "process %d", pid) : 0;
}

int program_wait_gone(int pidfd, pid_t pid, int limit_ms, struct err *err)
{
    struct pollfd p = {.fd = pidfd, .events = POLLIN};

    if (poll(&p, 1, limit_ms) <= 0)
        return err_set(err, GRPC_DEADLINE_EXCEEDED, 0, "process %d is still there after %d ms", pid, limit_ms);
    waitpid(pid, NULL, WNOHANG); /* reaps it if it is ours */
    return 0;
}
