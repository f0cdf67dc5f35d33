#include "core/program_mount.h"

#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

/* linux/mount.h, which not every libc's headers can be had together with */
enum { TREE_CLONE = 1, ATTR_RDONLY = 1 };
struct attributes {
    uint64_t set, clear, propagation, userns_fd;
};

static int check_elf(const char *path)
{
    static const char elf[4] = {0x7f, 'E', 'L', 'F'};
    char magic[4];
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);

    if (fd < 0)
        return -errno;
    ssize_t n = read(fd, magic, sizeof(magic));
    close(fd);
    return n == sizeof(magic) && memcmp(magic, elf, sizeof(elf)) == 0 ? 0 : -ENOEXEC;
}

int program_mount(const char *path)
{
    const struct attributes read_only = {.set = ATTR_RDONLY};
    int rc = check_elf(path);

    if (rc < 0)
        return rc;
    int fd = (int)syscall(SYS_open_tree, AT_FDCWD, path, TREE_CLONE | O_CLOEXEC);
    if (fd < 0)
        return -errno;
    if (syscall(SYS_mount_setattr, fd, "", AT_EMPTY_PATH, &read_only, sizeof(read_only)) == 0)
        return fd;
    rc = -errno;
    close(fd);
    return rc;
}
