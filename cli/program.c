#include "cli/program.h"
#include "core/mem.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

extern char **environ;

char *program_find(const char *name)
{
    const char *path = getenv("PATH");

    if (strchr(name, '/'))
        return access(name, X_OK) ? NULL : mem_strdup(name);
    /* A user's PATH lacks the directories where runc and iptables are. */
    cleanup_free char *dirs =
        mem_printf("%s:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", path ? path : "");
    char *save = NULL;
    for (char *dir = strtok_r(dirs, ":", &save); dir; dir = strtok_r(NULL, ":", &save)) {
        cleanup_free char *file = mem_printf("%s/%s", dir, name);
        if (access(file, X_OK) == 0)
            return steal_ptr(&file);
    }
    return NULL;
}

static int start(const char *const *argv, int out, pid_t *ret)
{
    posix_spawn_file_actions_t actions;

    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0);
    posix_spawn_file_actions_adddup2(&actions, out, 1);
    posix_spawn_file_actions_adddup2(&actions, out, 2);
    int rc = posix_spawn(ret, argv[0], &actions, NULL, (char *const *)argv, environ);
    posix_spawn_file_actions_destroy(&actions);
    return rc;
}

static long now_ms(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * 1000L + t.tv_nsec / 1000000;
}

/* Reads until the end or the deadline; keeps the first line. false: the deadline passed. */
static bool read_line(int fd, long deadline, char *line, size_t size)
{
    char chunk[512];
    size_t n = 0;
    bool whole = false;

    for (;;) {
        struct pollfd p = {.fd = fd, .events = POLLIN};
        long left = deadline - now_ms();
        if (left <= 0 || poll(&p, 1, (int)left) <= 0)
            return false;
        ssize_t got = read(fd, chunk, sizeof(chunk));
        if (got <= 0)
            return true;
        for (ssize_t i = 0; i < got && !whole; i++) {
            whole = chunk[i] == '\n';
            if (!whole && n + 1 < size)
                line[n++] = chunk[i];
            line[n] = 0;
        }
    }
}

int program_first_line(const char *const *argv, int timeout_ms, char *ret_line, size_t size)
{
    int fds[2], status;
    pid_t pid;

    *ret_line = 0;
    if (pipe2(fds, O_CLOEXEC) < 0)
        return -1;
    int rc = start(argv, fds[1], &pid);
    close(fds[1]);
    if (rc) {
        close(fds[0]);
        return -1;
    }
    bool ended = read_line(fds[0], now_ms() + timeout_ms, ret_line, size);
    close(fds[0]);
    if (!ended)
        kill(pid, SIGKILL);
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
        ;
    return ended && WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}
