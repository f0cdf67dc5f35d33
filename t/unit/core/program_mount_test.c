/* As root: what is mounted is what runs, and cannot be written to. */
#include "core/program_mount.c"
#include "core/cleanup.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <cmocka.h>
#include <stdio.h>
#include <sys/statvfs.h>
#include <sys/wait.h>

static char dir[] = "/tmp/cricket-program-XXXXXX";

static char *at(const char *name)
{
    static char path[100];

    snprintf(path, sizeof(path), "%s/%s", dir, name);
    return path;
}

static void sh(const char *command)
{
    assert_int_equal(system(command), 0);
}

static void runs_from_a_read_only_mount(void **state)
{
    char command[200], path[40];
    struct statvfs fs;
    int status;

    (void)state;
    snprintf(command, sizeof(command), "cp /bin/true %s", at("true"));
    sh(command);
    cleanup_close int fd = program_mount(at("true"));
    assert_true(fd >= 0);
    assert_int_equal(fcntl(fd, F_GETFD), FD_CLOEXEC);
    assert_int_equal(fstatvfs(fd, &fs), 0);
    assert_true(fs.f_flag & ST_RDONLY);
    snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
    assert_int_equal(open(path, O_WRONLY | O_CLOEXEC), -1);
    assert_int_equal(errno, EROFS);
    cleanup_close int writable = open(at("true"), O_WRONLY | O_CLOEXEC); /* the file itself is as it was */
    assert_true(writable >= 0);
    close(steal_fd(&writable));
    pid_t pid = fork();
    if (pid == 0) {
        execl(path, "true", (char *)NULL);
        _exit(99);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
}

static void only_elf_files(void **state)
{
    char command[200];

    (void)state;
    snprintf(command, sizeof(command), "printf '#!/bin/sh\\nexit 0\\n' > %s", at("script"));
    sh(command);
    assert_int_equal(program_mount(at("script")), -ENOEXEC);
    snprintf(command, sizeof(command), ": > %s", at("empty"));
    sh(command);
    assert_int_equal(program_mount(at("empty")), -ENOEXEC);
    assert_int_equal(program_mount(at("absent")), -ENOENT);
    assert_int_equal(program_mount(dir), -ENOEXEC);
}

static int set_up(void **state)
{
    (void)state;
    return mkdtemp(dir) ? 0 : -1;
}

static int tear_down(void **state)
{
    char command[100];

    (void)state;
    snprintf(command, sizeof(command), "rm -rf %s", dir);
    return system(command);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(runs_from_a_read_only_mount),
        cmocka_unit_test(only_elf_files),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
