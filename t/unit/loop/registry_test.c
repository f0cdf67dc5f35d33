/* The client against a registry that misbehaves on command: t/fake/registry.py. */
#include "loop/registry.c"

#include <dirent.h>
#include <ev.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <cmocka.h>
#include "t/fake/registry.h"

static struct loop *l;
static struct registry *reg;
static struct registry_session *session;
static struct seen {
    int done;
    struct err err;
    struct buf bytes;
    char digest[DIGEST_MAX + 1];
    char *media_type;
    size_t stop_short, calls;
    struct registry_request *q;
} seen;

static size_t entries(const char *dir)
{
    size_t n = 0;
    DIR *d = opendir(dir);

    while (readdir(d))
        n++;
    closedir(d);
    return n;
}

static void forget(void)
{
    buf_done(&seen.bytes);
    free(seen.media_type);
    memset(&seen, 0, sizeof(seen));
}

static int setup(void **state)
{
    (void)state;
    memset(&seen, 0, sizeof(seen));
    l = loop_new();
    reg = registry_new(l, NULL);
    session = NULL;
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    forget();
    registry_close(session);
    registry_free(reg);
    loop_free(l);
    return 0;
}

static const struct registry_credentials carol = {.username = "carol", .password = "s3cret"};

static void open_image(const char *how, const struct registry_credentials *c, const char *conf)
{
    cleanup_free char *text = mem_printf("127.0.0.1:%d/%s", fake.port, how);
    struct registries *registries = NULL;
    struct image_ref ref;
    struct err err = {0};

    registry_close(session);
    session = NULL;
    if (conf)
        assert_int_equal(registries_parse(conf, strlen(conf), "test", &registries, &err), 0);
    assert_int_equal(image_ref_parse(text, &ref, &err), 0);
    if (registry_open(reg, registries, &ref, c, 1, &session, &err) < 0)
        fail_msg("%s", err.msg);
    image_ref_done(&ref);
    registries_free(registries);
}

static void on_document(void *data, struct registry_document *d, const struct err *err)
{
    (void)data;
    seen.done++;
    if (err) {
        seen.err = *err;
    } else {
        buf_add(&seen.bytes, d->data, d->len);
        memcpy(seen.digest, d->digest, sizeof(seen.digest));
        seen.media_type = mem_strdup(d->media_type);
    }
    loop_stop(l);
}

static void get_manifest(const char *reference)
{
    forget();
    registry_get_manifest(session, reference, on_document, NULL, &seen.q);
    assert_int_equal(seen.done, 0);
    loop_run(l);
    assert_int_equal(seen.done, 1);
}

static void resume(void *data)
{
    (void)data;
    if (!seen.done)
        registry_resume(seen.q);
}

static size_t on_sink(void *data, const void *p, size_t n)
{
    (void)data;
    if (seen.stop_short && ++seen.calls % 3 == 0 && n > seen.stop_short) {
        n = seen.stop_short;
        loop_defer(l, resume, NULL);
    }
    buf_add(&seen.bytes, p, n);
    return n;
}

static void on_blob(void *data, const struct err *err)
{
    (void)data;
    seen.done++;
    if (err)
        seen.err = *err;
    loop_stop(l);
}

static const struct registry_sink sink = {on_sink, on_blob};

/* The first layer: the big one. */
static void get_blob(size_t stop_short)
{
    struct manifest m;
    struct err err;

    get_manifest("latest");
    if (seen.err.grpc)
        fail_msg("%s", seen.err.msg);
    assert_int_equal(manifest_parse(seen.bytes.data, seen.bytes.len, seen.media_type, &m, &err), 0);
    cleanup_free char *digest = mem_strdup(m.layers[0].blob.digest);
    uint64_t size = m.layers[0].blob.size;
    manifest_done(&m);
    forget();
    seen.stop_short = stop_short;
    registry_get_blob(session, digest, size, &sink, NULL, &seen.q);
    loop_run(l);
    assert_int_equal(seen.done, 1);
    if (seen.err.grpc == GRPC_OK) {
        char found[DIGEST_MAX + 1];
        digest_of(seen.bytes.data, seen.bytes.len, found);
        assert_string_equal(found, digest);
    }
}

static int count(const char *path)
{
    cleanup_free char *command =
        mem_printf("python3 -c 'import urllib.request as u; "
                   "print(u.urlopen(\"http://127.0.0.1:%d/count%s\").read().decode())'",
                   fake.port, path);
    FILE *f = popen(command, "r");
    int n = -1;

    assert_int_equal(fscanf(f, "%d", &n), 1);
    pclose(f);
    return n;
}

