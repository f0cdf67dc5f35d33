/*
 * The images of `pull` without a runtime: each layer unpacked by tar into a directory of its own, one after another, on the
 * file system of --root, and written out. A runtime that keeps what is in an image cannot write less, nor keep less.
 */
#include "bench/disk.h"
#include "bench/floor.h"
#include "bench/program.h"
#include "core/mem.h"

#include <jansson.h>
#include <string.h>
#include <sys/stat.h>

struct unpacking {
    struct bench *b;
    const char *image;
    char *blobs; /* as skopeo's "dir:" lays them out, not on the file system that is measured */
    char *into;  /* on it */
};

static int run_words(const char *const argv[], double *ret_ms, struct err *err)
{
    return program_run(argv, NULL, NULL, NULL, ret_ms, err);
}

static int fetch(const struct unpacking *u, struct err *err)
{
    cleanup_free char *from = mem_printf("docker://%s/%s:1", u->b->registry, u->image);
    cleanup_free char *to = mem_printf("dir:%s", u->blobs);
    const char *const argv[] = {"skopeo", "copy", "-q", "--insecure-policy", "--src-tls-verify=false",
                                from,     to,     NULL};

    return run_words(argv, NULL, err);
}

/* The lowest layer first. A digest is "sha256:HEX", the blob's file is HEX. */
static int unpack_layers(const struct unpacking *u, const json_t *layers, struct err *err)
{
    const json_t *layer;
    size_t i;

    json_array_foreach (layers, i, layer) {
        const char *digest = json_string_value(json_object_get(layer, "digest"));
        const char *colon = digest ? strchr(digest, ':') : NULL;
        if (!colon)
            return err_set(err, GRPC_INTERNAL, 0, "%s: layer %zu has no digest", u->blobs, i);
        cleanup_free char *blob = mem_printf("%s/%s", u->blobs, colon + 1),
                          *dir = mem_printf("%s/%zu", u->into, i);
        const char *const argv[] = {"tar", "-C", dir, "-xf", blob, NULL};
        if (mkdir(dir, 0755) < 0)
            return err_set(err, GRPC_INTERNAL, 0, "cannot make %s", dir);
        int rc = run_words(argv, NULL, err);
        if (rc < 0)
            return rc;
    }
    return 0;
}

static void report(struct bench *b, const char *image, uint64_t start, const struct disk *before,
                   const struct disk *after)
{
    series_add(series_get(&b->results, "s", "unpacked by tar: %s, time", image),
               (double)(now_ns() - start) / 1e9);
    if (before->written_kib >= 0)
        series_add(series_get(&b->results, "MiB", "unpacked by tar: %s, written", image),
                   (after->written_kib - before->written_kib) / 1024);
    series_add(series_get(&b->results, "MiB", "unpacked by tar: %s, disk used after", image),
               (after->used_kib - before->used_kib) / 1024);
}

static int unpack(const struct unpacking *u, struct err *err)
{
    cleanup_free char *path = mem_printf("%s/manifest.json", u->blobs);
    json_t *manifest = json_load_file(path, 0, NULL);
    struct disk before, after;
    int rc = manifest ? disk_take(u->b, &before, err) : err_set(err, GRPC_INTERNAL, 0, "cannot read %s", path);
    uint64_t start = now_ns();

    if (!rc && !(rc = unpack_layers(u, json_object_get(manifest, "layers"), err)) &&
        !(rc = disk_take(u->b, &after, err))) /* which writes everything out */
        report(u->b, u->image, start, &before, &after);
    json_decref(manifest);
    return rc;
}

static int measure_image(struct bench *b, const char *image, struct err *err)
{
    cleanup_free char *blobs = mem_printf("%s/floor/%s", b->work, image),
                      *into = mem_printf("%s/floor-%s", b->root, image);
    const struct unpacking u = {b, image, blobs, into};
    const char *const removal[] = {"rm", "-rf", blobs, into, NULL};
    struct err ignored;
    int rc = fetch(&u, err);

    if (!rc && mkdir(into, 0755) < 0)
        rc = err_set(err, GRPC_INTERNAL, 0, "cannot make %s", into);
    if (!rc)
        rc = unpack(&u, err);
    int removed = run_words(removal, NULL, rc ? &ignored : err);
    return rc ? rc : removed;
}

/* Once a run, however often the others: it takes seconds. */
int floor_image(struct bench *b, unsigned n, struct err *err)
{
    int rc = 0;

    (void)n;
    if (!b->registry || !b->root || b->quick)
        return 0;
    for (size_t i = 0; !rc && i < PULL_IMAGES; i++)
        rc = measure_image(b, pull_images[i], err);
    return rc;
}
