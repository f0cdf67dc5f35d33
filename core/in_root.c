#include "core/in_root.h"
#include "core/file.h"
#include "core/mem.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>

int in_root_open(int root, const char *path, int flags)
{
    struct open_how how = {.flags = (unsigned)flags | O_CLOEXEC,
                           .resolve = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS};
    long fd;

    for (int tries = 0; tries < 8; tries++) { /* EAGAIN: a rename elsewhere made ".." unsure */
        fd = syscall(SYS_openat2, root, path, &how, sizeof(how));
        if (fd >= 0)
            return (int)fd;
        if (errno != EAGAIN && errno != EINTR)
            break;
    }
    return -errno;
}

int in_root_read(int root, const char *path, size_t max, char **ret_text, struct err *err)
{
    cleanup_close int at = in_root_open(root, path, O_PATH);
    struct stat st;
    cleanup_buf struct buf b = {0};
    char name[64];

    if (at < 0 && at != -ENOENT && at != -ENOTDIR && at != -ELOOP)
        return err_sys(err, -at, "cannot open %s of the image", path);
    if (at < 0 || fstat(at, &st) < 0 || !S_ISREG(st.st_mode)) {
        *ret_text = mem_strdup("");
        return 0;
    }
    snprintf(name, sizeof(name), "/proc/self/fd/%d", at);
    int r = file_read(name, max, &b, NULL);
    if (r == -EFBIG)
        return err_set(err, GRPC_INVALID_ARGUMENT, 0, "%s of the image is larger than %zu bytes", path, max);
    if (r < 0)
        return err_sys(err, -r, "cannot read %s of the image", path);
    *ret_text = buf_steal(&b);
    return 0;
}

/* Opens path, whose last part is `name` in the directory `parent`; makes it when it is missing. */
static int enter(int root, const char *path, const char *parent, const char *name)
{
    int fd = in_root_open(root, path, O_PATH | O_DIRECTORY);

    if (fd != -ENOENT)
        return fd;
    cleanup_close int above = in_root_open(root, parent, O_PATH | O_DIRECTORY);
    if (above < 0)
        return above;
    if (mkdirat(above, name, 0755) < 0)
        return errno == EEXIST ? -ENOTDIR : -errno; /* a link that leads nowhere */
    return in_root_open(root, path, O_PATH | O_DIRECTORY);
}

int in_root_mkdir(int root, const char *path, struct err *err)
{
    size_t size = strlen(path) + 2;
    cleanup_free char *copy = mem_strdup(path), *so_far = mem_alloc(size), *above = mem_alloc(size);
    char *save = NULL;

    for (char *part = strtok_r(copy, "/", &save); part; part = strtok_r(NULL, "/", &save)) {
        snprintf(above, size, "%s", so_far[0] ? so_far : "/");
        strcat(strcat(so_far, "/"), part);
        int fd = enter(root, so_far, above, part);
        if (fd == -ENOTDIR || fd == -ELOOP)
            return err_set(err, GRPC_INVALID_ARGUMENT, 0,
                           "directory %.200s: %.200s in the image is no directory", path, so_far);
        if (fd < 0)
            return err_sys(err, -fd, "cannot make directory %.200s in the container", so_far);
        close(fd);
    }
    return 0;
}