static void gets_a_manifest(void **state)
{
    (void)state;
    open_image("plain/a:latest", NULL, NULL);
    get_manifest("latest");
    assert_int_equal(seen.err.grpc, GRPC_OK);
    assert_string_equal(seen.media_type, "application/vnd.oci.image.manifest.v1+json");
    cleanup_free char *digest = mem_strdup(seen.digest);
    get_manifest(digest);
    assert_int_equal(seen.err.grpc, GRPC_OK);
    assert_string_equal(seen.digest, digest);
}

static void logs_in(void **state)
{
    static const struct {
        const char *how;
        struct registry_credentials c;
        int grpc;
    } cases[] = {
        {"bearer/a", {0}, GRPC_OK},
        {"bearer-private/private", {.username = "carol", .password = "s3cret"}, GRPC_OK},
        {"bearer-private/private", {.auth = "Y2Fyb2w6czNjcmV0"}, GRPC_OK},
        {"bearer-private/private", {.identity_token = "refresh-of-carol"}, GRPC_OK},
        {"bearer-private/private", {.registry_token = "token-of-carol"}, GRPC_OK},
        {"basic/a", {.username = "carol", .password = "s3cret"}, GRPC_OK},
        {"bearer-private/private", {0}, GRPC_UNAUTHENTICATED},
        {"bearer-private/private", {.username = "carol", .password = "wrong"}, GRPC_UNAUTHENTICATED},
        {"bearer-private/private", {.identity_token = "wrong"}, GRPC_UNAUTHENTICATED},
        {"bearer-private/private", {.registry_token = "wrong"}, GRPC_UNAUTHENTICATED},
        {"bearer-private/private",
         {.username = "carol", .password = "s3cret", .server_address = "other.example"},
         GRPC_UNAUTHENTICATED},
        {"basic/a", {.username = "carol", .password = "wrong"}, GRPC_UNAUTHENTICATED},
        {"basic/a", {0}, GRPC_UNAUTHENTICATED},
        {"denied/a", {0}, GRPC_PERMISSION_DENIED},
    };

    for (size_t i = 0; i < countof(cases); i++) {
        setup(state);
        open_image(cases[i].how, &cases[i].c, NULL);
        get_manifest("latest");
        if (seen.err.grpc != cases[i].grpc)
            fail_msg("case %zu, %s: %s %s", i, cases[i].how, grpc_code_name(seen.err.grpc), seen.err.msg);
        if (seen.err.grpc) {
            assert_non_null(strstr(seen.err.msg, "imagePullSecret"));
            assert_non_null(strstr(seen.err.msg, cases[i].how));
            assert_null(strstr(seen.err.msg, "s3cret"));
        }
        teardown(state);
    }
}

static void takes_credentials_of_the_file(void **state)
{
    cleanup_free char *conf = mem_printf(
        "configs:\n  \"127.0.0.1:%d\":\n    auth:\n      username: carol\n      password: s3cret\n", fake.port);

    (void)state;
    open_image("basic/a", NULL, conf);
    get_manifest("latest");
    assert_int_equal(seen.err.grpc, GRPC_OK);
}

static void asks_for_a_token_once(void **state)
{
    (void)state;
    int before = count("/token");
    open_image("bearer/once", NULL, NULL);
    get_manifest("latest");
    get_blob(0);
    open_image("bearer/once", NULL, NULL); /* another pull */
    get_manifest("latest");
    assert_int_equal(seen.err.grpc, GRPC_OK);
    assert_int_equal(count("/token"), before + 1);
}

static void gets_blobs_whatever_happens(void **state)
{
    static const char *const hows[] = {"plain/b",          "cut/b",  "norange/b", "redirect/b",
                                       "bearerredirect/b", "drip/b", "busy/b",    "flaky/b"};

    (void)state;
    for (size_t i = 0; i < countof(hows); i++)
        for (size_t stop_short = 0; stop_short < 1000; stop_short += 777) {
            open_image(hows[i], NULL, NULL);
            get_blob(stop_short);
            if (seen.err.grpc)
                fail_msg("%s: %s", hows[i], seen.err.msg);
        }
}

