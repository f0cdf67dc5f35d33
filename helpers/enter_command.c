#include "helpers/enter.h"

#include <errno.h>
#include <sched.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#ifndef CLOSE_RANGE_CLOEXEC
#define CLOSE_RANGE_CLOEXEC 4
#endif
enum { KEYCTL_JOIN = 1, PATH_CAP = 4096 };

/* Of the one command that this process becomes. */
static char *argv[EXEC_PLAN_STRINGS_MAX + 1], *envp[EXEC_PLAN_STRINGS_MAX + 2];
static char home[PATH_CAP], program[PATH_CAP];

/* execve(2) takes them without const, and does not write. */
static size_t fill(char **to, struct exec_plan_strings strings)
{
    const char *s;
    size_t n = 0;

    while ((s = exec_plan_next(&strings)))
        to[n++] = (char *)(uintptr_t)s;
    return n;
}

static const char *variable(const char *key)
{
    size_t n = strlen(key);

    for (char **e = envp; *e; e++)
        if (strncmp(*e, key, n) == 0)
            return *e + n;
    return NULL;
}

static void fill_environment(struct enter *e)
{
    size_t n = fill(envp, e->plan.env);

    if (variable("HOME="))
        return;
    if (enter_find_home(e->plan.head->uid, home, sizeof(home)))
        envp[n] = home;
    else if (e->plan.head->flags & EXEC_PLAN_AS_RUNC)
        envp[n] = strcpy(home, "HOME=/");
}

/*
 * So that the command can open its /dev/stdout again. Not a device, as runc: crun gives the host's own /dev/null to the
 * container's user.
 */
static void own_stdio(struct enter *e)
{
    gid_t gid = e->plan.head->flags & EXEC_PLAN_AS_RUNC ? (gid_t)-1 : e->plan.head->gid;
    struct stat st;

    for (int fd = 0; fd < 3; fd++)
        if (fstat(fd, &st) == 0 && !S_ISCHR(st.st_mode))
            (void)!fchown(fd, e->plan.head->uid, gid); /* a socket or a read-only file says no */
}

static bool take_stdio(struct enter *e)
{
    if (e->plan.head->flags & EXEC_PLAN_TTY)
        return enter_terminal(e);
    for (int i = 0; i < 3; i++)
        if (dup2(e->fds[ENTER_FD_STDIN + i], i) != i)
            return enter_failed(e, errno, "cannot take the standard streams", NULL);
    own_stdio(e);
    return true;
}

static bool set_rlimits(struct enter *e)
{
    for (uint32_t i = 0; i < e->plan.head->rlimits_n; i++) {
        const struct exec_plan_rlimit *l = &e->plan.rlimits[i];
        struct rlimit r = {.rlim_cur = l->soft, .rlim_max = l->hard};
        if (setrlimit((int)l->which, &r) < 0)
            return enter_failed(e, errno, "cannot set a resource limit", NULL);
    }
    return true;
}

/* What needs the place in the namespaces, but none of the container's identity. */
static bool settle(struct enter *e)
{
    if (setns(e->fds[ENTER_FD_INIT], CLONE_NEWCGROUP) < 0)
        return enter_failed(e, errno, "cannot enter the container's cgroup namespace", NULL);
    close(e->fds[ENTER_FD_INIT]);
    setsid(); /* cannot fail: a process that was just born leads no group */
    if (!take_stdio(e))
        return false;
    umask(e->plan.head->umask);
    if (chdir(e->plan.cwd) < 0)
        return enter_failed(e, errno, "chdir to ", e->plan.cwd);
    if (e->plan.keyring[0] && syscall(SYS_keyctl, KEYCTL_JOIN, e->plan.keyring) < 0 && errno != ENOSYS)
        return enter_failed(e, errno, "cannot join session keyring ", e->plan.keyring);
    return set_rlimits(e);
}

static bool run(struct enter *e)
{
    char go;

    if (read(e->gate[0], &go, 1) != 1)
        return enter_failed(e, 0, "it was called off", NULL);
    if (!settle(e))
        return false;
    fill(argv, e->plan.args);
    fill_environment(e);
    const char *path = enter_find_program(argv[0], variable("PATH="), program, sizeof(program));
    if (!path)
        return enter_failed(e, 0, "executable file not found in $PATH: ", argv[0]);
    syscall(SYS_close_range, 3, ~0U, CLOSE_RANGE_CLOEXEC); /* they do already; should one not */
    if (!enter_become(e))
        return false;
    enter_runs(e);
    execve(path, argv, envp);
    return enter_failed(e, errno, "exec ", argv[0]);
}

void enter_command(struct enter *e)
{
    run(e);
    for (;;)
        _exit(127); /* a filter may forbid that, too: then it ends by the filter, or goes round */
}
