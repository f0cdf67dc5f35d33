/* Images from a misbehaving registry to disk, with the real unpacker; after every failure nothing may be left. */
#include "handlers/import_image.c"
#include "core/log.h"
#include "handlers/daemon.h"
#include "loop/child.h"

#include <dirent.h>
#include <ev.h>
#include <limits.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <cmocka.h>
#include "t/fake/registry.h"

/* main.c has the real one; handlers that this test does not call want it */
struct cni *daemon_cni(const struct daemon *daemon, const char *handler)
{
    (void)daemon;
    (void)handler;
    return NULL;
}

static struct daemon d;
static struct loop *shared_loop; /* children are reaped by one loop a process */
static char root[64];
static char helpers[PATH_MAX];
static size_t fds_before;

struct waiter {
    int done;
    char id[72];
    struct err err;
    struct image_pull *pull;
};

static size_t entries(const char *dir)
{
    size_t n = 0;
    DIR *dp = opendir(dir);

    for (struct dirent *e; dp && (e = readdir(dp));)
        n += e->d_name[0] != '.';
    if (dp)
        closedir(dp);
    return n;
}

static size_t entries_below(const char *name)
{
    cleanup_free char *dir = mem_printf("%s/%s", root, name);

    return entries(dir);
}

static bool over;
static void on_over(void *data)
{
    (void)data;
    over = true;
}

/* Turns the loop until *flag is set or the condition holds; 20 s at most. */
static void turn_until(bool (*holds)(void *), void *data)
{
    struct timer t = {0};

    over = false;
    timer_start(&t, d.loop, 20, on_over, NULL);
    while (!holds(data) && !over)
        ev_run(loop_ev(d.loop), EVRUN_ONCE);
    timer_stop(&t);
    assert_false(over);
}

static bool is_done(void *data)
{
    return ((struct waiter *)data)->done;
}

static bool is_settled(void *data)
{
    (void)data;
    return layers_settled(d.images->layers) && !d.images->pulls && child_count() == 0;
}

static void start(void)
{
    struct err err = {0};
    cleanup_free char *path = mem_printf("%s/store", root);

    if (store_open(path, &d.store, &err) < 0)
        fail_msg("%s", err.msg);
    d.images = images_new(&d);
    if (images_load(d.images, &err) < 0)
        fail_msg("%s", err.msg);
    turn_until(is_settled, NULL);
}

static void stop(void)
{
    images_free(d.images);
    store_close(d.store);
}

static int setup(void **state)
{
    (void)state;
    d = (struct daemon){.loop = shared_loop};
    strcpy(root, "/tmp/images-test-XXXXXX");
    if (!mkdtemp(root))
        return -1;
    d.config.root = root;
    d.unpack_path = helpers;
    d.config.max_parallel_layers = 3;
    d.config.pull_idle_timeout_s = 1;
    static char none[] = "";
    d.config.sandbox_image = none;
    start();
    fds_before = entries("/proc/self/fd");
    return 0;
}

static int teardown(void **state)
{
    cleanup_free char *command = mem_printf("rm -rf %s", root);

    (void)state;
    turn_until(is_settled, NULL);
    stop();
    return system(command);
}

static void on_pulled_w(void *data, const char *id, const struct err *err)
{
    struct waiter *w = data;

    assert_int_equal(w->done++, 0);
    if (err)
        w->err = *err;
    else
        snprintf(w->id, sizeof(w->id), "%s", id);
}

static void begin(struct waiter *w, const char *what)
{
    struct err err = {0};
    cleanup_free char *ref = mem_printf("127.0.0.1:%d/%s", fake.port, what);

    *w = (struct waiter){0};
    if (image_pull(d.images, ref, NULL, on_pulled_w, w, &w->pull, &err) < 0)
        fail_msg("%s: %s", what, err.msg);
    assert_int_equal(w->done, 0);
}

static void pull(struct waiter *w, const char *what)
{
    begin(w, what);
    turn_until(is_done, w);
}

