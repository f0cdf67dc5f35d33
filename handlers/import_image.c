/*
 * ImportImage: an archive on this host (an OCI layout or docker-save's, plain or compressed) becomes images. It is unpacked
 * as it is into ROOT/tmp/import-ID, and its layers go through the unpacker like those of a pull.
 */
#include "core/archive_index.h"
#include "core/buf.h"
#include "core/digest.h"
#include "core/ids.h"
#include "core/image_config.h"
#include "core/image_ref.h"
#include "core/log.h"
#include "core/manifest.h"
#include "core/mem.h"
#include "handlers/image_table.h"
#include "handlers/layer_set.h"
#include "handlers/daemon.h"
#include "handlers/methods.h"
#include "handlers/rpc.h"
#include "loop/flow.h"
#include "loop/unpack.h"
#include "proto/cricket.pb-c.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>

struct imported {
    char *config_json;
    size_t config_len;
    uint64_t size;
    size_t first_job, jobs_n; /* in the set */
    char **tags;              /* NULL-terminated; owned */
    const struct image_entry *image;
};

struct import {
    struct flow flow; /* the first member */
    struct images *im;
    struct rpc *rpc; /* NULL: the client is gone */
    char *path, *reference;
    char *tree; /* where the archive is unpacked */
    int tree_fd;
    struct unpack *unpack;
    struct imported *images;
    size_t n, cap;
    struct layer_set set;
    char **blobs; /* of each job: its path in the tree */
    size_t blobs_n, blobs_cap;
    size_t fixed;
};

static int extract(struct flow *f);
static int read_index(struct flow *f);
static int unpack_layers(struct flow *f);
static int fix_implied(struct flow *f);
static int commit(struct flow *f);

static const struct flow_step import_image_steps[] = {
    {"extract", extract, NULL},       /* the archive -> a tree */
    {"read index", read_index, NULL}, /* its images, for this platform */
    {"layers", unpack_layers, NULL},  {"fix implied", fix_implied, NULL},
    {"commit", commit, NULL},         {0}, /* the tree and what nobody holds go in on_imported() */
};

/* ---- the archive ---- */

static void on_extracted(void *data, const struct unpack_result *result, const struct err *why)
{
    struct import *p = data;
    struct err err;

    (void)result;
    p->unpack = NULL;
    if (why) {
        err = *why;
        err_wrap(&err, "archive %s", p->path);
        flow_done(&p->flow, &err);
        return;
    }
    p->tree_fd = open(p->tree, O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (p->tree_fd < 0) {
        err_sys(&err, errno, "cannot open %s", p->tree);
        flow_done(&p->flow, &err);
        return;
    }
    flow_resume(&p->flow, 0);
}

static void cancel_extract(struct flow *f)
{
    struct import *p = f->data;

    unpack_cancel(p->unpack);
}

static int extract(struct flow *f)
{
    struct import *p = f->data;
    struct stat st;
    cleanup_close int fd = open(p->path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);

    if (fd < 0 || fstat(fd, &st) < 0)
        return err_sys(&f->err, errno, "cannot open archive %s", p->path);
    if (!S_ISREG(st.st_mode))
        return err_set(&f->err, GRPC_INVALID_ARGUMENT, 0, "archive %s is no regular file", p->path);
    struct unpack_spec spec = {
        .binary = p->im->daemon->unpack_path, .dir = p->tree, .input_fd = fd, .plain_archive = true};
    f->cancel_wait = cancel_extract;
    int r = unpack_start(f->loop, &spec, on_extracted, p, &p->unpack, &f->err);
    return r < 0 ? r : FLOW_WAIT;
}

/* Links in the tree lead anywhere: nothing outside of it is opened. */
static int open_member(const struct import *p, const char *path, struct err *err)
{
    struct open_how how = {.flags = O_RDONLY | O_CLOEXEC | O_NONBLOCK,
                           .resolve = RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS};
    struct stat st;
    int fd = (int)syscall(SYS_openat2, p->tree_fd, path, &how, sizeof(how));

    if (fd < 0)
        return errno == ENOENT ? err_set(err, GRPC_NOT_FOUND, 0, "the archive has no %s", path)
                               : err_sys(err, errno, "cannot open %s in the archive", path);
    if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode)) {
        close(fd);
        return err_set(err, GRPC_INVALID_ARGUMENT, 0, "%s in the archive is no regular file", path);
    }
    return fd;
}

