/* Starts t/fake/registry.py for a test, from the tree's root. It ends with the test: it watches its standard input. */
#pragma once
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static struct {
    int port, other;
    pid_t pid;
    int in;
} fake;

static inline int fake_start(void **state)
{
    int in[2], out[2];
    char line[64] = "";

    (void)state;
    signal(SIGPIPE, SIG_IGN);
    if (pipe2(in, O_CLOEXEC) < 0 || pipe2(out, O_CLOEXEC) < 0 || (fake.pid = fork()) < 0)
        return -1;
    if (fake.pid == 0) {
        dup2(in[0], 0);
        dup2(out[1], 1);
        execlp("python3", "python3", "t/fake/registry.py", NULL);
        _exit(127);
    }
    close(in[0]);
    close(out[1]);
    fake.in = in[1];
    size_t n = 0;
    while (n < sizeof(line) - 1 && !strchr(line, '\n') && read(out[0], line + n, 1) == 1)
        n++;
    close(out[0]);
    return sscanf(line, "%d %d", &fake.port, &fake.other) == 2 ? 0 : -1;
}

static inline int fake_stop(void **state)
{
    (void)state;
    close(fake.in);
    kill(fake.pid, SIGKILL);
    waitpid(fake.pid, NULL, 0);
    return 0;
}
