#include "netns/cni_dir.h"
#include "core/file.h"
#include "core/log.h"
#include "core/mem.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

enum { FILES_MAX = 256 };

void cni_dir_init(struct cni_dir *d, const char *path, struct cni_conf *fallback)
{
    *d = (struct cni_dir){.path = mem_strdup(path), .fallback = fallback};
}

void cni_dir_done(struct cni_dir *d)
{
    cni_conf_unref(d->conf);
    cni_conf_unref(d->fallback);
    free(d->path);
}

/* ---- looking ------------------------------------------------------------------------------------------------------- */

static int is_candidate(const struct dirent *e)
{
    static const char *const suffixes[] = {".conflist", ".conf", ".json"};
    const char *dot = strrchr(e->d_name, '.');

    if (!dot || dot == e->d_name)
        return 0;
    for (size_t i = 0; i < countof(suffixes); i++)
        if (!strcmp(dot, suffixes[i]))
            return 1;
    return 0;
}

static int by_name(const struct dirent **a, const struct dirent **b)
{
    return strcmp((*a)->d_name, (*b)->d_name); /* bytes, whatever the locale */
}

struct listing {
    struct dirent **names;
    int n;
    int sys; /* positive errno when the directory cannot be read */
};

static void listing_done(struct listing *l)
{
    for (int i = 0; i < l->n; i++)
        free(l->names[i]);
    free(l->names);
}

static struct listing list(const struct cni_dir *d)
{
    struct listing l = {0};

    l.n = scandir(d->path, &l.names, is_candidate, by_name);
    if (l.n < 0)
        l = (struct listing){.sys = errno};
    return l;
}

static uint64_t mix(uint64_t h, const void *p, size_t n)
{
    for (size_t i = 0; i < n; i++)
        h = (h ^ ((const unsigned char *)p)[i]) * 1099511628211u; /* FNV-1a */
    return h;
}

static uint64_t fingerprint(const struct cni_dir *d, const struct listing *l)
{
    uint64_t h = mix(mix(14695981039346656037u, &l->n, sizeof(l->n)), &l->sys, sizeof(l->sys));
    cleanup_close int dir = open(d->path, O_PATH | O_DIRECTORY | O_CLOEXEC);

    for (int i = 0; i < l->n && i < FILES_MAX; i++) {
        struct stat st;
        h = mix(h, l->names[i]->d_name, strlen(l->names[i]->d_name) + 1);
        if (fstatat(dir, l->names[i]->d_name, &st, 0) < 0)
            continue;
        h = mix(h, &st.st_ino, sizeof(st.st_ino));
        h = mix(h, &st.st_size, sizeof(st.st_size));
        h = mix(h, &st.st_mtim, sizeof(st.st_mtim));
        h = mix(h, &st.st_ctim, sizeof(st.st_ctim)); /* a file put back by rename keeps its mtime */
    }
    return h;
}

/* ---- reading ------------------------------------------------------------------------------------------------------- */

static int read_conf(const char *path, struct cni_conf **ret, struct err *err)
{
    cleanup_buf struct buf b = {0};
    struct err why;

    if (file_read(path, CNI_CONF_MAX, &b, &why) < 0)
        return err_set(err, GRPC_FAILED_PRECONDITION, 0, "CNI configuration: %s", why.msg);
    return cni_conf_parse(path, b.data ? b.data : "", b.len, ret, err);
}

static void use(struct cni_dir *d, struct cni_conf *c)
{
    if (!d->conf || strcmp(d->conf->file, c->file) != 0)
        log_info("CNI network %s from %s", c->name, c->file);
    cni_conf_unref(d->conf);
    d->conf = c;
}

static void use_none(struct cni_dir *d)
{
    cni_conf_unref(d->conf);
    d->conf = NULL;
}

/* The first that can be used; those before it that cannot are logged, and told of when there is no other. */
static void read_all(struct cni_dir *d, const struct listing *l)
{
    d->why = (struct err){0};
    for (int i = 0; i < l->n && i < FILES_MAX; i++) {
        cleanup_free char *path = mem_printf("%s/%s", d->path, l->names[i]->d_name);
        struct cni_conf *c;
        struct err err;
        if (read_conf(path, &c, &err) == 0) {
            use(d, c);
            return;
        }
        log_warn("%s", err.msg);
        if (!d->why.grpc)
            d->why = err;
    }
    if (l->n == 0 && d->fallback) {
        use(d, cni_conf_ref(d->fallback));
        return;
    }
    use_none(d);
    if (!d->why.grpc)
        err_set(&d->why, GRPC_FAILED_PRECONDITION, l->sys != ENOENT ? l->sys : 0,
                "no CNI configuration: put a *.conflist into %s", d->path);
}

const struct cni_conf *cni_dir_conf(struct cni_dir *d, struct err *err)
{
    cleanup_with(listing_done) struct listing l = list(d);
    uint64_t now = fingerprint(d, &l);

    if (!d->read_once || now != d->seen)
        read_all(d, &l);
    d->read_once = true;
    d->seen = now;
    if (!d->conf && err)
        *err = d->why;
    return d->conf;
}
