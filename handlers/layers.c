#include "handlers/layers.h"
#include "core/ids.h"
#include "core/log.h"
#include "core/mem.h"
#include "handlers/daemon.h"
#include "loop/disk_sync.h"
#include "loop/trash.h"
#include "loop/unpack.h"

#include <dirent.h>
#include <errno.h>
#include <jansson.h>
#include <string.h>
#include <sys/stat.h>

static const char kind[] = "layer";

struct layers {
    struct daemon *daemon;
    struct trash *trash;
    struct syncer *syncer;
    char *dir;
    char *unpack; /* path of cricket-unpack */
    struct layer *all;
    struct layer_fetch *fetches;
};

/*
 *   moving, unpacking --- both have ended ---> syncing -----> in place
 *        \                                        \
 *         '- error, cancel: the other is cancelled  '- error; cancel: the round goes on without it
 *
 * The transfer and the unpacker end in either order. The first that fails cancels the other and has the last word.
 */
struct layer_fetch {
    struct layers *layers;
    struct layer *layer;
    struct layer_fetch *next;
    bool waiting; /* for another fetch of the same layer */
    bool cancelled, moving, unpacking, synced;
    struct layer_source source;
    char *digest;
    char *tmp;
    struct registry_request *request;
    struct unpack *unpack;
    struct sync_writer *writer; /* from before the first byte */
    struct unpack_result result;
    struct timer soon;
    struct err err;
    const struct layer_fetch_events *ev;
    void *data;
};

struct layers *layers_new(struct daemon *d)
{
    struct layers *ls = mem_new(struct layers);

    ls->daemon = d;
    ls->trash = trash_new(d->loop);
    ls->dir = mem_printf("%s/layers", d->config.root);
    ls->syncer = syncer_new(d->loop, ls->dir);
    ls->unpack = mem_strdup(d->unpack_path);
    return ls;
}

void layers_free(struct layers *ls)
{
    if (!ls)
        return;
    while (ls->all) {
        struct layer *l = ls->all;
        ls->all = l->next;
        free(l->dir);
        free(l);
    }
    trash_free(ls->trash);
    syncer_free(ls->syncer);
    free(ls->dir);
    free(ls->unpack);
    free(ls);
}

/* ---- the table ---- */

struct layer *layer_find(struct layers *ls, const char *diff_id)
{
    struct layer *l = ls->all;

    while (l && strcmp(l->diff_id, diff_id) != 0)
        l = l->next;
    return l;
}

static struct layer *layer_add(struct layers *ls, const char *diff_id)
{
    struct layer *l = mem_new(struct layer);

    snprintf(l->diff_id, sizeof(l->diff_id), "%s", diff_id);
    l->dir = mem_printf("%s/%s", ls->dir, strchr(diff_id, ':') + 1);
    l->next = ls->all;
    ls->all = l;
    return l;
}

static void layer_drop(struct layers *ls, struct layer *l)
{
    for (struct layer **p = &ls->all; *p; p = &(*p)->next)
        if (*p == l) {
            *p = l->next;
            break;
        }
    free(l->dir);
    free(l);
}

struct layer *layer_hold(struct layers *ls, const char *diff_id)
{
    struct layer *l = layer_find(ls, diff_id);

    if (!l)
        l = layer_add(ls, diff_id);
    l->refs++;
    return l;
}

void layers_discard(struct layers *ls, const char *path)
{
    char id[ID_SIZE];

    id_new(id);
    cleanup_free char *away = mem_printf("%s/rm-%.16s", ls->dir, id);
    cleanup_free char *implied = mem_printf("%s.implied", path);
    unlink(implied);
    if (rename(path, away) == 0)
        trash_add(ls->trash, away);
    else if (errno != ENOENT)
        log_warn("cannot remove %s: %s", path, strerror(errno));
}

static void layer_remove(struct layers *ls, struct layer *l)
{
    struct err err;

    if (l->state == LAYER_READY) {
        if (store_delete(ls->daemon->store, kind, l->diff_id, &err) < 0)
            log_warn("layer %s: %s", l->diff_id, err.msg);
        layers_discard(ls, l->dir);
    }
    layer_drop(ls, l);
}

