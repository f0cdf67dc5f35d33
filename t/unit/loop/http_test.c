/* The client against a server that redirects, drips, falls silent, breaks off and floods. One thread throughout. */
#include "core/mem.h"
#include "loop/http.c"
#include <arpa/inet.h>
#include <dirent.h>

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <cmocka.h>
#include "t/fake/registry.h"

static struct loop *l;
static struct http *h;
static struct seen {
    int headers, done, bodies;
    struct buf body;
    struct http_result r;
    size_t take, pauses, cancel_after, abort_after;
    struct http_transfer *t;
    char *first, *second;
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

static void see_headers(void *data, struct http_transfer *t)
{
    (void)data;
    seen.headers++;
    seen.first = mem_strdup(http_header(t, "www-authenticate", 0));
    seen.second = mem_strdup(http_header(t, "WWW-Authenticate", 1));
}

static void resume(void *data)
{
    (void)data;
    if (!seen.done)
        http_resume(seen.t);
}

static ssize_t see_body(void *data, const void *p, size_t n)
{
    (void)data;
    seen.bodies++;
    if (seen.abort_after && seen.body.len >= seen.abort_after)
        return HTTP_ABORT;
    if (seen.cancel_after && seen.body.len >= seen.cancel_after) {
        seen.cancel_after = 0;
        http_cancel(seen.t);
        return 0;
    }
    if (seen.take && seen.bodies % 3 == 0 && n > seen.take) { /* every third chunk stops short */
        n = seen.take;
        seen.pauses++;
        loop_defer(l, resume, NULL);
    }
    buf_add(&seen.body, p, n);
    return (ssize_t)n;
}

static void see_done(void *data, const struct http_result *r)
{
    (void)data;
    assert_int_equal(seen.done++, 0);
    seen.r = *r;
    assert_int_equal(entries("/proc/self/task"), 3); /* ".", ".." and the one thread */
    loop_stop(l);
}

static const struct http_events events = {see_headers, see_body, see_done};

static void get(const char *path, struct http_fetch r)
{
    struct err err = {0};
    cleanup_free char *url = mem_printf("http://localhost:%d/http/%s", fake.port, path);

    r.url = url;
    assert_int_equal(http_start(h, &r, &events, NULL, &seen.t, &err), 0);
    assert_int_equal(seen.done, 0);
    loop_run(l);
    assert_int_equal(seen.done, 1);
}

static int setup(void **state)
{
    (void)state;
    memset(&seen, 0, sizeof(seen));
    l = loop_new();
    h = http_new(l, NULL);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    buf_done(&seen.body);
    free(seen.first);
    free(seen.second);
    http_free(h);
    loop_free(l);
    return 0;
}

static void gets_a_body(void **state)
{
    (void)state;
    get("bytes/320", (struct http_fetch){0});
    assert_int_equal(seen.r.err.grpc, GRPC_OK);
    assert_int_equal(seen.r.status, 200);
    assert_int_equal(seen.r.bytes, 320);
    assert_int_equal(seen.headers, 1);
}

static void pauses_without_losing_a_byte(void **state)
{
    struct buf whole = {0};

    (void)state;
    get("bytes/1600000", (struct http_fetch){0});
    whole = seen.body;
    memset(&seen, 0, sizeof(seen));
    seen.take = 777;
    get("bytes/1600000", (struct http_fetch){0});
    assert_int_equal(seen.r.err.grpc, GRPC_OK);
    assert_true(seen.pauses > 10);
    assert_int_equal(seen.body.len, whole.len);
    assert_memory_equal(seen.body.data, whole.data, whole.len);
    buf_done(&whole);
}

static void posts(void **state)
{
    (void)state;
    get("post", (struct http_fetch){.body = "a=b", .body_len = 3});
    assert_int_equal(seen.r.status, 200);
    assert_string_equal(seen.body.data, "a=b");
}

static void keeps_credentials_on_the_same_origin(void **state)
{
    (void)state;
    get("same", (struct http_fetch){.authorization = "Basic eA=="});
    assert_string_equal(seen.body.data, "Basic eA==");
    assert_int_equal(seen.headers, 1);
}

static void drops_credentials_for_another_origin(void **state)
{
    (void)state;
    get("away", (struct http_fetch){.authorization = "Basic eA=="});
    assert_int_equal(seen.r.err.grpc, GRPC_OK);
    assert_int_equal(seen.r.status, 200);
    assert_null(seen.body.data);
}

static void reads_repeated_headers(void **state)
{
    (void)state;
    get("twice", (struct http_fetch){0});
    assert_int_equal(seen.r.status, 401);
    assert_string_equal(seen.first, "Basic realm=a");
    assert_string_equal(seen.second, "Bearer realm=b");
}

static void cancels_from_inside_a_callback(void **state)
{
    (void)state;
    seen.cancel_after = 1;
    get("bytes/3200000", (struct http_fetch){0});
    assert_int_equal(seen.r.err.grpc, GRPC_CANCELLED);
}

static void aborts(void **state)
{
    (void)state;
    seen.abort_after = 1000;
    get("bytes/3200000", (struct http_fetch){0});
    assert_int_equal(seen.r.err.grpc, GRPC_CANCELLED);
    assert_false(seen.r.retry);
}

static void explains_failures(void **state)
{
    static const struct {
        const char *path, *says;
        bool retry;
    } cases[] = {{"loop", "redirects more than 5 times", false},
                 {"toofar", "is no URL of http", false},
                 {"cut", "closed", true},
                 {"gone", "Empty reply", true},
                 {"headers", "exceed 65536 bytes", false},
                 {"silent", "sent nothing for 1 s", true}};

    for (size_t i = 0; i < countof(cases); i++) {
        size_t before = entries("/proc/self/fd");
        setup(state);
        get(cases[i].path, (struct http_fetch){.idle_seconds = 1});
        assert_true(seen.r.err.grpc == GRPC_UNAVAILABLE || seen.r.err.grpc == GRPC_INVALID_ARGUMENT);
        if (!strstr(seen.r.err.msg, cases[i].says))
            fail_msg("%s: %s", cases[i].path, seen.r.err.msg);
        assert_int_equal(seen.r.retry, cases[i].retry);
        teardown(state);
        assert_int_equal(entries("/proc/self/fd"), before);
    }
}

static void refuses(void **state)
{
    static const char *const urls[] = {"ftp://x/", "file:///etc/passwd", "http://", "http://u:p@host/",
                                       "nonsense"};
    struct err err;

    (void)state;
    for (size_t i = 0; i < countof(urls); i++) {
        struct http_fetch r = {.url = urls[i]};
        err.grpc = 0;
        assert_true(http_start(h, &r, &events, NULL, NULL, &err) < 0);
        assert_int_equal(err.grpc, GRPC_INVALID_ARGUMENT);
    }
    struct http_fetch r = {.url = "http://x/", .authorization = "Basic a\r\nX: y"};
    assert_true(http_start(h, &r, &events, NULL, NULL, &err) < 0);
}

static void says_who_refuses_the_connection(void **state)
{
    struct http_fetch r = {.url = "http://127.0.0.1:1/"};
    struct err err;

    (void)state;
    assert_int_equal(http_start(h, &r, &events, NULL, NULL, &err), 0);
    loop_run(l);
    assert_int_equal(seen.r.err.grpc, GRPC_UNAVAILABLE);
    assert_true(seen.r.retry);
    assert_non_null(strstr(seen.r.err.msg, "127.0.0.1:1"));
}

static void tells_where_no_tls_is_spoken(void **state)
{
    cleanup_free char *url = mem_printf("https://127.0.0.1:%d/", fake.port);
    struct http_fetch r = {.url = url};
    struct err err;

    (void)state;
    assert_int_equal(http_start(h, &r, &events, NULL, NULL, &err), 0);
    loop_run(l);
    assert_int_equal(seen.r.err.grpc, GRPC_UNAVAILABLE);
    assert_true(seen.r.tls_failed);
}

static void goes_through_the_proxy(void **state)
{
    (void)state;
    /* the fake server answers 404 to an absolute URL it does not know: what matters is that it was asked */
    cleanup_free char *proxy = mem_printf("http://localhost:%d", fake.port);
    struct http_fetch r = {.url = "http://nowhere.invalid/http/nothing"};
    struct err err;

    setenv("http_proxy", proxy, 1);
    assert_int_equal(http_start(h, &r, &events, NULL, NULL, &err), 0);
    loop_run(l);
    unsetenv("http_proxy");
    assert_int_equal(seen.r.err.grpc, GRPC_OK);
    assert_int_equal(seen.r.status, 404);
}

static void stop_at_headers(void *data, struct http_transfer *t)
{
    see_headers(data, t);
    loop_stop(l);
}

static void frees_while_moving(void **state)
{
    static const struct http_events stopping = {stop_at_headers, see_body, see_done};
    cleanup_free char *url = mem_printf("http://localhost:%d/http/silent", fake.port);
    struct http_fetch r = {.url = url};
    struct err err;

    (void)state;
    assert_int_equal(http_start(h, &r, &stopping, NULL, NULL, &err), 0);
    loop_run(l);
    assert_int_equal(http_start(h, &r, &events, NULL, NULL, &err), 0);
    assert_int_equal(seen.headers, 1);
    assert_int_equal(seen.done, 0);
}

static void look_idle(void *data)
{
    (void)data;
    if (http_idle(h))
        loop_stop(l);
    else
        loop_defer(l, look_idle, NULL);
}

static void forgets_everything_when_idle(void **state)
{
    (void)state;
    get("bytes/320", (struct http_fetch){0});
    assert_false(http_idle(h));
    int64_t from = time_monotonic_us();
    loop_defer(l, look_idle, NULL);
    loop_run(l);
    assert_true(time_monotonic_us() - from < (MULTI_IDLE_SECONDS + 2) * INT64_C(1000000));
}

int main(void)
{
    unsetenv("http_proxy");
    unsetenv("all_proxy");
    unsetenv("no_proxy");
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(gets_a_body),
        T(pauses_without_losing_a_byte),
        T(posts),
        T(keeps_credentials_on_the_same_origin),
        T(drops_credentials_for_another_origin),
        T(reads_repeated_headers),
        T(cancels_from_inside_a_callback),
        T(aborts),
        cmocka_unit_test(explains_failures),
        T(refuses),
        T(says_who_refuses_the_connection),
        T(tells_where_no_tls_is_spoken),
        T(goes_through_the_proxy),
        T(frees_while_moving),
        T(forgets_everything_when_idle),
    };
    return cmocka_run_group_tests(tests, fake_start, fake_stop);
}
