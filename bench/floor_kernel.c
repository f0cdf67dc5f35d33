#include "bench/floor.h"
#include "bench/program.h"
#include "core/file.h"
#include "core/mem.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/wait.h>

static double since_ms(uint64_t start)
{
    return (double)(now_ns() - start) / 1e6;
}

int floor_netns_make(const char *file, struct err *err)
{
    int status, rc = file_write(file, "", 0, 0644, err);
    pid_t pid;

    if (rc < 0)
        return rc;
    if ((pid = fork()) < 0)
        return err_sys(err, errno, "fork");
    if (pid == 0)
        _exit(unshare(CLONE_NEWNET) < 0 || mount("/proc/self/ns/net", file, NULL, MS_BIND, NULL) < 0 ? errno
                                                                                                     : 0);
    if (waitpid(pid, &status, 0) < 0)
        return err_sys(err, errno, "waitpid");
    return status ? err_sys(err, WIFEXITED(status) ? WEXITSTATUS(status) : EIO,
                            "network namespace %s: run as root", file)
                  : 0;
}

int floor_netns_remove(const char *file, struct err *err)
{
    if (umount2(file, MNT_DETACH) < 0 || unlink(file) < 0)
        return err_sys(err, errno, "network namespace %s", file);
    return 0;
}

static int netns(struct bench *b, unsigned n, struct err *err)
{
    cleanup_free char *file = mem_printf("%s/floor/netns", b->work);
    struct series *made = series_get(&b->results, "ms", "network namespace, made and pinned");
    struct series *removed = series_get(&b->results, "ms", "network namespace, removed");
    int rc = 0;

    for (unsigned i = 0; !rc && i < n; i++) {
        uint64_t start = now_ns();
        if ((rc = floor_netns_make(file, err)) < 0)
            break;
        series_add(made, since_ms(start));
        start = now_ns();
        rc = floor_netns_remove(file, err);
        series_add(removed, since_ms(start));
    }
    return rc;
}

static int overlay(struct bench *b, unsigned n, struct err *err)
{
    static const char *const parts[] = {"lower", "upper", "work", "merged"};
    cleanup_free char *top = mem_printf("%s/floor/overlay", b->root ? b->root : b->work);
    cleanup_free char *target = mem_printf("%s/merged", top);
    cleanup_free char *options =
        mem_printf("lowerdir=%s/lower,upperdir=%s/upper,workdir=%s/work", top, top, top);
    struct series *mounted = series_get(&b->results, "ms", "overlay, mounted");
    struct series *unmounted = series_get(&b->results, "ms", "overlay, unmounted");
    int rc = 0;

    for (size_t i = 0; !rc && i < countof(parts); i++) {
        cleanup_free char *dir = mem_printf("%s/%s", top, parts[i]);
        rc = dir_make(dir, 0755, err);
    }
    for (unsigned i = 0; !rc && i < n; i++) {
        uint64_t start = now_ns();
        if (mount("overlay", target, "overlay", 0, options) < 0)
            return err_sys(err, errno, "overlay on %s", target);
        series_add(mounted, since_ms(start));
        start = now_ns();
        if (umount2(target, MNT_DETACH) < 0)
            return err_sys(err, errno, "unmounting %s", target);
        series_add(unmounted, since_ms(start));
    }
    return rc;
}

static int spawns(struct bench *b, unsigned n, struct err *err)
{
    const char *const argv[] = {"true", NULL};
    struct series *s = series_get(&b->results, "ms", "spawn and wait for `true`");
    double ms;
    int rc = 0;

    for (unsigned i = 0; !rc && i < n; i++)
        if (!(rc = program_run(argv, NULL, NULL, NULL, &ms, err)))
            series_add(s, ms);
    return rc;
}

int floor_kernel(struct bench *b, unsigned n, struct err *err)
{
    int rc = spawns(b, n, err);

    if (!rc)
        rc = netns(b, n, err);
    return rc ? rc : overlay(b, n, err);
}
