#include "handlers/host_paths.h"
#include "core/file.h"
#include "core/mem.h"

#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>

enum { DEVICES_MAX = 4096, DEV_DEPTH = 4, TIMEOUT_MS = 60000 };

struct request {
    struct pool *pool;
    host_paths_done_fn *on_done;
    void *data;
};

struct work {
    const Runtime__V1__ContainerConfig *config;
    const char *log_path;
    bool all_devices;
};

/* ---- in the child -------------------------------------------------------------------------------------------------- */

static int make_source(const char *path, struct err *err)
{
    struct stat st;

    if (stat(path, &st) == 0)
        return 0;
    if (errno != ENOENT)
        return err_sys(err, errno, "mount source %s", path);
    return dir_make(path, 0755, err);
}

/* mountinfo writes space, tab, newline and backslash as \\ and three octal digits. */
static void unescape(char *s)
{
    char *to = s;

    for (; *s; s++) {
        unsigned c;
        if (s[0] == '\\' && strspn(s + 1, "01234567") >= 3 && sscanf(s + 1, "%3o", &c) == 1) {
            *to++ = (char)c;
            s += 3;
        } else {
            *to++ = *s;
        }
    }
    *to = '\0';
}

/* The optional fields ("shared:1 master:2") of the mount that holds path, which is canonical. */
static int find_mount(const char *path, char **ret_mountpoint, char **ret_fields, struct err *err)
{
    cleanup_fclose FILE *f = fopen("/proc/self/mountinfo", "re");
    char *line = NULL;
    size_t cap = 0, best = 0;

    if (!f)
        return err_sys(err, errno, "read /proc/self/mountinfo");
    while (getline(&line, &cap, f) > 0) {
        char point[PATH_MAX];
        int at = 0;
        if (sscanf(line, "%*d %*d %*s %*s %4095s %*s%n", point, &at) != 1 || !at)
            continue;
        unescape(point);
        size_t n = strcmp(point, "/") == 0 ? 0 : strlen(point);
        if (strncmp(point, path, n) != 0 || (path[n] != '/' && path[n] != '\0') || (n < best && *ret_fields))
            continue;
        best = n; /* a later mount at the same place covers the earlier one */
        free(*ret_mountpoint);
        free(*ret_fields);
        char *end = strstr(line + at, " - ");
        *ret_mountpoint = mem_strdup(point);
        *ret_fields = mem_strndup(line + at, end ? (size_t)(end - line) - (size_t)at : 0);
    }
    free(line);
    return 0;
}

static int check_propagation(const Runtime__V1__Mount *m, struct err *err)
{
    cleanup_free char *real = realpath(m->host_path, NULL);
    cleanup_free char *point = NULL;
    cleanup_free char *fields = NULL;
    bool both = m->propagation == RUNTIME__V1__MOUNT_PROPAGATION__PROPAGATION_BIDIRECTIONAL;

    if (m->propagation == RUNTIME__V1__MOUNT_PROPAGATION__PROPAGATION_PRIVATE)
        return 0;
    if (!real)
        return err_sys(err, errno, "mount source %s", m->host_path);
    if (find_mount(real, &point, &fields, err) < 0)
        return err_errno(err);
    if (fields && (strstr(fields, "shared:") || (!both && strstr(fields, "master:"))))
        return 0;
    return err_set(err, GRPC_FAILED_PRECONDITION, 0,
                   "mount source %s is on %s, which is not a shared%s mount: propagation %s needs one (mount "
                   "--make-shared %s)",
                   m->host_path, point ? point : "/", both ? "" : " or slave",
                   both ? "BIDIRECTIONAL" : "HOST_TO_CONTAINER", point ? point : "/");
}

static void put_device(int out_fd, const char *path, const char *in_container, const struct stat *st,
                       const char *permissions)
{
    dprintf(out_fd, "%c %u %u %o %u %u %s %s\n", S_ISBLK(st->st_mode) ? 'b' : 'c', major(st->st_rdev),
            minor(st->st_rdev), st->st_mode & 07777, st->st_uid, st->st_gid, permissions,
            in_container ? in_container : path);
}

static bool is_device(const struct stat *st)
{
    return S_ISCHR(st->st_mode) || S_ISBLK(st->st_mode);
}

/* A directory of devices ("/dev/snd") means all that is in it. Terminals and what the runtime makes itself stay out. */
static void put_directory(int out_fd, const char *dir, const char *in_container, const char *permissions,
                          int depth)
{
    static const char *const skip[] = {"pts",  "shm",   "fd",     "mqueue", "console",
                                       "core", "stdin", "stdout", "stderr"};
    DIR *d = depth < DEV_DEPTH ? opendir(dir) : NULL;
    struct dirent *e;

    while (d && (e = readdir(d))) {
        struct stat st;
        bool skipped = e->d_name[0] == '.';
        for (size_t i = 0; i < countof(skip); i++)
            skipped |= strcmp(e->d_name, skip[i]) == 0;
        if (skipped)
            continue;
        cleanup_free char *path = mem_printf("%s/%s", dir, e->d_name);
        cleanup_free char *inside = mem_printf("%s/%s", in_container, e->d_name);
        if (lstat(path, &st) < 0 || strpbrk(path, " \n"))
            continue;
        if (S_ISDIR(st.st_mode))
            put_directory(out_fd, path, inside, permissions, depth + 1);
        else if (is_device(&st))
            put_device(out_fd, path, inside, &st, permissions);
    }
    if (d)
        closedir(d);
}