static const struct image *pull_good(const char *what)
{
    struct waiter w;

    pull(&w, what);
    if (w.err.grpc)
        fail_msg("%s: %s", what, w.err.msg);
    return image_find(d.images, w.id);
}

static size_t len(char **list)
{
    size_t n = 0;

    while (list[n])
        n++;
    return n;
}

static void nothing_left(void)
{
    turn_until(is_settled, NULL);
    assert_int_equal(entries_below("layers"), 0);
    assert_int_equal(entries_below("tmp"), 0);
    assert_null(d.images->all);
}

static void pulls(void **state)
{
    const struct image *i = pull_good("plain/a:latest");

    (void)state;
    assert_int_equal(len(i->tags), 1);
    assert_int_equal(len(i->digests), 1);
    assert_int_equal(len(i->layers), 3);
    assert_true(i->size > 100000);
    assert_string_equal(i->config->user, "1000:1000");
    cleanup_free char *file = mem_printf("%s/bin/hello", i->layers[0]);
    assert_int_equal(access(file, X_OK), 0);
    assert_ptr_equal(image_find(d.images, i->tags[0]), i);
    assert_ptr_equal(image_find(d.images, i->digests[0]), i);
    assert_ptr_equal(image_find(d.images, i->id + 7), i);
    cleanup_free char *prefix = mem_strndup(i->id + 7, 8);
    assert_ptr_equal(image_find(d.images, prefix), i);
    assert_null(image_find(d.images, "nothing"));
    assert_int_equal(entries_below("layers"), 3);
}

static void pulls_this_platform_of_an_index(void **state)
{
    (void)state;
    assert_non_null(pull_good("plain/a:index"));
}

static void pulls_by_digest(void **state)
{
    const struct image *i = pull_good("plain/a:latest");
    cleanup_free char *what = mem_strdup(strchr(i->digests[0], '/') + 1);

    (void)state;
    assert_int_equal(images_remove(d.images, image_entry_find(d.images, i->id), NULL), 0);
    turn_until(is_settled, NULL);
    i = pull_good(what);
    assert_int_equal(len(i->tags), 0);
    assert_int_equal(len(i->digests), 1);
}

static uint64_t usage_bytes(void)
{
    uint64_t bytes, inodes;

    layers_usage(d.images->layers, &bytes, &inodes);
    return bytes;
}

static void shares_layers(void **state)
{
    (void)state;
    const struct image *a = pull_good("plain/a:latest");
    uint64_t one = usage_bytes();
    const struct image *b = pull_good("plain/a:other");
    assert_string_equal(a->layers[0], b->layers[0]);
    assert_string_not_equal(a->layers[2], b->layers[2]);
    assert_int_equal(entries_below("layers"), 4);
    assert_true(usage_bytes() < one + 1000);
    assert_int_equal(images_remove(d.images, image_entry_find(d.images, a->id), NULL), 0);
    assert_int_equal(entries(b->layers[0]) > 0, 1);
    turn_until(is_settled, NULL);
    assert_int_equal(entries_below("layers"), 3);
}

static void fetch(const char *path, char *to, int size)
{
    cleanup_free char *command = mem_printf("curl -s http://127.0.0.1:%d%s", fake.port, path);
    FILE *f = popen(command, "r");

    assert_non_null(fgets(to, size, f));
    pclose(f);
}

static int count(const char *path)
{
    cleanup_free char *what = mem_printf("/count%s", path);
    char text[16];

    fetch(what, text, sizeof(text));
    return atoi(text);
}

static void joins_pulls(void **state)
{
    struct waiter a, b, c;
    char digest[DIGEST_MAX + 1];

    (void)state;
    begin(&a, "drip/a:latest");
    begin(&b, "drip/a:latest");
    begin(&c, "drip/a:other"); /* another pull, the same big layer */
    turn_until(is_done, &a);
    turn_until(is_done, &b);
    turn_until(is_done, &c);
    assert_string_equal(a.id, b.id);
    assert_int_equal(a.err.grpc | b.err.grpc | c.err.grpc, 0);
    assert_int_equal(entries_below("layers"), 4);
    assert_int_equal(count("/v2/drip/a/manifests/latest"), 1);
    fetch("/big", digest, sizeof(digest));
    cleanup_free char *blob = mem_printf("/v2/drip/a/blobs/%s", digest);
    assert_int_equal(count(blob), 1);
}