/* A document, at most 4 MiB; digest NULL: not checked. */
static int read_member(const struct import *p, const char *path, const char *digest, struct buf *ret_text,
                       struct err *err)
{
    char chunk[65536], found[DIGEST_MAX + 1];
    cleanup_close int fd = open_member(p, path, err);
    ssize_t n;

    if (fd < 0)
        return fd;
    ret_text->max = MANIFEST_MAX;
    while ((n = read(fd, chunk, sizeof(chunk))) > 0 && !ret_text->truncated)
        buf_add(ret_text, chunk, (size_t)n);
    if (n < 0)
        return err_sys(err, errno, "cannot read %s in the archive", path);
    if (ret_text->truncated)
        return err_set(err, GRPC_INVALID_ARGUMENT, 0, "%s in the archive has more than %d bytes", path,
                       MANIFEST_MAX);
    buf_add(ret_text, "", 0);
    struct digest *sum = digest_new(digest);
    digest_add(sum, ret_text->data ? ret_text->data : "", ret_text->len);
    digest_end(sum, found);
    if (digest && strcmp(digest, found) != 0)
        return err_set(err, GRPC_DATA_LOSS, 0, "%s in the archive has the digest %s", path, found);
    return 0;
}

static int read_blob(const struct import *p, const char *digest, struct buf *ret_text, struct err *err)
{
    cleanup_free char *path = oci_layout_blob_path(digest);

    return read_member(p, path, digest, ret_text, err);
}

/* ---- its images ---- */

/* Full names only: the word alone that some tools write is a tag without a repository. */
static bool is_full_name(const char *name)
{
    return name && (strchr(name, '/') || strchr(name, ':'));
}

static int add_tag(struct imported *i, const char *name, struct err *err)
{
    struct image_ref ref;
    size_t n = 0;

    if (!name || !*name)
        return 0;
    if (image_ref_parse(name, &ref, err) < 0)
        return err_errno(err);
    char *tag = image_ref_tagged(&ref);
    image_ref_done(&ref);
    while (i->tags && i->tags[n])
        n++;
    i->tags = mem_realloc(i->tags, (n + 2) * sizeof(*i->tags));
    i->tags[n] = tag;
    i->tags[n + 1] = NULL;
    return 0;
}

static void add_job(struct import *p, const char *diff_id, const char *digest, uint64_t size, char *path)
{
    p->blobs = mem_grow(p->blobs, &p->blobs_cap, p->blobs_n + 1, sizeof(*p->blobs));
    p->blobs[p->blobs_n++] = path;
    layer_set_add(&p->set, diff_id, digest, size);
}

static struct imported *add_image(struct import *p, struct buf *config)
{
    p->images = mem_grow(p->images, &p->cap, p->n + 1, sizeof(*p->images));
    struct imported *i = &p->images[p->n++];
    i->config_len = config->len;
    i->config_json = buf_steal(config);
    i->first_job = p->set.n;
    i->size = i->config_len;
    return i;
}

static int check_layers(const struct import *p, const struct image_config *c, size_t layers_n, struct err *err)
{
    if (c->diff_ids_n != layers_n)
        return err_set(err, GRPC_INVALID_ARGUMENT, 0, "archive %s: a config has %zu layers, its manifest %zu",
                       p->path, c->diff_ids_n, layers_n);
    for (size_t i = 0; i < layers_n; i++)
        if (strncmp(c->diff_ids[i], "sha256:", 7) != 0)
            return err_set(err, GRPC_UNIMPLEMENTED, 0, "archive %s: diff ID %.80s is not sha256", p->path,
                           c->diff_ids[i]);
    return 0;
}

