#include "loop/rootfs.h"
#include "core/file.h"
#include "core/in_root.h"
#include "core/mem.h"
#include "core/overlay.h"
#include "core/tree.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>

/* What the child writes: this, then the groups, then the home's bytes. */
struct reply {
    int rc;
    struct err err;
    uint32_t uid, gid;
    uint64_t groups_n, home_len;
};

static int make_dirs(const char *path, struct err *err)
{
    cleanup_free char *copy = mem_strdup(path);

    for (char *slash = strchr(copy + 1, '/');; slash = strchr(slash + 1, '/')) {
        if (slash)
            *slash = '\0';
        if (mkdir(copy, slash ? 0755 : 0700) < 0 && errno != EEXIST)
            return err_sys(err, errno, "cannot make directory %s", copy);
        if (!slash)
            return 0;
        *slash = '/';
    }
}

/* The root of an overlay looks like the upper directory: give it what the uppermost layer says of "/". */
static int make_upper(const char *upper, const char *top_layer, struct err *err)
{
    struct stat st;

    if (stat(top_layer, &st) < 0)
        return err_sys(err, errno, "layer %s", top_layer);
    if (mkdir(upper, 0755) < 0 || chown(upper, st.st_uid, st.st_gid) < 0 ||
        chmod(upper, st.st_mode & 07777) < 0)
        return err_sys(err, errno, "cannot make %s", upper);
    return 0;
}

/* Empties what an earlier attempt left: a work directory with a volatile mark is not mountable again. */
static int make_dir_anew(const char *path, struct err *err)
{
    int r = tree_remove(path, err);

    if (r < 0)
        return r;
    return mkdir(path, 0700) < 0 ? err_sys(err, errno, "cannot make directory %s", path) : 0;
}

static int mount_root(const struct rootfs_spec *s, struct err *err)
{
    cleanup_free char *upper = mem_printf("%s/upper", s->data_dir), *work = mem_printf("%s/work", s->data_dir),
                      *empty = mem_printf("%s/empty", s->data_dir);
    const char *const none[] = {empty, NULL};
    const char *const *layers = s->layers && s->layers[0] ? s->layers : none;
    size_t n = 0;
    int r;

    while (layers[n])
        n++;
    if ((r = make_dirs(s->data_dir, err)) < 0 || (r = make_dirs(s->target, err)) < 0 ||
        (r = tree_remove(upper, err)) < 0 || (r = make_dir_anew(work, err)) < 0)
        return r;
    if (layers == none && mkdir(empty, 0755) < 0 && errno != EEXIST)
        return err_sys(err, errno, "cannot make directory %s", empty);
    if ((r = make_upper(upper, layers[n - 1], err)) < 0)
        return r;
    const struct overlay_spec o = {.layers = layers, .upper = upper, .work = work, .target = s->target};
    return overlay_mount(&o, err);
}

static int find_user(int root, const struct rootfs_spec *s, struct image_user *ret_user, struct err *err)
{
    static const struct image_user_spec nobody_asked = {0};
    cleanup_free char *passwd = NULL, *group = NULL;
    int r;

    if ((r = in_root_read(root, "/etc/passwd", IMAGE_USER_FILE_MAX, &passwd, err)) < 0 ||
        (r = in_root_read(root, "/etc/group", IMAGE_USER_FILE_MAX, &group, err)) < 0)
        return r;
    return image_user_resolve(s->user ? s->user : &nobody_asked, passwd, group, ret_user, err);
}