static bool fetches(void *data)
{
    (void)data;
    return child_count() > 0;
}

static void takes_over_a_shared_layer(void **state)
{
    struct waiter a, b;

    (void)state;
    begin(&a, "drip/a:latest");
    turn_until(fetches, NULL);
    begin(&b, "drip/a:other");
    for (int i = 0; i < 10; i++)
        ev_run(loop_ev(d.loop), EVRUN_ONCE);
    image_pull_leave(a.pull);
    turn_until(is_done, &b);
    assert_int_equal(b.err.grpc, GRPC_OK);
    turn_until(is_settled, NULL);
    assert_int_equal(entries_below("layers"), 3);
}

static void leaves_nothing_when_nobody_waits(void **state)
{
    struct waiter a, b;

    (void)state;
    for (int turns = 0; turns < 60; turns += 3) {
        begin(&a, "drip/a:latest");
        begin(&b, "drip/a:latest");
        for (int i = 0; i < turns && !a.done; i++)
            ev_run(loop_ev(d.loop), EVRUN_ONCE);
        if (a.done)
            break;
        image_pull_leave(a.pull);
        image_pull_leave(b.pull);
        nothing_left();
    }
}

static void leaves_nothing_after_a_failure(void **state)
{
    static const struct {
        const char *what, *says;
        int grpc;
    } cases[] = {
        {"missing/a", "not found in registry", GRPC_NOT_FOUND},
        {"wrong/a", "sha256:", GRPC_DATA_LOSS},
        {"noblob/a", "not found in registry", GRPC_NOT_FOUND},
        {"long/a", "more bytes", GRPC_DATA_LOSS},
        {"short/a", "instead of", GRPC_DATA_LOSS},
        {"silent/a", "sent nothing", GRPC_UNAVAILABLE},
        {"basic/a", "imagePullSecret", GRPC_UNAUTHENTICATED},
        {"cutforever/a", "127.0.0.1", GRPC_UNAVAILABLE},
    };
    struct waiter w;

    (void)state;
    for (size_t i = 0; i < countof(cases); i++) {
        pull(&w, cases[i].what);
        if (w.err.grpc != cases[i].grpc || !strstr(w.err.msg, cases[i].says) ||
            !strstr(w.err.msg, cases[i].what))
            fail_msg("%s: %s %s", cases[i].what, grpc_code_name(w.err.grpc), w.err.msg);
        nothing_left();
    }
}

static bool is_quiet(void *data)
{
    (void)data;
    return registry_idle(d.images->registry);
}

static void closes_every_descriptor(void **state)
{
    struct waiter w;

    (void)state;
    pull(&w, "wrong/a");
    pull_good("plain/a");
    turn_until(is_settled, NULL);
    turn_until(is_quiet, NULL);
    assert_int_equal(entries("/proc/self/fd"), fds_before);
    assert_int_equal(entries("/proc/self/task"), 1);
}

static void survives_a_restart(void **state)
{
    cleanup_free char *junk = mem_printf("%s/layers/tmp-junk/deep/er", root),
                      *command = mem_printf("mkdir -p %s", junk);
    cleanup_free char *id = mem_strdup(pull_good("plain/a:latest")->id);
    uint64_t bytes = usage_bytes();

    (void)state;
    pull_good("plain/a:other");
    assert_int_equal(system(command), 0);
    stop();
    start();
    const struct image *i = image_find(d.images, id);
    assert_non_null(i);
    assert_int_equal(len(i->tags), 1);
    assert_int_equal(len(i->digests), 1);
    assert_true(usage_bytes() >= bytes);
    assert_int_equal(entries_below("layers"), 4);
}

