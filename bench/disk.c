#include "bench/disk.h"
#include "core/file.h"
#include "core/mem.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/sysmacros.h>
#include <unistd.h>

enum { SECTOR_KIB_DIVISOR = 2, NFTW_DESCRIPTORS = 16 };

/* The seventh number of /sys/dev/block/MAJOR:MINOR/stat: sectors written (Documentation/block/stat.rst). */
static double written_kib(dev_t device)
{
    cleanup_free char *path = mem_printf("/sys/dev/block/%u:%u/stat", major(device), minor(device));
    cleanup_buf struct buf text = {0};
    unsigned long long sectors;

    if (file_read(path, 4096, &text, NULL) < 0 ||
        sscanf(text.data ? text.data : "", "%*u %*u %*u %*u %*u %*u %llu", &sectors) != 1)
        return -1;
    return (double)sectors / SECTOR_KIB_DIVISOR;
}

int disk_take(const struct bench *b, struct disk *ret, struct err *err)
{
    struct statvfs v;
    struct stat st;
    cleanup_close int fd = b->root ? open(b->root, O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;

    if (!b->root)
        return err_set(err, GRPC_INVALID_ARGUMENT, 0, "disk figures: give --root, the runtime's directory");
    if (fd < 0 || syncfs(fd) < 0 || fstatvfs(fd, &v) < 0 || fstat(fd, &st) < 0)
        return err_sys(err, errno, "--root %s", b->root);
    ret->used_kib = (double)(v.f_blocks - v.f_bfree) * (double)v.f_frsize / 1024;
    ret->written_kib = written_kib(st.st_dev);
    return 0;
}

static unsigned long counted;

static int count_one(const char *path, const struct stat *st, int kind, struct FTW *at)
{
    (void)path;
    (void)st;
    (void)kind;
    (void)at;
    counted++;
    return 0;
}

unsigned long disk_files(const char *dir)
{
    counted = 0;
    if (dir)
        nftw(dir, count_one, NFTW_DESCRIPTORS, FTW_PHYS | FTW_MOUNT);
    return counted;
}