static int prepare(const struct rootfs_spec *s, struct image_user *ret_user, struct err *err)
{
    int r = mount_root(s, err);

    if (r < 0)
        return r;
    cleanup_close int root = open(s->target, O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (root < 0)
        return err_sys(err, errno, "cannot open %s", s->target);
    if (s->working_dir && s->working_dir[0] && (r = in_root_mkdir(root, s->working_dir, err)) < 0)
        return r;
    return find_user(root, s, ret_user, err);
}

/* In the child. */
static int run_prepare(void *arg, int out_fd)
{
    const struct rootfs_spec *s = arg;
    struct image_user u = {0};
    struct reply reply = {0};

    umask(0);
    reply.rc = prepare(s, &u, &reply.err);
    if (reply.rc < 0)
        err_wrap(&reply.err, "root of %s", s->name);
    reply.uid = u.uid;
    reply.gid = u.gid;
    reply.groups_n = u.groups_n;
    reply.home_len = u.home ? strlen(u.home) : 0;
    int r = fd_write_all(out_fd, &reply, sizeof(reply));
    if (r == 0)
        r = fd_write_all(out_fd, u.groups, u.groups_n * sizeof(*u.groups));
    if (r == 0)
        r = fd_write_all(out_fd, u.home, reply.home_len);
    return r < 0;
}

static int run_remove(void *arg, int out_fd)
{
    const char *const *paths = arg; /* data_dir, target, bundle or NULL */
    struct reply reply = {0};

    while (umount2(paths[1], UMOUNT_NOFOLLOW) == 0)
        ; /* as often as it was mounted */
    if (errno == EBUSY && umount2(paths[1], UMOUNT_NOFOLLOW | MNT_DETACH) < 0)
        reply.rc = err_sys(&reply.err, errno, "cannot unmount %s", paths[1]);
    if (reply.rc == 0 && rmdir(paths[1]) < 0 && errno != ENOENT)
        reply.rc = err_sys(&reply.err, errno, "cannot remove %s", paths[1]);
    if (reply.rc == 0)
        reply.rc = tree_remove(paths[0], &reply.err);
    if (reply.rc == 0 && paths[2])
        reply.rc = tree_remove(paths[2], &reply.err);
    return fd_write_all(out_fd, &reply, sizeof(reply)) < 0;
}

struct job {
    rootfs_prepared_fn *on_prepared;
    rootfs_done_fn *on_removed;
    void *data;
};

/* The child's word, or what is to be said about a child that gave none. */
static int reply_of(const struct child_result *r, const char *what, struct reply *ret, struct err *err)
{
    int rc = child_check(r, what, err);

    if (rc < 0)
        return rc;
    if (r->out.len < sizeof(*ret))
        return err_set(err, GRPC_INTERNAL, 0, "%s: short answer from its child", what);
    memcpy(ret, r->out.data, sizeof(*ret));
    if (ret->rc < 0)
        *err = ret->err;
    return ret->rc;
}

static int user_of(const struct child_result *r, const struct reply *reply, struct image_user *ret_user,
                   struct err *err)
{
    const char *p = r->out.data + sizeof(*reply);
    size_t left = r->out.len - sizeof(*reply), groups = reply->groups_n * sizeof(uint32_t);

    if (reply->groups_n > 2 * IMAGE_USER_GROUPS_MAX || left != groups + reply->home_len)
        return err_set(err, GRPC_INTERNAL, 0, "container root: short answer from its child");
    *ret_user = (struct image_user){
        .uid = reply->uid,
        .gid = reply->gid,
        .groups = mem_dup(p, groups),
        .groups_n = reply->groups_n,
        .home = mem_strndup(p + groups, reply->home_len),
    };
    return 0;
}

static void on_prepare_child(void *data, struct child_result *result)
{
    cleanup_free struct job *j = data;
    struct image_user u = {0};
    struct reply reply;
    struct err err = {0};
    int r = reply_of(result, "container root", &reply, &err);

    if (r == 0)
        r = user_of(result, &reply, &u, &err);
    j->on_prepared(j->data, r < 0 ? NULL : &u, r < 0 ? &err : NULL);
    image_user_done(&u);
}

static void on_remove_child(void *data, struct child_result *result)
{
    cleanup_free struct job *j = data;
    struct reply reply;
    struct err err = {0};
    int r = reply_of(result, "container root", &reply, &err);

    j->on_removed(j->data, r < 0 ? &err : NULL);
}

static struct job *job_new(rootfs_prepared_fn *on_prepared, rootfs_done_fn *on_removed, void *data)
{
    struct job *j = mem_new(struct job);

    *j = (struct job){on_prepared, on_removed, data};
    return j;
}

int rootfs_prepare(struct loop *l, const struct rootfs_spec *spec, rootfs_prepared_fn *on_done, void *data,
                   struct child **ret_child, struct err *err)
{
    struct rootfs_spec copy = *spec;
    const struct child_spec cs = {
        .name = "container root", .run = run_prepare, .arg = &copy, .out_max = 4 << 20};

    if (spec->user) {
        int checked = image_user_check(spec->user, err); /* what needs no image is told at once */
        if (checked < 0)
            return checked;
    }
    struct job *j = job_new(on_done, NULL, data);
    int r = child_start(l, &cs, on_prepare_child, j, ret_child, err);
    if (r < 0)
        free(j);
    return r;
}

int rootfs_remove(struct loop *l, const char *data_dir, const char *target, const char *bundle,
                  rootfs_done_fn *on_done, void *data, struct err *err)
{
    const char *paths[] = {data_dir, target, bundle};
    const struct child_spec cs = {.name = "container root", .run = run_remove, .arg = paths};
    struct job *j = job_new(NULL, on_done, data);
    int r = child_start(l, &cs, on_remove_child, j, NULL, err);

    if (r < 0)
        free(j);
    return r;
}