static void explains_bad_blobs(void **state)
{
    static const struct {
        const char *how, *says;
        int grpc;
    } cases[] = {{"long/c", "more bytes than", GRPC_DATA_LOSS},
                 {"short/c", "instead of the", GRPC_DATA_LOSS},
                 {"noblob/c", "not found in registry", GRPC_NOT_FOUND},
                 {"cutforever/c", "127.0.0.1", GRPC_UNAVAILABLE},
                 {"silent/c", "sent nothing for 1 s", GRPC_UNAVAILABLE}};

    for (size_t i = 0; i < countof(cases); i++) {
        size_t before = entries("/proc/self/fd");
        setup(state);
        open_image(cases[i].how, NULL, NULL);
        get_blob(0);
        if (seen.err.grpc != cases[i].grpc || !strstr(seen.err.msg, cases[i].says))
            fail_msg("%s: %s %s", cases[i].how, grpc_code_name(seen.err.grpc), seen.err.msg);
        teardown(state);
        assert_int_equal(entries("/proc/self/fd"), before);
    }
}

static void explains_bad_manifests(void **state)
{
    static const struct {
        const char *how, *says;
        int grpc;
    } cases[] = {{"missing/d", "not found in registry 127.0.0.1", GRPC_NOT_FOUND},
                 {"broken/d", "answer 500", GRPC_UNAVAILABLE},
                 {"huge/d", "more than", GRPC_DATA_LOSS},
                 {"lies/d", "with the digest", GRPC_DATA_LOSS}};

    (void)state;
    for (size_t i = 0; i < countof(cases); i++) {
        open_image(cases[i].how, NULL, NULL);
        get_manifest("latest");
        if (seen.err.grpc != cases[i].grpc || !strstr(seen.err.msg, cases[i].says))
            fail_msg("%s: %s %s", cases[i].how, grpc_code_name(seen.err.grpc), seen.err.msg);
    }
}

static void tries_the_mirrors_first(void **state)
{
    cleanup_free char *conf = mem_printf(
        "mirrors:\n  \"127.0.0.1:%d\":\n    endpoint: [\"http://127.0.0.1:1\", \"http://127.0.0.1:%d\"]\n",
        fake.port, fake.other);
    const struct registry_credentials c = carol;

    (void)state;
    /* the other origin answers 400 to whoever brings credentials: a mirror must not get those of the registry */
    open_image("plain/mirrored", &c, conf);
    get_manifest("latest");
    assert_int_equal(seen.err.grpc, GRPC_OK);
    assert_int_equal(session->first, 1);
}

static void falls_back_to_the_registry(void **state)
{
    cleanup_free char *conf =
        mem_printf("mirrors:\n  \"127.0.0.1:%d\":\n    endpoint: [\"http://127.0.0.1:%d/v2/missing\"]\n",
                   fake.port, fake.other);

    (void)state;
    open_image("plain/fallen", NULL, conf);
    get_manifest("latest");
    assert_int_equal(seen.err.grpc, GRPC_OK);
    assert_int_equal(session->first, 1);
}

static void reports_a_lie_before_an_absence(void **state)
{
    cleanup_free char *conf = mem_printf("mirrors:\n  \"127.0.0.1:%d\":\n    endpoint: "
                                         "[\"http://127.0.0.1:%d\"]\n    rewrite:\n      \"missing\": lies\n",
                                         fake.port, fake.other);

    (void)state;
    open_image("missing/but-mirrored", NULL, conf);
    get_manifest("latest");
    assert_int_equal(seen.err.grpc, GRPC_DATA_LOSS);
}

static void cancels_at_any_time(void **state)
{
    static const char *const hows[] = {"plain/e", "broken/e", "bearer/e", "silent/e"};

    (void)state;
    for (size_t i = 0; i < countof(hows); i++)
        for (int turns = 0; turns < 12; turns++) {
            open_image(hows[i], NULL, NULL);
            forget();
            registry_get_manifest(session, "latest", on_document, NULL, &seen.q);
            for (int n = 0; n < turns && !seen.done; n++)
                ev_run(loop_ev(l), EVRUN_ONCE);
            if (!seen.done) {
                registry_cancel(seen.q);
                loop_run(l);
                assert_int_equal(seen.err.grpc, GRPC_CANCELLED);
            }
            assert_int_equal(seen.done, 1);
        }
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(gets_a_manifest),
        cmocka_unit_test(logs_in),
        T(takes_credentials_of_the_file),
        T(asks_for_a_token_once),
        T(gets_blobs_whatever_happens),
        cmocka_unit_test(explains_bad_blobs),
        T(explains_bad_manifests),
        T(tries_the_mirrors_first),
        T(falls_back_to_the_registry),
        T(reports_a_lie_before_an_absence),
        T(cancels_at_any_time),
    };
    if (log_level_set("error") < 0)
        return 1;
    return cmocka_run_group_tests(tests, fake_start, fake_stop);
}
