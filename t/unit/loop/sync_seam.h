/*
 * In front of loop/disk_sync.c: its syncfs(2) does what a test says, also in the child. What happens there the test sees in files
 * of sync_seam_dir.
 */
#pragma once
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static enum { SYNC_REAL, SYNC_FAILS, SYNC_DIES, SYNC_BLOCKS } sync_seam;
static int sync_seam_errno;
static char sync_seam_dir[] = "/tmp/sync-seam-XXXXXX";

static void sync_seam_path(char path[64], const char *name)
{
    snprintf(path, 64, "%s/%s", sync_seam_dir, name);
}

static int sync_seam_setup(void)
{
    char gate[64];

    if (!mkdtemp(sync_seam_dir))
        return -1;
    sync_seam_path(gate, "gate");
    return mkfifo(gate, 0600);
}

static int sync_seam_teardown(void)
{
    char path[64];

    sync_seam_path(path, "gate");
    unlink(path);
    sync_seam_path(path, "begun");
    unlink(path);
    return rmdir(sync_seam_dir);
}

/* How many have begun. */
static int sync_seam_begun(void)
{
    char path[64];
    struct stat st;

    sync_seam_path(path, "begun");
    return stat(path, &st) == 0 ? (int)st.st_size : 0;
}

/* The one that blocks goes on. */
static void sync_seam_release(void)
{
    char path[64];

    sync_seam_path(path, "gate");
    close(open(path, O_WRONLY | O_CLOEXEC));
}

static int seam_syncfs(int fd)
{
    char path[64];
    int f;

    sync_seam_path(path, "begun");
    f = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    if (write(f, "x", 1) != 1)
        abort();
    close(f);
    if (sync_seam == SYNC_DIES)
        raise(SIGKILL);
    sync_seam_path(path, "gate");
    if (sync_seam == SYNC_BLOCKS)
        close(open(path, O_RDONLY | O_CLOEXEC));
    errno = sync_seam_errno;
    return sync_seam == SYNC_FAILS ? -1 : syncfs(fd);
}
#define syncfs seam_syncfs
