#include "netns/cni_cache.h"
#include "core/file.h"
#include "core/mem.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>

enum { FILE_MAX = 4 << 20 }; /* a list and a result of 1 MiB each, and room */

void cni_cached_done(struct cni_cached *c)
{
    cni_conf_unref(c->conf);
    json_decref(c->runtime);
    json_decref(c->result);
    free(c->args);
    free(c->netns);
    *c = (struct cni_cached){0};
}

/* A name that leads out of the directory cannot come from us: refuse it before it is a path. */
static int file_path(const char *dir, const char *id, const char *ifname, const char *kind, char **ret,
                     struct err *err)
{
    if (!*id || strchr(id, '/') || *id == '.' || !*ifname || strchr(ifname, '/'))
        return err_set(err, GRPC_INVALID_ARGUMENT, 0,
                       "CNI attachment: container id \"%.80s\" or interface \"%.32s\" is not usable", id,
                       ifname);
    *ret = mem_printf("%s/%s-%s.%s", dir, id, ifname, kind);
    return 0;
}

int cni_cache_save(const char *dir, const char *container_id, const char *ifname, const struct cni_cached *c,
                   struct err *err)
{
    cleanup_free char *path = NULL;
    int r = file_path(dir, container_id, ifname, "json", &path, err);

    if (r < 0)
        return r;
    json_t *o = json_pack("{s:i, s:s, s:O, s:s, s:s, s:O*, s:O*}", "cricket", 1, "file", c->conf->file, "list",
                          c->conf->json, "args", c->args, "netns", c->netns, "runtime", c->runtime, "result",
                          c->result);
    cleanup_free char *text = o ? json_dumps(o, JSON_COMPACT) : NULL;
    json_decref(o);
    if (!text)
        return err_set(err, GRPC_INVALID_ARGUMENT, 0, "CNI attachment of %.80s: a name in it is not UTF-8",
                       container_id);
    if (mkdir(dir, 0700) < 0 && errno != EEXIST)
        return err_sys(err, errno, "make directory %s", dir);
    return file_write(path, text, strlen(text), 0600, err);
}

/* *ret NULL and 0 when there is no such file. */
static int read_file(const char *path, json_t **ret, struct err *err)
{
    cleanup_buf struct buf b = {0};
    json_error_t at;
    int r = file_read(path, FILE_MAX, &b, err);

    if (r < 0)
        return r == -ENOENT ? 0 : r;
    *ret = json_loadb(b.data ? b.data : "", b.len, 0, &at);
    if (!*ret)
        return err_set(err, GRPC_DATA_LOSS, 0, "%s:%d: %s", path, at.line, at.text);
    return 0;
}

static int take_apart(const char *path, json_t *o, struct cni_cached *ret, struct err *err)
{
    const char *file = json_string_value(json_object_get(o, "file"));
    const char *args = json_string_value(json_object_get(o, "args")),
               *netns = json_string_value(json_object_get(o, "netns"));
    cleanup_free char *list = json_dumps(json_object_get(o, "list"), JSON_COMPACT);

    if (!file || !args || !netns || !list)
        return err_set(err, GRPC_DATA_LOSS, 0, "%s: file, args, netns or list is missing", path);
    int r = cni_conf_parse(file, list, strlen(list), &ret->conf, err);
    if (r < 0)
        return err_wrap(err, "%s", path);
    ret->args = mem_strdup(args);
    ret->netns = mem_strdup(netns);
    ret->runtime = json_incref(json_object_get(o, "runtime"));
    ret->result = json_incref(json_object_get(o, "result"));
    return 0;
}

int cni_cache_load(const char *dir, const char *container_id, const char *ifname, struct cni_cached *ret,
                   struct err *err)
{
    cleanup_free char *path = NULL;
    json_t *o = NULL;
    int r = file_path(dir, container_id, ifname, "json", &path, err);

    *ret = (struct cni_cached){0};
    if (r < 0 || (r = read_file(path, &o, err)) < 0 || !o)
        return r;
    r = take_apart(path, o, ret, err);
    json_decref(o);
    return r;
}

static int remove_file(const char *dir, const char *id, const char *ifname, const char *kind, struct err *err)
{
    cleanup_free char *path = NULL;
    int r = file_path(dir, id, ifname, kind, &path, err);

    if (r == 0 && unlink(path) < 0 && errno != ENOENT)
        return err_sys(err, errno, "remove %s", path);
    return r;
}

int cni_cache_remove(const char *dir, const char *container_id, const char *ifname, struct err *err)
{
    int r = remove_file(dir, container_id, ifname, "stdin", err);

    return r < 0 ? r : remove_file(dir, container_id, ifname, "json", err);
}

int cni_cache_stdin(const char *dir, const char *container_id, const char *ifname, const char *text,
                    int *ret_fd, struct err *err)
{
    cleanup_free char *path = NULL;
    size_t len = strlen(text);
    int r = file_path(dir, container_id, ifname, "stdin", &path, err);

    if (r < 0)
        return r;
    cleanup_close int fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (fd < 0 || write(fd, text, len) != (ssize_t)len || lseek(fd, 0, SEEK_SET) < 0)
        return err_sys(err, errno, "write %s", path);
    if (flock(fd, LOCK_EX | LOCK_NB) < 0 && errno != EWOULDBLOCK)
        return err_sys(err, errno, "lock %s", path);
    *ret_fd = steal_fd(&fd);
    return 0;
}

bool cni_cache_plugin_runs(const char *dir, const char *container_id, const char *ifname)
{
    cleanup_free char *path = NULL;
    struct err ignored;

    if (file_path(dir, container_id, ifname, "stdin", &path, &ignored) < 0)
        return false;
    cleanup_close int fd = open(path, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
    return fd >= 0 && flock(fd, LOCK_EX | LOCK_NB) < 0 && errno == EWOULDBLOCK;
}

void cni_cache_tidy(const char *dir)
{
    DIR *d = opendir(dir);
    struct dirent *e;

    while (d && (e = readdir(d))) {
        const char *end = strrchr(e->d_name, '.');
        if (end && strcmp(end, ".tmp") == 0)
            unlinkat(dirfd(d), e->d_name, 0);
    }
    if (d)
        closedir(d);
}