static void drops_an_image_without_its_layer(void **state)
{
    const struct image *i = pull_good("plain/a:latest");
    cleanup_free char *gone = mem_printf("%s.away", i->layers[2]), *id = mem_strdup(i->id);

    (void)state;
    assert_int_equal(rename(i->layers[2], gone), 0);
    stop();
    start();
    assert_null(image_find(d.images, id));
    nothing_left();
    pull_good("plain/a:latest");
}

static void keeps_layers_of_a_removed_image_in_use(void **state)
{
    const struct image *i = pull_good("plain/a:latest");
    cleanup_free char *id = mem_strdup(i->id);

    (void)state;
    image_use(d.images, i);
    assert_int_equal(images_remove(d.images, image_entry_find(d.images, id), NULL), 0);
    assert_null(image_find(d.images, id));
    assert_null(image_at(d.images, 0));
    turn_until(is_settled, NULL);
    assert_int_equal(entries_below("layers"), 3);

    stop(); /* the container lives on while the daemon does not */
    start();
    assert_null(image_find(d.images, id));
    assert_int_equal(entries_below("layers"), 3);
    image_use(d.images, image_find_used(d.images, id));
    images_settle(d.images);
    assert_int_equal(entries_below("layers"), 3);

    pull_good("plain/a:latest"); /* brings it back */
    assert_non_null(image_find(d.images, id));
    image_unuse(d.images, id);
    assert_int_equal(entries_below("layers"), 3);
    image_use(d.images, image_find(d.images, id));
    assert_int_equal(images_remove(d.images, image_entry_find(d.images, id), NULL), 0);
    image_unuse(d.images, id);
    nothing_left();
}

static void moves_a_tag(void **state)
{
    const struct image *a = pull_good("plain/a:latest");
    const struct image *b = pull_good("plain/a:other");
    const struct image_entry *eb = image_entry_find(d.images, b->id), *moved;
    struct image_new n = {.config_json = eb->config_json,
                          .config_len = eb->config_len,
                          .layers = eb->held,
                          .layers_n = eb->held_n,
                          .tags = a->tags};
    cleanup_free char *tag = mem_strdup(a->tags[0]);
    char *tags[] = {tag, NULL};

    (void)state;
    n.tags = tags;
    assert_int_equal(images_commit(d.images, &n, &moved, NULL), 0);
    assert_ptr_equal(moved, eb);
    assert_int_equal(len(a->tags), 0);
    assert_int_equal(len(a->digests), 1);
    assert_int_equal(len(b->tags), 2);
    assert_ptr_equal(image_find(d.images, tag), b);
}

static struct waiter import_waiter;
static void on_import_done(struct flow *f)
{
    import_waiter.done++;
    import_waiter.err = f->err;
    on_imported(f);
}

static void import(const char *path, const char *reference)
{
    struct import *p = import_new(d.images, path, reference);

    import_waiter = (struct waiter){0};
    p->flow.on_done = on_import_done;
    flow_start(&p->flow);
    turn_until(is_done, &import_waiter);
}

static void run(const char *command)
{
    assert_int_equal(system(command), 0);
}

static void imports(void **state)
{
    static const char *const kinds[] = {"docker-archive", "oci-archive"};

    (void)state;
    for (size_t i = 0; i < countof(kinds); i++) {
        cleanup_free char *tar = mem_printf("%s/%s.tar", root, kinds[i]);
        cleanup_free char *command = mem_printf(
            "skopeo --insecure-policy copy -q --src-tls-verify=false docker://127.0.0.1:%d/plain/a:latest "
            "%s:%s:example.org/saved:%zu",
            fake.port, kinds[i], tar, i);
        cleanup_free char *name = mem_printf("example.org/saved:%zu", i);
        run(command);
        import(tar, "");
        if (import_waiter.err.grpc)
            fail_msg("%s: %s", kinds[i], import_waiter.err.msg);
        const struct image *image = image_find(d.images, name);
        assert_non_null(image);
        assert_int_equal(len(image->layers), 3);
        turn_until(is_settled, NULL);
        assert_int_equal(entries_below("tmp"), 0);
    }
    assert_int_equal(entries_below("layers"), 3);
    assert_null(image_at(d.images, 1)); /* one image with two tags */
    cleanup_free char *gz = mem_printf("gzip -k %s/oci-archive.tar", root),
                      *path = mem_printf("%s/oci-archive.tar.gz", root);
    run(gz);
    import(path, "");
    assert_int_equal(import_waiter.err.grpc, GRPC_OK);
}

