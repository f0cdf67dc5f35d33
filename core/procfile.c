#include "core/procfile.h"
#include "core/buf.h"

#include <errno.h>
#include <fcntl.h>

int procfile_read_fd(int fd, size_t max, char **ret_text)
{
    cleanup_buf struct buf b = {0};
    char chunk[4096];

    for (;;) {
        ssize_t n = read(fd, chunk, sizeof(chunk));
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return -errno;
        if (n == 0)
            break;
        if (b.len + (size_t)n > max)
            return -EFBIG;
        buf_add(&b, chunk, (size_t)n);
    }
    *ret_text = buf_steal(&b);
    return 0;
}

int procfile_read(const char *path, size_t max, char **ret_text)
{
    cleanup_close int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);

    if (fd < 0)
        return -errno;
    return procfile_read_fd(fd, max, ret_text);
}
