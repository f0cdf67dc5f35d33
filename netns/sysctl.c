#include "netns/sysctl.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>

enum { PATH_SIZE = 256 };

int sysctl_path(const char *name, char ret_path[static 256], struct err *err)
{
    size_t n = strlen(name), first = strcspn(name, "./");
    char path[PATH_SIZE] = "";
    bool dots = name[first] == '.';

    if (n == 0 || n >= sizeof(path))
        return err_set(err, GRPC_INVALID_ARGUMENT, 0, "sysctl \"%.64s\": a name of 1 to %d bytes is needed",
                       name, PATH_SIZE - 1);
    for (size_t i = 0; i <= n; i++) /* with dots as separators, a slash stands for a dot within a part */
        path[i] = !dots ? name[i] : name[i] == '.' ? '/' : name[i] == '/' ? '.' : name[i];
    for (const char *part = path;; part++) {
        size_t len = strcspn(part, "/");
        if (len == 0 || (len == 1 && *part == '.') || (len == 2 && !memcmp(part, "..", 2)))
            return err_set(err, GRPC_INVALID_ARGUMENT, 0, "sysctl \"%s\" is not the name of a kernel parameter",
                           name);
        part += len;
        if (!*part)
            break;
    }
    memcpy(ret_path, path, n + 1);
    return 0;
}

static const struct {
    const char *prefix; /* of the path; the whole of it where it does not end in a slash or star */
    enum sysctl_ns ns;
} owners[] = {
    {"net/", SYSCTL_NET},
    {"kernel/shm*", SYSCTL_IPC},
    {"kernel/msg*", SYSCTL_IPC},
    {"kernel/sem", SYSCTL_IPC},
    {"fs/mqueue/", SYSCTL_IPC},
    {"kernel/hostname", SYSCTL_UTS},
    {"kernel/domainname", SYSCTL_UTS},
};

enum sysctl_ns sysctl_ns_of(const char *path)
{
    for (size_t i = 0; i < countof(owners); i++) {
        const char *p = owners[i].prefix;
        size_t n = strlen(p);
        bool is = p[n - 1] == '*'   ? !strncmp(path, p, n - 1)
                  : p[n - 1] == '/' ? !strncmp(path, p, n)
                                    : !strcmp(path, p);
        if (is)
            return owners[i].ns;
    }
    return SYSCTL_HOST;
}

int sysctl_write(const char *name, const char *value, struct err *err)
{
    char path[PATH_SIZE], full[PATH_SIZE + 16];
    int r = sysctl_path(name, path, err);

    if (r < 0)
        return r;
    snprintf(full, sizeof(full), "/proc/sys/%s", path);
    cleanup_close int fd = open(full, O_WRONLY | O_CLOEXEC);
    /* one write: the kernel takes a value only whole */
    if (fd < 0 || write(fd, value, strlen(value)) < 0)
        return err_set(err, GRPC_INVALID_ARGUMENT, errno, "sysctl %s=%.128s", name, value);
    return 0;
}
