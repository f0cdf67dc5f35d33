#include "core/file.h"
#include "core/mem.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

int file_read_at(int dirfd, const char *path, size_t max, struct buf *b, struct err *err)
{
    char chunk[4096];
    size_t total = 0;
    struct stat st;
    cleanup_close int fd = openat(dirfd, path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);

    if (fd < 0 || fstat(fd, &st) < 0)
        return err_sys(err, errno, "read %s", path);
    if (!S_ISREG(st.st_mode))
        return err_set(err, GRPC_INVALID_ARGUMENT, 0, "%s is not a regular file", path);
    for (;;) {
        ssize_t n = read(fd, chunk, sizeof(chunk));
        if (n < 0)
            return err_sys(err, errno, "read %s", path);
        if (n == 0)
            return 0;
        total += (size_t)n;
        if (total > max)
            return err_set(err, GRPC_RESOURCE_EXHAUSTED, EFBIG, "%s is larger than %zu bytes", path, max);
        buf_add(b, chunk, (size_t)n);
    }
}

int file_read(const char *path, size_t max, struct buf *b, struct err *err)
{
    return file_read_at(AT_FDCWD, path, max, b, err);
}

int fd_write_all(int fd, const void *data, size_t len)
{
    for (const char *p = data; len > 0;) {
        ssize_t n = write(fd, p, len);
        if (n < 0 && errno != EINTR)
            return -errno;
        if (n > 0) {
            p += n;
            len -= (size_t)n;
        }
    }
    return 0;
}

int file_write(const char *path, const void *data, size_t len, mode_t mode, struct err *err)
{
    cleanup_free char *tmp = mem_printf("%s.tmp", path);
    cleanup_close int fd = open(tmp, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, mode);
    int r;

    if (fd < 0)
        return err_sys(err, errno, "write %s", tmp);
    r = fd_write_all(fd, data, len);
    if (r == 0 && fchmod(fd, mode) < 0)
        r = -errno;
    if (r == 0 && rename(tmp, path) < 0)
        r = -errno;
    if (r < 0) {
        unlink(tmp);
        return err_sys(err, -r, "write %s", path);
    }
    return 0;
}

int dir_make(const char *path, mode_t mode, struct err *err)
{
    cleanup_free char *p = mem_strdup(path);

    for (char *slash = p + 1; *p && (slash = strchr(slash, '/')); *slash++ = '/') {
        *slash = '\0';
        if (mkdir(p, mode) < 0 && errno != EEXIST)
            return err_sys(err, errno, "make directory %s", p);
    }
    if (mkdir(p, mode) < 0 && errno != EEXIST)
        return err_sys(err, errno, "make directory %s", p);
    return 0;
}