static int add_oci_image(struct import *p, const struct manifest *m, const char *name, struct err *err)
{
    struct buf config __attribute__((cleanup(buf_done))) = {0};
    struct image_config *c = NULL;
    int r = read_blob(p, m->config.digest, &config, err);

    if (r == 0)
        r = image_config_parse(config.data ? config.data : "", config.len, &c, err);
    if (r == 0)
        r = check_layers(p, c, m->layers_n, err);
    if (r == 0) {
        struct imported *i = add_image(p, &config);
        i->size = manifest_size(m);
        i->jobs_n = m->layers_n;
        for (size_t k = 0; k < m->layers_n; k++)
            add_job(p, c->diff_ids[k], m->layers[k].blob.digest, m->layers[k].blob.size,
                    oci_layout_blob_path(m->layers[k].blob.digest));
        r = is_full_name(name) ? add_tag(i, name, err) : 0;
    }
    image_config_free(c);
    return r;
}

/* An entry of the layout's index: an image, or an index of the same image for several platforms. 1: not for this platform. */
static int add_oci_entry(struct import *p, const struct manifest_entry *e, const char *name, int depth,
                         struct err *err)
{
    struct buf text __attribute__((cleanup(buf_done))) = {0};
    struct manifest m __attribute__((cleanup(manifest_done))) = {0};
    const struct manifest_entry *inner;
    const struct platform *host = platform_host();
    int r;

    if (e->attestation ||
        (e->platform.architecture && strcmp(e->platform.architecture, host->architecture) != 0) ||
        (e->platform.os && strcmp(e->platform.os, host->os) != 0))
        return 1;
    if ((r = read_blob(p, e->manifest.digest, &text, err)) < 0 ||
        (r = manifest_parse(text.data ? text.data : "", text.len, e->manifest.media_type, &m, err)) < 0)
        return r;
    if (m.kind == MANIFEST_IMAGE)
        return add_oci_image(p, &m, name, err);
    if (depth > 2 || manifest_choose(&m, host, &inner, NULL) < 0)
        return 1;
    return add_oci_entry(p, inner, name, depth + 1, err);
}

static int read_oci_layout(struct import *p, struct err *err)
{
    struct buf text __attribute__((cleanup(buf_done))) = {0}, layout __attribute__((cleanup(buf_done))) = {0};
    struct manifest m __attribute__((cleanup(manifest_done))) = {0};
    int r = read_member(p, "oci-layout", NULL, &layout, err);

    if (r < 0 || (r = oci_layout_check(layout.data ? layout.data : "", layout.len, err)) < 0 ||
        (r = read_member(p, "index.json", NULL, &text, err)) < 0 ||
        (r = manifest_parse(text.data ? text.data : "", text.len, "application/vnd.oci.image.index.v1+json", &m,
                            err)) < 0)
        return r;
    for (size_t i = 0; r >= 0 && i < m.entries_n; i++)
        r = add_oci_entry(p, &m.entries[i], m.entries[i].name, 0, err);
    return r < 0 ? r : 0;
}

static int add_docker_image(struct import *p, const struct docker_archive_image *d, struct err *err)
{
    struct buf config __attribute__((cleanup(buf_done))) = {0};
    struct image_config *c = NULL;
    int r = read_member(p, d->config, NULL, &config, err);

    if (r == 0)
        r = image_config_parse(config.data ? config.data : "", config.len, &c, err);
    if (r == 0 && c->architecture && strcmp(c->architecture, platform_host()->architecture) != 0) {
        image_config_free(c);
        return 0;
    }
    if (r == 0)
        r = check_layers(p, c, d->layers_n, err);
    if (r == 0) {
        struct imported *i = add_image(p, &config);
        i->jobs_n = d->layers_n;
        for (size_t k = 0; k < d->layers_n; k++)
            add_job(p, c->diff_ids[k], NULL, 0, mem_strdup(d->layers[k]));
        for (char **t = d->repo_tags; r == 0 && *t; t++)
            r = add_tag(i, *t, err);
    }
    image_config_free(c);
    return r;
}

static int read_docker_archive(struct import *p, struct err *err)
{
    struct buf text __attribute__((cleanup(buf_done))) = {0};
    struct docker_archive a __attribute__((cleanup(docker_archive_done))) = {0};
    int r = read_member(p, "manifest.json", NULL, &text, err);

    if (r < 0 || (r = docker_archive_parse(text.data ? text.data : "", text.len, &a, err)) < 0)
        return r;
    for (size_t i = 0; r == 0 && i < a.n; i++)
        r = add_docker_image(p, &a.images[i], err);
    return r;
}

