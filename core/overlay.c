#include "core/overlay.h"
#include "core/buf.h"
#include "core/mem.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>

/*
 * volatile: the writable layer of a container never outlives a boot (its container is EXITED then, and a new one gets a new
 * layer), so neither fsync(2) in it nor unmounting it need wait for the disk.
 * nofollow, metacopy off: what an image put into trusted.overlay.* attributes must not mean anything.
 */
static const char *const flags[] = {"volatile"};
static const struct {
    const char *key, *value;
} options[] = {{"index", "off"}, {"metacopy", "off"}, {"redirect_dir", "nofollow"}};

enum { FSCONFIG_STRING_MAX = 255, MOUNT_DATA_MAX = 4095 };

/* What the kernel says about a failed fsconfig(2): "e overlay: No changes allowed in upperdir". */
static void kernel_words(int fs, char *ret, size_t size)
{
    char line[256];
    ssize_t n = read(fs, line, sizeof(line) - 1);

    ret[0] = '\0';
    if (n <= 2)
        return;
    line[n] = '\0';
    line[strcspn(line, "\n")] = '\0';
    snprintf(ret, size, " (%s)", line + 2);
}

/* One layer by name where the name fits; by descriptor where fsconfig's limit on strings, or a backslash, is in the way. */
static int add_lower(int fs, const char *layer)
{
    char name[64];

    if (strlen(layer) <= FSCONFIG_STRING_MAX && !strpbrk(layer, "\\"))
        return fsconfig(fs, FSCONFIG_SET_STRING, "lowerdir+", layer, 0);
    int fd = open(layer, O_PATH | O_DIRECTORY | O_CLOEXEC); /* open until the child ends */
    if (fd < 0)
        return -1;
    snprintf(name, sizeof(name), "/proc/self/fd/%d", fd);
    return fsconfig(fs, FSCONFIG_SET_STRING, "lowerdir+", name, 0);
}

static int configure(int fs, const struct overlay_spec *s, size_t n)
{
    for (size_t i = n; i-- > 0;)
        if (add_lower(fs, s->layers[i]) < 0)
            return -1;
    if (fsconfig(fs, FSCONFIG_SET_STRING, "source", "cricket", 0) < 0 ||
        fsconfig(fs, FSCONFIG_SET_STRING, "upperdir", s->upper, 0) < 0 ||
        fsconfig(fs, FSCONFIG_SET_STRING, "workdir", s->work, 0) < 0)
        return -1;
    for (size_t i = 0; i < countof(options); i++)
        if (fsconfig(fs, FSCONFIG_SET_STRING, options[i].key, options[i].value, 0) < 0)
            return -1;
    for (size_t i = 0; i < countof(flags); i++)
        if (fsconfig(fs, FSCONFIG_SET_FLAG, flags[i], NULL, 0) < 0)
            return -1;
    return fsconfig(fs, FSCONFIG_CMD_CREATE, NULL, NULL, 0);
}

static int mount_new(const struct overlay_spec *s, size_t n, struct err *err)
{
    char words[280];
    cleanup_close int fs = fsopen("overlay", FSOPEN_CLOEXEC);

    if (fs < 0)
        return err_sys(err, errno, "fsopen overlay");
    if (configure(fs, s, n) < 0) {
        int e = errno;
        kernel_words(fs, words, sizeof(words));
        return err_sys(err, e, "mount overlay of %zu layers at %s%s", n, s->target, words);
    }
    cleanup_close int mnt = fsmount(fs, FSMOUNT_CLOEXEC, 0);
    if (mnt < 0)
        return err_sys(err, errno, "fsmount overlay");
    if (move_mount(mnt, "", AT_FDCWD, s->target, MOVE_MOUNT_F_EMPTY_PATH) < 0)
        return err_sys(err, errno, "move overlay to %s", s->target);
    return 0;
}

static void raise_file_limit(void)
{
    struct rlimit l;

    if (getrlimit(RLIMIT_NOFILE, &l) == 0) {
        l.rlim_cur = l.rlim_max;
        setrlimit(RLIMIT_NOFILE, &l);
    }
}

/*
 * mount(2) takes one page of options: 500 layers fit only with short names. Descriptors in /proc/self/fd are such names, and
 * need neither escapes nor links on the disk.
 */
static int mount_old(const struct overlay_spec *s, size_t n, struct err *err)
{
    cleanup_buf struct buf data = {0};
    const char *extra =
        ",volatile,metacopy=off,redirect_dir=nofollow"; /* not known to each kernel that gets here */

    raise_file_limit();
    buf_addf(&data, "index=off,lowerdir=");
    for (size_t i = n; i-- > 0;) {
        int fd = open(s->layers[i], O_PATH | O_DIRECTORY | O_CLOEXEC);
        if (fd < 0)
            return err_sys(err, errno, "cannot open layer %s", s->layers[i]);
        buf_addf(&data, "%d%s", fd, i ? ":" : "");
    }
    int upper = open(s->upper, O_PATH | O_DIRECTORY | O_CLOEXEC),
        work = open(s->work, O_PATH | O_DIRECTORY | O_CLOEXEC);
    buf_addf(&data, ",upperdir=%d,workdir=%d", upper, work);
    size_t plain = data.len;
    buf_adds(&data, extra);
    if (data.len > MOUNT_DATA_MAX)
        return err_set(err, GRPC_INVALID_ARGUMENT, 0, "%zu layers are too many for this kernel's mount(2)", n);
    if (chdir("/proc/self/fd") < 0)
        return err_sys(err, errno, "cannot enter /proc/self/fd; is /proc mounted?");
    if (mount("cricket", s->target, "overlay", 0, data.data) == 0)
        return 0;
    data.data[plain] = '\0';
    if (errno == EINVAL && mount("cricket", s->target, "overlay", 0, data.data) == 0)
        return 0;
    return err_sys(err, errno, "mount overlay of %zu layers at %s", n, s->target);
}

int overlay_mount(const struct overlay_spec *s, struct err *err)
{
    struct err first;
    size_t n = 0;

    while (s->layers[n])
        n++;
    if (n == 0 || n > OVERLAY_LAYERS_MAX)
        return err_set(err, GRPC_INVALID_ARGUMENT, 0, "an overlay takes 1 to %d layers, not %zu",
                       OVERLAY_LAYERS_MAX, n);
    int r = mount_new(s, n, &first);
    if (r == 0)
        return 0;
    /* kernels before 6.8 take "lowerdir+" for an unknown option; if the old way fails as well, the new one's words are better */
    if ((r == -EINVAL || r == -ENOSYS || r == -EOPNOTSUPP) && mount_old(s, n, err) == 0)
        return 0;
    if (err)
        *err = first;
    return r;
}