static int put_one(int out_fd, const Runtime__V1__Device *dev, struct err *err)
{
    const char *permissions = dev->permissions[0] ? dev->permissions : "rwm";
    const char *inside = dev->container_path[0] ? dev->container_path : dev->host_path;
    struct stat st;

    if (inside[0] != '/' || strpbrk(inside, "\n"))
        return err_set(err, GRPC_INVALID_ARGUMENT, 0, "device %s: container_path \"%.64s\" must be absolute",
                       dev->host_path, inside);
    if (strspn(permissions, "rwm") != strlen(permissions) || strlen(permissions) > 3)
        return err_set(err, GRPC_INVALID_ARGUMENT, 0,
                       "device %s: permissions \"%.16s\" may only have r, w and m", dev->host_path,
                       permissions);
    if (stat(dev->host_path, &st) < 0)
        return err_set(err, GRPC_INVALID_ARGUMENT, errno, "device %s", dev->host_path);
    if (S_ISDIR(st.st_mode))
        put_directory(out_fd, dev->host_path, inside, permissions, 0);
    else if (is_device(&st))
        put_device(out_fd, dev->host_path, inside, &st, permissions);
    else
        return err_set(err, GRPC_INVALID_ARGUMENT, 0,
                       "device %s is neither a device nor a directory of devices", dev->host_path);
    return 0;
}

static int do_work(const struct work *w, int out_fd, struct err *err)
{
    const Runtime__V1__ContainerConfig *c = w->config;

    if (w->log_path) {
        cleanup_free char *dir = mem_strdup(w->log_path);
        *strrchr(dir, '/') = '\0';
        if (dir[0] && dir_make(dir, 0755, err) < 0)
            return err_wrap(err, "log_directory");
    }
    for (size_t i = 0; i < c->n_mounts; i++) {
        if (c->mounts[i]->image)
            continue;
        if (make_source(c->mounts[i]->host_path, err) < 0 || check_propagation(c->mounts[i], err) < 0)
            return err_errno(err);
    }
    if (w->all_devices)
        put_directory(out_fd, "/dev", "/dev", "rwm", 0);
    for (size_t i = 0; i < c->n_devices; i++)
        if (put_one(out_fd, c->devices[i], err) < 0)
            return err_errno(err);
    return 0;
}

static int run(void *arg, int out_fd)
{
    struct err err = {0};

    if (do_work(arg, out_fd, &err) == 0)
        return 0;
    dprintf(STDERR_FILENO, "%d %d %s", err.grpc, err.sys, err.msg);
    return 1;
}

/* ---- in the daemon ------------------------------------------------------------------------------------------------- */

static void take_devices(struct pool *pool, const struct buf *text, struct host_devices *ret)
{
    size_t n = 0;
    char *save = NULL;

    for (size_t i = 0; i < text->len; i++)
        n += text->data[i] == '\n';
    if (n > DEVICES_MAX)
        n = DEVICES_MAX;
    ret->items = pool_alloc(pool, n * sizeof(*ret->items));
    for (char *line = text->data ? strtok_r(text->data, "\n", &save) : NULL; line && ret->n < n;
         line = strtok_r(NULL, "\n", &save)) {
        struct oci_device *d = &ret->items[ret->n];
        char permissions[8];
        int at = 0;
        if (sscanf(line, "%c %ld %ld %o %u %u %7s %n", &d->type, &d->major, &d->minor, &d->file_mode, &d->uid,
                   &d->gid, permissions, &at) != 7)
            continue;
        d->permissions = pool_strdup(pool, permissions);
        d->path = pool_strdup(pool, line + at);
        ret->n++;
    }
}

static int take_error(const struct child_result *r, struct err *err)
{
    int grpc, sys, at = 0;

    if (WIFEXITED(r->status) && WEXITSTATUS(r->status) == 1 && r->err.data &&
        sscanf(r->err.data, "%d %d %n", &grpc, &sys, &at) == 2) {
        err_set(err, grpc, 0, "%s", r->err.data + at);
        err->sys = sys;
        return err_errno(err);
    }
    return child_check(r, "look at mount sources and devices", err);
}

static void on_child_done(void *data, struct child_result *r)
{
    struct request *req = data;
    struct host_devices devices = {0};
    struct err err = {0};

    if (take_error(r, &err) < 0) {
        req->on_done(req->data, NULL, &err);
    } else {
        take_devices(req->pool, &r->out, &devices);
        req->on_done(req->data, &devices, NULL);
    }
    free(req);
}

int host_paths_prepare(struct loop *l, const Runtime__V1__ContainerConfig *config, const char *log_path,
                       bool all_devices, struct pool *pool, host_paths_done_fn *on_done, void *data,
                       struct child **ret_child, struct err *err)
{
    struct request *req = mem_new(struct request);
    struct work w = {config, log_path, all_devices};
    struct child_spec spec = {.name = "host paths", .run = run, .arg = &w, .timeout_ms = TIMEOUT_MS};

    *req = (struct request){pool, on_done, data};
    if (child_start(l, &spec, on_child_done, req, ret_child, err) < 0) {
        free(req);
        return err_errno(err);
    }
    return 0;
}