/* The request's name is for the one image that the archive does not name. */
static int name_the_nameless(struct import *p, struct err *err)
{
    struct imported *nameless = NULL;
    size_t n = 0;

    if (!p->reference || !p->reference[0])
        return 0;
    for (size_t i = 0; i < p->n; i++)
        if (!p->images[i].tags) {
            nameless = &p->images[i];
            n++;
        }
    if (n > 1)
        return err_set(
            err, GRPC_INVALID_ARGUMENT, 0,
            "archive %s holds %zu images without a name, and \"%s\" can name only one: import it without "
            "a name and use their ids, or make an archive of one image",
            p->path, n, p->reference);
    return nameless ? add_tag(nameless, p->reference, err) : 0;
}

static int read_index(struct flow *f)
{
    struct import *p = f->data;
    const struct platform *host = platform_host();
    bool oci = faccessat(p->tree_fd, "index.json", F_OK, AT_SYMLINK_NOFOLLOW) == 0;
    bool docker = faccessat(p->tree_fd, "manifest.json", F_OK, AT_SYMLINK_NOFOLLOW) == 0;
    int r;

    if (!oci && !docker)
        return err_set(
            &f->err, GRPC_INVALID_ARGUMENT, 0,
            "archive %s holds no image: neither index.json (OCI layout) nor manifest.json (docker save)",
            p->path);
    r = oci ? read_oci_layout(p, &f->err) : read_docker_archive(p, &f->err);
    if (r < 0)
        return err_wrap(&f->err, "import of %s", p->path);
    if (p->n == 0)
        return err_set(&f->err, GRPC_NOT_FOUND, 0, "archive %s holds no image for %s/%s", p->path, host->os,
                       host->architecture);
    return name_the_nameless(p, &f->err);
}

/* ---- layers and images ---- */

static int open_source(void *data, size_t job, struct layer_source *source, struct err *err)
{
    struct import *p = data;
    int fd = open_member(p, p->blobs[job], err);

    source->fd = fd;
    return fd < 0 ? fd : 0;
}

static void on_layers(void *data, const struct err *why)
{
    struct import *p = data;
    struct err err;

    if (!why) {
        flow_resume(&p->flow, 0);
        return;
    }
    err = *why;
    err_wrap(&err, "import of %s", p->path);
    flow_done(&p->flow, &err);
}

static void cancel_layers(struct flow *f)
{
    struct import *p = f->data;

    layer_set_cancel(&p->set);
}

static int unpack_layers(struct flow *f)
{
    struct import *p = f->data;

    p->set.open_source = open_source;
    p->set.on_done = on_layers;
    p->set.data = p;
    f->cancel_wait = cancel_layers;
    layer_set_start(&p->set, f->loop);
    return FLOW_WAIT;
}

static int fix_next(struct import *p, struct err *err);

static void on_fixed(void *data, const struct err *why)
{
    struct import *p = data;
    struct err err;
    int r = why ? 0 : fix_next(p, &err);

    if (why)
        flow_done(&p->flow, why);
    else if (r < 0)
        flow_done(&p->flow, &err);
    else if (r == 0)
        flow_resume(&p->flow, 0);
}

static int fix_next(struct import *p, struct err *err)
{
    if (p->fixed == p->n || p->set.fetched == 0)
        return 0;
    const struct imported *i = &p->images[p->fixed++];
    const char **dirs = mem_alloc((i->jobs_n + 1) * sizeof(*dirs));
    for (size_t k = 0; k < i->jobs_n; k++)
        dirs[k] = p->set.jobs[i->first_job + k].layer->dir;
    int r = unpack_fix_implied(p->flow.loop, dirs, on_fixed, p, err);
    free(dirs);
    return r < 0 ? r : FLOW_WAIT;
}

static int fix_implied(struct flow *f)
{
    return fix_next(f->data, &f->err);
}