static void explains_bad_archives(void **state)
{
    static const struct {
        const char *make, *says;
        int grpc;
    } cases[] = {
        {"echo no archive > x.tar", "x.tar", 0},
        {"mkdir e; echo a > e/f; tar cf x.tar -C e .", "holds no image", GRPC_INVALID_ARGUMENT},
        {"mkdir e; ln -s /etc/passwd e/manifest.json; tar cf x.tar -C e .", "manifest.json", 0},
        {"mkdir e; echo '[{\"Config\":\"c.json\",\"RepoTags\":[],\"Layers\":[\"l\"]}]' > e/manifest.json; tar "
         "cf x.tar -C e .",
         "has no c.json", GRPC_NOT_FOUND},
        {"mkdir e; echo '{\"imageLayoutVersion\":\"1.0.0\"}' > e/oci-layout; echo "
         "'{\"schemaVersion\":2,\"manifests\":[{"
         "\"mediaType\":\"application/"
         "vnd.oci.image.manifest.v1+json\",\"size\":1,\"platform\":{\"os\":\"linux\","
         "\"architecture\":\"pdp11\"},\"digest\":\"sha256:"
         "0000000000000000000000000000000000000000000000000000000000000000\"}]}' > e/index.json; tar cf x.tar "
         "-C e .",
         "no image for", GRPC_NOT_FOUND},
        {"mkdir x.tar", "no regular file", GRPC_INVALID_ARGUMENT},
        {"true", "cannot open archive", GRPC_NOT_FOUND},
    };

    (void)state;
    cleanup_free char *path = mem_printf("%s/work/x.tar", root);
    for (size_t i = 0; i < countof(cases); i++) {
        cleanup_free char *command = mem_printf("rm -rf %s/work && mkdir %s/work && cd %s/work && { %s; }",
                                                root, root, root, cases[i].make);
        run(command);
        import(path, "");
        if (!import_waiter.err.grpc || (cases[i].grpc && import_waiter.err.grpc != cases[i].grpc) ||
            !strstr(import_waiter.err.msg, cases[i].says))
            fail_msg("%s: %s %s", cases[i].make, grpc_code_name(import_waiter.err.grpc), import_waiter.err.msg);
        nothing_left();
    }
}

int main(void)
{
    ssize_t n = readlink("/proc/self/exe", helpers, sizeof(helpers) - 1);
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(pulls),
        T(pulls_this_platform_of_an_index),
        T(pulls_by_digest),
        T(shares_layers),
        T(joins_pulls),
        T(takes_over_a_shared_layer),
        T(leaves_nothing_when_nobody_waits),
        T(leaves_nothing_after_a_failure),
        T(closes_every_descriptor),
        T(survives_a_restart),
        T(drops_an_image_without_its_layer),
        T(keeps_layers_of_a_removed_image_in_use),
        T(moves_a_tag),
        T(imports),
        T(explains_bad_archives),
    };
    for (int up = 0; n > 0 && up < 4; up++) /* BUILD/t/unit/handlers/images_test */
        *strrchr(helpers, '/') = '\0';
    strncat(helpers, "/cricket-unpack", sizeof(helpers) - strlen(helpers) - 1);
    if (n <= 0 || log_level_set("error") < 0)
        return 1;
    shared_loop = loop_new();
    int failed = cmocka_run_group_tests(tests, fake_start, fake_stop);
    loop_free(shared_loop);
    return failed;
}