void layer_release(struct layers *ls, struct layer *l)
{
    if (--l->refs == 0)
        layer_remove(ls, l);
}

/* Their rows go together: a commit each would be most of what it costs. A crash between a rename and the commit leaves a row
 * without a directory, which layers_load() forgets. */
void layers_release(struct layers *ls, struct layer *const *list, size_t n)
{
    struct store *store = ls->daemon->store;
    struct err err;
    bool together = n > 1 && store_begin(store, &err) == 0;

    for (size_t i = 0; i < n; i++)
        layer_release(ls, list[i]);
    if (together && store_commit(store, &err) < 0)
        log_warn("rows of %zu layers: %s", n, err.msg);
}

void layers_usage(const struct layers *ls, uint64_t *ret_bytes, uint64_t *ret_inodes)
{
    *ret_bytes = *ret_inodes = 0;
    for (const struct layer *l = ls->all; l; l = l->next) {
        *ret_bytes += l->bytes;
        *ret_inodes += l->files;
    }
}

bool layers_settled(const struct layers *ls)
{
    return trash_is_empty(ls->trash) && !ls->fetches && syncer_is_idle(ls->syncer);
}

/* ---- start ---- */

static int load_row(void *data, const char *id, const char *json, const void *blob, size_t blob_len,
                    struct err *err)
{
    struct layers *ls = data;
    struct stat st;
    json_t *row = json_loads(json, 0, NULL);

    (void)blob;
    (void)blob_len;
    (void)err;
    if (digest_is_valid(id) && strncmp(id, "sha256:", 7) == 0) {
        struct layer *l = layer_add(ls, id);
        l->state = LAYER_READY;
        l->bytes = (uint64_t)json_integer_value(json_object_get(row, "bytes"));
        l->files = (uint64_t)json_integer_value(json_object_get(row, "files"));
        if (stat(l->dir, &st) < 0) {
            log_warn("layer %s: directory %s is gone", id, l->dir);
            layer_drop(ls, l);
        }
    }
    json_decref(row);
    return 0;
}

int layers_load(struct layers *ls, struct err *err)
{
    cleanup_free char *tmp = mem_printf("%s/tmp", ls->daemon->config.root);

    if ((mkdir(ls->daemon->config.root, 0711) < 0 && errno != EEXIST) ||
        (mkdir(ls->dir, 0700) < 0 && errno != EEXIST) || (mkdir(tmp, 0700) < 0 && errno != EEXIST))
        return err_sys(err, errno, "cannot make %s", ls->dir);
    return store_each(ls->daemon->store, kind, load_row, ls, err);
}

static bool is_known(struct layers *ls, const char *name)
{
    char diff_id[72];
    size_t n = strlen(name);

    if (n > 8 && strcmp(name + n - 8, ".implied") == 0)
        n -= 8;
    if (n != 64)
        return false;
    snprintf(diff_id, sizeof(diff_id), "sha256:%.64s", name);
    return layer_find(ls, diff_id) != NULL;
}

static void sweep_dir(struct layers *ls, const char *dir)
{
    DIR *d = opendir(dir);

    for (struct dirent *e; d && (e = readdir(d));) {
        cleanup_free char *path = mem_printf("%s/%s", dir, e->d_name);
        if (e->d_name[0] == '.' || is_known(ls, e->d_name))
            continue;
        log_info("removing %s, which nothing names", path);
        if (strncmp(e->d_name, "rm-", 3) == 0)
            trash_add(ls->trash, path);
        else
            layers_discard(ls, path);
    }
    if (d)
        closedir(d);
}

void layers_sweep(struct layers *ls)
{
    cleanup_free char *tmp = mem_printf("%s/tmp", ls->daemon->config.root);

    for (struct layer *l = ls->all, *next; l; l = next) {
        next = l->next;
        if (l->refs == 0)
            layer_remove(ls, l);
    }
    sweep_dir(ls, ls->dir);
    sweep_dir(ls, tmp);
}