static int commit(struct flow *f)
{
    struct import *p = f->data;
    int r = 0;

    for (size_t n = 0; r == 0 && n < p->n; n++) {
        struct imported *i = &p->images[n];
        struct layer **layers = mem_alloc((i->jobs_n + 1) * sizeof(struct layer *));
        for (size_t k = 0; k < i->jobs_n; k++) {
            layers[k] = p->set.jobs[i->first_job + k].layer;
            if (i->size == i->config_len || p->set.jobs[i->first_job + k].size == 0)
                i->size += layers[k]->bytes; /* docker-save's layers are not compressed */
        }
        struct image_new new = {.config_json = i->config_json,
                                .config_len = i->config_len,
                                .layers = layers,
                                .layers_n = i->jobs_n,
                                .size = i->size,
                                .tags = i->tags};
        r = images_commit(p->im, &new, &i->image, &f->err);
        free(layers);
        if (r == 0)
            log_info("imported %s from %s", i->tags ? i->tags[0] : i->image->i.id, p->path);
    }
    return r;
}

/* ---- the RPC ---- */

static void import_free(struct import *p)
{
    layer_set_done(&p->set);
    if (p->tree_fd >= 0)
        close(p->tree_fd);
    layers_discard(p->im->layers, p->tree);
    for (size_t i = 0; i < p->n; i++) {
        for (char **t = p->images[i].tags; t && *t; t++)
            free(*t);
        free(p->images[i].tags);
        free(p->images[i].config_json);
    }
    for (size_t i = 0; i < p->blobs_n; i++)
        free(p->blobs[i]);
    free(p->blobs);
    free(p->images);
    free(p->path);
    free(p->reference);
    free(p->tree);
    free(p);
}

static void reply_images(struct import *p)
{
    Cricket__V1__ImportImageResponse reply = CRICKET__V1__IMPORT_IMAGE_RESPONSE__INIT;

    reply.images = rpc_alloc(p->rpc, p->n * sizeof(*reply.images));
    for (size_t n = 0; n < p->n; n++) {
        Cricket__V1__ImportedImage *m = rpc_new(p->rpc, Cricket__V1__ImportedImage);
        cricket__v1__imported_image__init(m);
        m->id = rpc_strdup(p->rpc, p->images[n].image->i.id);
        while (p->images[n].tags && p->images[n].tags[m->n_references])
            m->n_references++;
        m->references = p->images[n].tags;
        reply.images[reply.n_images++] = m;
    }
    rpc_reply(p->rpc, &reply.base);
}

static void on_imported(struct flow *f)
{
    struct import *p = f->data;

    if (p->rpc) {
        rpc_on_gone(p->rpc, NULL, NULL);
        if (f->rc < 0)
            rpc_fail(p->rpc, &f->err);
        else
            reply_images(p);
    }
    import_free(p);
}

static void on_gone(void *data)
{
    struct import *p = data;
    struct err why;

    p->rpc = NULL;
    err_set(&why, GRPC_CANCELLED, 0, "import of %s: the client is gone", p->path);
    flow_cancel(&p->flow, &why);
}

static struct import *import_new(struct images *im, const char *path, const char *reference)
{
    const struct config *config = &im->daemon->config;
    struct import *p = mem_new(struct import);
    char id[ID_SIZE];

    id_new(id);
    p->im = im;
    p->path = mem_strdup(path);
    p->reference = mem_strdup(reference);
    p->tree = mem_printf("%s/tmp/import-%.16s", config->root, id);
    p->tree_fd = -1;
    p->set.layers = im->layers;
    p->set.parallel = config->max_parallel_layers > 0 ? config->max_parallel_layers : 1;
    p->flow = (struct flow){.steps = import_image_steps,
                            .name = "ImportImage",
                            .loop = im->daemon->loop,
                            .data = p,
                            .on_done = on_imported};
    return p;
}

void handle_import_image(struct rpc *rpc)
{
    const Cricket__V1__ImportImageRequest *q = (const Cricket__V1__ImportImageRequest *)rpc->request;
    struct err err;

    if (q->path[0] != '/') {
        err_set(&err, GRPC_INVALID_ARGUMENT, 0, "path \"%.200s\" is not absolute", q->path);
        rpc_fail(rpc, &err);
        return;
    }
    struct import *p = import_new(rpc->daemon->images, q->path, q->reference);
    p->rpc = rpc;
    rpc_on_gone(rpc, on_gone, p);
    flow_start(&p->flow);
}