/* ---- fetching ---- */

static int fetch_begin(struct layer_fetch *f, struct err *err);

static void fetch_forget(struct layer_fetch *f)
{
    for (struct layer_fetch **p = &f->layers->fetches; *p; p = &(*p)->next)
        if (*p == f) {
            *p = f->next;
            break;
        }
    timer_stop(&f->soon);
    sync_leave(f->writer);
    if (f->source.fd >= 0)
        close(f->source.fd);
    free(f->digest);
    free(f->tmp);
    free(f);
}

static void fetch_end(struct layer_fetch *f, bool shared, const struct err *err)
{
    const struct layer_fetch_events *ev = f->ev;
    void *data = f->data;
    uint64_t bytes = shared ? 0 : f->result.compressed;

    fetch_forget(f);
    ev->on_done(data, shared, bytes, err);
}

/* The turn after another's fetch ended, or the waiting one was cancelled. */
static void wait_over(void *data)
{
    struct layer_fetch *f = data;
    struct err err;

    if (f->cancelled) {
        err_set(&err, GRPC_CANCELLED, 0, "layer %s: cancelled", f->layer->diff_id);
        fetch_end(f, true, &err);
    } else if (f->layer->state == LAYER_READY) {
        fetch_end(f, true, NULL);
    } else if (f->layer->state == LAYER_ABSENT) {
        f->waiting = false;
        if (fetch_begin(f, &err) < 0)
            fetch_end(f, false, &err);
    } /* else one that waited, too, was first, and we wait for it */
}

static void wake_waiting(struct layers *ls, const struct layer *l)
{
    for (struct layer_fetch *f = ls->fetches; f; f = f->next)
        if (f->layer == l && f->waiting)
            timer_start(&f->soon, ls->daemon->loop, 0, wait_over, f);
}

static int put_in_place(struct layer_fetch *f, struct err *err)
{
    struct layer *l = f->layer;
    cleanup_free char *from = mem_printf("%s.implied", f->tmp), *to = mem_printf("%s.implied", l->dir);
    cleanup_free char *json =
        mem_printf("{\"bytes\":%llu,\"files\":%llu}", (unsigned long long)f->result.unpacked_bytes,
                   (unsigned long long)f->result.files + f->result.implied + 1);

    if (rename(from, to) < 0 && errno != ENOENT)
        return err_sys(err, errno, "cannot rename %s to %s", from, to);
    if (rename(f->tmp, l->dir) < 0)
        return err_sys(err, errno, "cannot rename %s to %s", f->tmp, l->dir);
    l->state = LAYER_READY;
    l->bytes = f->result.unpacked_bytes;
    l->files = f->result.files + f->result.implied + 1;
    return store_put(f->layers->daemon->store, kind, l->diff_id, json, NULL, 0, err);
}

static void on_synced(void *data, const struct err *err);

static void fetch_over(struct layer_fetch *f)
{
    struct layers *ls = f->layers;
    struct layer *l = f->layer;
    struct err err;

    if (f->moving || f->unpacking)
        return;
    if (f->err.grpc == GRPC_OK && !f->synced) {
        sync_wait(f->writer, on_synced, f);
        f->ev->on_unpacked(f->data);
        return;
    }
    if (f->err.grpc == GRPC_OK && put_in_place(f, &f->err) < 0)
        layers_discard(ls, l->dir);
    err = f->err;
    if (err.grpc) {
        layers_discard(ls, f->tmp); /* where the unpacker could not remove it itself */
        l->state = LAYER_ABSENT;
        l->bytes = l->files = 0;
    }
    wake_waiting(ls, l);
    fetch_end(f, false, err.grpc ? &err : NULL);
}

static void on_synced(void *data, const struct err *err)
{
    struct layer_fetch *f = data;

    f->synced = true;
    if (err && f->err.grpc == GRPC_OK) {
        f->err = *err;
        err_wrap(&f->err, "layer %s", f->layer->diff_id);
    }
    fetch_over(f);
}

/* The turn after it was cancelled while it waited for the disk. */
static void sync_given_up(void *data)
{
    fetch_over(data);
}

static void on_unpacked(void *data, const struct unpack_result *result, const struct err *err)
{
    struct layer_fetch *f = data;

    f->unpacking = false;
    f->unpack = NULL;
    if (result)
        f->result = *result;
    if (err && f->err.grpc == GRPC_OK)
        f->err = *err;
    if (f->moving && err)
        registry_cancel(f->request);
    fetch_over(f);
}

static void on_moved(void *data, const struct err *err)
{
    struct layer_fetch *f = data;

    f->moving = false;
    f->request = NULL;
    if (err && f->err.grpc == GRPC_OK)
        f->err = *err;
    if (f->unpacking && err && !f->cancelled)
        unpack_cancel(f->unpack);
    else if (f->unpacking)
        unpack_eof(f->unpack);
    fetch_over(f);
}

static void on_room(void *data)
{
    struct layer_fetch *f = data;

    if (f->request)
        registry_resume(f->request);
}

static size_t on_bytes(void *data, const void *p, size_t n)
{
    struct layer_fetch *f = data;

    if (!f->unpack) /* it failed: the cancelled transfer may still bring some */
        return n;
    size_t took = unpack_write(f->unpack, p, n);
    sync_wrote(f->writer, took);
    if (took < n)
        unpack_on_room(f->unpack, on_room, f);
    return took;
}

static int fetch_begin(struct layer_fetch *f, struct err *err)
{
    static const struct registry_sink sink = {on_bytes, on_moved};
    char id[ID_SIZE];

    id_new(id);
    free(f->tmp);
    f->tmp = mem_printf("%s/tmp-%.16s", f->layers->dir, id);
    struct unpack_spec spec = {.binary = f->layers->unpack,
                               .dir = f->tmp,
                               .digest = f->digest,
                               .diff_id = f->layer->diff_id,
                               .size = f->source.size,
                               .input_fd = f->source.session ? -1 : f->source.fd};
    int r = sync_join(f->layers->syncer, &f->writer, err);
    if (r < 0 || (r = unpack_start(f->layers->daemon->loop, &spec, on_unpacked, f, &f->unpack, err)) < 0)
        return r;
    f->unpacking = true;
    f->layer->state = LAYER_FETCHING;
    if (f->source.session) {
        f->moving = true;
        registry_get_blob(f->source.session, f->digest, f->source.size, &sink, f, &f->request);
    }
    return 0;
}

int layer_fetch(struct layers *ls, struct layer *l, const struct layer_source *source,
                const struct layer_fetch_events *ev, void *data, struct layer_fetch **ret_fetch,
                struct err *err)
{
    struct layer_fetch *f = mem_new(struct layer_fetch);
    int r = 0;

    *f = (struct layer_fetch){.layers = ls, .layer = l, .source = *source, .ev = ev, .data = data};
    f->digest = mem_strdup(source->digest);
    if (source->session)
        f->source.fd = -1;
    f->next = ls->fetches;
    ls->fetches = f;
    if (l->state == LAYER_FETCHING)
        f->waiting = true;
    else
        r = fetch_begin(f, err);
    if (r < 0) {
        fetch_forget(f);
        return r;
    }
    *ret_fetch = f;
    return 0;
}

void layer_fetch_cancel(struct layer_fetch *f)
{
    if (f->cancelled)
        return;
    f->cancelled = true;
    if (f->waiting) {
        timer_start(&f->soon, f->layers->daemon->loop, 0, wait_over, f);
        return;
    }
    if (f->err.grpc == GRPC_OK)
        err_set(&f->err, GRPC_CANCELLED, 0, "layer %s: cancelled", f->layer->diff_id);
    if (f->moving)
        registry_cancel(f->request);
    if (f->unpacking)
        unpack_cancel(f->unpack);
    if (!f->moving && !f->unpacking) /* it waits for the disk, others with it */
        timer_start(&f->soon, f->layers->daemon->loop, 0, sync_given_up, f);
}
