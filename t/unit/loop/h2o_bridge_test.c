/*
 * A server and raw HTTP/2 clients in one process and one loop: the clients write frames byte by byte, so that every odd
 * client can be played; curl, in a child, is the independent reader of headers and trailers.
 */
#include "loop/h2o_bridge.c"
#include "core/buf.h"
#include "loop/child.h"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>
#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/ioctl.h>

enum { LIMIT_MS = 20000, MAX_BODY = 32 << 20, STREAM_CHUNK = 65536, STREAM_CHUNKS = 64 };

static struct {
    struct loop *loop;
    struct bridge *bridge;
    char dir[32], path[64];
    struct bridge_call *held[256]; /* calls to /hang and /stream that are open */
    size_t held_n, gone, gone_finished, calls, drains, sent;
    bool drained;
    int fds;
} t;

/* ---- the server -------------------------------------------------------------------------------------------------- */

static void on_call_gone(void *data, bool finished)
{
    struct bridge_call *c = data;

    t.gone++;
    t.gone_finished += finished;
    for (size_t i = 0; i < t.held_n; i++)
        if (t.held[i] == c)
            t.held[i] = t.held[--t.held_n];
}

static void stream_more(void *data)
{
    static const char chunk[STREAM_CHUNK];

    t.drains++;
    if (t.sent == STREAM_CHUNKS) {
        bridge_call_finish(data, 0, NULL);
        return;
    }
    t.sent++;
    bridge_call_send(data, chunk, sizeof(chunk));
}

static void echo(struct bridge_call *c)
{
    size_t n;
    const void *body = bridge_call_body(c, &n);

    bridge_call_send(c, body, n);
    bridge_call_finish(c, 0, NULL);
}

static void on_call(void *data, struct bridge_call *c)
{
    const char *path = bridge_call_path(c);

    assert_ptr_equal(data, &t);
    t.calls++;
    bridge_call_on_gone(c, on_call_gone, c);
    if (strcmp(path, "/hang") == 0) {
        t.held[t.held_n++] = c;
    } else if (strcmp(path, "/stream") == 0) {
        t.held[t.held_n++] = c;
        bridge_call_on_drain(c, stream_more, c);
        stream_more(c);
    } else if (strcmp(path, "/error") == 0) {
        bridge_call_finish(c, 5, "caf%C3%A9 is gone");
    } else if (strcmp(path, "/long") == 0) {
        char *message = memset(bridge_call_alloc(c, 20001), 'm', 20000);
        message[20000] = '\0';
        bridge_call_finish(c, 13, message);
    } else if (strcmp(path, "/probe") == 0) {
        const char *v = bridge_call_header(c, "x-probe");
        assert_null(bridge_call_header(c, "x-other"));
        assert_int_equal(bridge_call_peer_pid(c) > 0, 1);
        bridge_call_send(c, v, strlen(v));
        bridge_call_finish(c, 0, bridge_call_method(c));
    } else if (strcmp(path, "/refuse") == 0) {
        bridge_call_refuse(c, 415, "no\n");
    } else {
        echo(c);
    }
}

static int open_descriptors(void)
{
    DIR *d = opendir("/proc/self/fd");
    int n = 0;

    while (readdir(d))
        n++;
    closedir(d);
    return n;
}

static int setup(void **state)
{
    struct err err = {0};

    (void)state;
    memset(&t, 0, sizeof(t));
    signal(SIGPIPE, SIG_IGN);
    t.fds = open_descriptors();
    strcpy(t.dir, "/tmp/cricket-bridge-XXXXXX");
    assert_non_null(mkdtemp(t.dir));
    snprintf(t.path, sizeof(t.path), "%s/s", t.dir);
    t.loop = loop_new();
    t.bridge = bridge_new(t.loop, MAX_BODY);
    assert_int_equal(bridge_listen(t.bridge, t.path, on_call, &t, &err), 0);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    bridge_free(t.bridge);
    loop_free(t.loop);
    assert_int_equal(t.gone, t.calls);
    assert_int_equal(access(t.path, F_OK), -1);
    rmdir(t.dir);
    assert_int_equal(open_descriptors(), t.fds);
    return 0;
}

/* Runs the loop until *counter reaches want. */
static void wait_for(const size_t *counter, size_t want)
{
    int64_t end = time_monotonic_us() + LIMIT_MS * 1000LL;

    while (*counter < want) {
        assert_true(time_monotonic_us() < end);
        struct timer stop = {0};
        timer_start(&stop, t.loop, 0.001, (void (*)(void *))loop_stop, t.loop);
        loop_run(t.loop);
    }
}

/* ---- the client -------------------------------------------------------------------------------------------------- */

struct client {
    int fd;
    struct watch *watch;
    struct buf in;
    size_t data, headers, ended, resets, goaways, pongs, settings, eof; /* frames, but data: bytes */
    uint8_t block[16384];                                               /* payload of the latest HEADERS */
    size_t block_n;
    uint8_t last_flags;
};

static void on_frame(struct client *c, uint8_t type, uint8_t flags, const uint8_t *payload, size_t n)
{
    if (type == H2O_HTTP2_FRAME_TYPE_DATA)
        c->data += n;
    if (type == H2O_HTTP2_FRAME_TYPE_HEADERS) {
        c->headers++;
        c->block_n = n;
        c->last_flags = flags;
        memcpy(c->block, payload, n);
    }
    c->settings += type == H2O_HTTP2_FRAME_TYPE_SETTINGS;
    c->resets += type == H2O_HTTP2_FRAME_TYPE_RST_STREAM;
    c->goaways += type == H2O_HTTP2_FRAME_TYPE_GOAWAY;
    c->pongs += type == H2O_HTTP2_FRAME_TYPE_PING;
    if (type <= H2O_HTTP2_FRAME_TYPE_HEADERS && (flags & H2O_HTTP2_FRAME_FLAG_END_STREAM))
        c->ended++;
}

static void on_client_readable(void *data, int events)
{
    struct client *c = data;
    char bytes[65536];

    (void)events;
    ssize_t n = read(c->fd, bytes, sizeof(bytes));
    if (n <= 0) {
        c->eof++;
        watch_set(c->watch, 0);
        return;
    }
    buf_add(&c->in, bytes, (size_t)n);
    for (;;) {
        const uint8_t *p = (const uint8_t *)c->in.data;
        size_t len = c->in.len >= 9 ? h2o_http2_decode24u(p) : SIZE_MAX;
        if (len == SIZE_MAX || c->in.len < 9 + len)
            return;
        on_frame(c, p[3], p[4], p + 9, len);
        memmove(c->in.data, c->in.data + 9 + len, c->in.len - 9 - len);
        c->in.len -= 9 + len;
    }
}

static struct client *client_new(void)
{
    struct client *c = mem_new(struct client);
    struct sockaddr_un a = {.sun_family = AF_UNIX};

    strcpy(a.sun_path, t.path);
    c->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(connect(c->fd, (struct sockaddr *)&a, sizeof(a)), 0);
    c->watch = watch_start(t.loop, c->fd, WATCH_READ, on_client_readable, c);
    return c;
}

static void client_free(struct client *c)
{
    watch_stop(c->watch);
    close(c->fd);
    buf_done(&c->in);
    free(c);
}

static void frame(struct buf *b, int type, int flags, uint32_t stream, const void *payload, size_t n)
{
    uint8_t head[9];

    h2o_http2_encode_frame_header(head, n, (uint8_t)type, (uint8_t)flags, (int32_t)stream);
    buf_add(b, head, 9);
    buf_add(b, payload, n);
}

static void field(struct buf *b, const char *name, const char *value)
{
    char c = 0;

    buf_add(b, &c, 1);
    c = (char)strlen(name);
    buf_add(b, &c, 1);
    buf_adds(b, name);
    c = (char)strlen(value);
    buf_add(b, &c, 1);
    buf_adds(b, value);
}

static void hello(struct buf *b, uint32_t window)
{
    uint8_t setting[6] = {0, 4};

    h2o_http2_encode32u(setting + 2, window);
    buf_adds(b, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
    frame(b, H2O_HTTP2_FRAME_TYPE_SETTINGS, 0, 0, setting, 6);
}

static void request(struct buf *b, uint32_t stream, const char *path, const char *body, const char *extra)
{
    cleanup_buf struct buf block = {0};

    field(&block, ":method", "POST");
    field(&block, ":scheme", "http");
    field(&block, ":path", path);
    field(&block, ":authority", "%2Frun%2Fc.sock");
    field(&block, "content-type", "application/grpc");
    if (extra)
        field(&block, extra, "yes");
    frame(b, H2O_HTTP2_FRAME_TYPE_HEADERS, body ? 4 : 5, stream, block.data, block.len);
    if (body)
        frame(b, H2O_HTTP2_FRAME_TYPE_DATA, 1, stream, body, strlen(body));
}

static void put(struct client *c, const struct buf *b)
{
    assert_int_equal(write(c->fd, b->data, b->len), b->len);
}

static void put_window(struct client *c, uint32_t stream, uint32_t n)
{
    cleanup_buf struct buf b = {0};
    uint8_t by[4];

    h2o_http2_encode32u(by, n);
    frame(&b, H2O_HTTP2_FRAME_TYPE_WINDOW_UPDATE, 0, stream, by, 4);
    put(c, &b);
}

static struct client *client_calling(const char *path, const char *body, uint32_t window)
{
    struct client *c = client_new();
    cleanup_buf struct buf b = {0};

    hello(&b, window);
    request(&b, 1, path, body, NULL);
    put(c, &b);
    return c;
}

/* ---- the tests --------------------------------------------------------------------------------------------------- */

static void test_unary_is_headers_data_trailers(void **state)
{
    uint8_t expected[128];
    struct client *c = client_calling("/echo", "hello", 65535);

    (void)state;
    wait_for(&c->ended, 1);
    assert_int_equal(c->data, 5);
    assert_int_equal(c->headers, 2);
    assert_int_equal(c->last_flags, 5);
    assert_int_equal(c->block_n, put_trailers(expected, 0, ""));
    assert_memory_equal(c->block, expected, c->block_n);
    wait_for(&t.gone, 1);
    assert_int_equal(t.gone_finished, 1);
    /* a late WINDOW_UPDATE for the ended stream must not hurt, and the connection goes on */
    put_window(c, 1, 100);
    cleanup_buf struct buf b = {0};
    request(&b, 3, "/echo", NULL, NULL);
    put(c, &b);
    wait_for(&c->ended, 2);
    client_free(c);
}

static void test_an_empty_body_and_an_error_have_no_data(void **state)
{
    uint8_t expected[128];

    (void)state;
    struct client *c = client_calling("/echo", NULL, 65535);
    wait_for(&c->ended, 1);
    assert_int_equal(c->data, 0);
    assert_int_equal(c->headers, 2);
    client_free(c);
    c = client_calling("/error", "x", 0); /* with no window at all */
    wait_for(&c->ended, 1);
    assert_int_equal(c->data, 0);
    assert_int_equal(c->block_n, put_trailers(expected, 5, "caf%C3%A9 is gone"));
    assert_memory_equal(c->block, expected, c->block_n);
    client_free(c);
}

static void test_a_long_message_is_cut(void **state)
{
    (void)state;
    struct client *c = client_calling("/long", "x", 65535);
    wait_for(&c->ended, 1);
    assert_in_range(c->block_n, 1000, BRIDGE_MESSAGE_MAX + 64);
    client_free(c);
}

static void test_reset_and_disconnect_end_pending_calls_once(void **state)
{
    static const uint8_t cancel[4] = {0, 0, 0, 8};
    struct client *c = client_calling("/hang", "x", 65535);
    cleanup_buf struct buf b = {0};

    (void)state;
    for (uint32_t i = 1; i < 10; i++)
        request(&b, 1 + 2 * i, "/hang", "x", NULL);
    put(c, &b);
    wait_for(&t.calls, 10);
    assert_int_equal(t.gone, 0);
    b.len = 0;
    frame(&b, H2O_HTTP2_FRAME_TYPE_RST_STREAM, 0, 5, cancel, 4);
    put(c, &b);
    wait_for(&t.gone, 1);
    assert_int_equal(t.held_n, 9);
    bridge_call_finish(t.held[0], 0, NULL);
    wait_for(&c->ended, 1);
    client_free(c);
    wait_for(&t.gone, 10);
    assert_int_equal(t.gone_finished, 1);
}

static void test_reset_of_a_streaming_call(void **state)
{
    static const uint8_t cancel[4] = {0, 0, 0, 8};
    cleanup_buf struct buf b = {0};
    struct client *c = client_calling("/stream", "x", 65535);

    (void)state;
    wait_for(&c->data, 65535);
    frame(&b, H2O_HTTP2_FRAME_TYPE_RST_STREAM, 0, 1, cancel, 4);
    put(c, &b);
    wait_for(&t.gone, 1);
    assert_int_equal(t.gone_finished, 0);
    b.len = 0;
    request(&b, 3, "/error", "x", NULL);
    put(c, &b);
    wait_for(&c->ended, 1);
    client_free(c);
}

static void test_a_slow_reader_stops_the_stream(void **state)
{
    struct client *c = client_calling("/stream", "x", 100000);

    (void)state;
    wait_for(&c->data, 65535); /* the connection's window */
    size_t ping = c->pongs;
    cleanup_buf struct buf b = {0};
    frame(&b, H2O_HTTP2_FRAME_TYPE_PING, 0, 0, "12345678", 8);
    put(c, &b);
    wait_for(&c->pongs, ping + 1);
    assert_int_equal(c->data, 65535);
    assert_true(t.sent <= 3);
    assert_true(bridge_call_queued(t.held[0]) > 0);
    put_window(c, 0, 1 << 30);
    put_window(c, 1, 1 << 30);
    wait_for(&c->ended, 1);
    assert_int_equal(c->data, STREAM_CHUNK * STREAM_CHUNKS);
    assert_int_equal(t.drains, STREAM_CHUNKS + 1);
    client_free(c);
}

static void test_a_hundred_calls_at_once(void **state)
{
    struct client *c = client_new();
    cleanup_buf struct buf b = {0};

    (void)state;
    hello(&b, 65535);
    for (uint32_t i = 0; i < 100; i++)
        request(&b, 1 + 2 * i, "/hang", "x", NULL);
    put(c, &b);
    wait_for(&t.held_n, 100);
    while (t.held_n) {
        struct bridge_call *h = t.held[--t.held_n];
        bridge_call_send(h, "answer", 6);
        bridge_call_finish(h, 0, NULL);
    }
    wait_for(&c->ended, 100);
    assert_int_equal(c->data, 600);
    wait_for(&t.gone, 100);
    client_free(c);
}

static void test_one_byte_at_a_time(void **state)
{
    struct client *c = client_new();
    cleanup_buf struct buf b = {0};

    (void)state;
    hello(&b, 65535);
    request(&b, 1, "/echo", "slowly", NULL);
    for (size_t i = 0; i < b.len; i++) {
        assert_int_equal(write(c->fd, b.data + i, 1), 1);
        struct timer stop = {0};
        timer_start(&stop, t.loop, 0, (void (*)(void *))loop_stop, t.loop);
        loop_run(t.loop);
    }
    wait_for(&c->ended, 1);
    assert_int_equal(c->data, 6);
    client_free(c);
}

static void test_what_is_no_http2_is_closed(void **state)
{
    static const char *const openings[] = {
        "GET / HTTP/1.1\r\nHost: x\r\n\r\n",
        "\x16\x03\x01\x02\x0f\x01\x01\x01\xfc\x03\x03 the hello of a TLS client",
        "\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff",
        "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\ngarbage garbage garbage garbage garbage garbage",
        "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\xff\xff\xff\x01\x05",
    };

    (void)state;
    for (size_t i = 0; i < countof(openings); i++) {
        struct client *c = client_new();
        assert_true(write(c->fd, openings[i], strlen(openings[i])) > 0);
        if (i < 3) /* no preface: closed at once; with one, a frame or its length may still come */
            wait_for(&c->eof, 1);
        client_free(c);
    }
    struct client *c = client_calling("/echo", "still here", 65535);
    wait_for(&c->ended, 1);
    client_free(c);
    assert_int_equal(t.calls, 1);
}

static void test_upper_case_headers_are_a_protocol_error(void **state)
{
    struct client *c = client_new();
    cleanup_buf struct buf b = {0};

    (void)state;
    hello(&b, 65535);
    request(&b, 1, "/echo", "x", "Upper");
    put(c, &b);
    wait_for(&c->goaways, 1);
    assert_int_equal(t.calls, 0);
    client_free(c);
}

static void on_drained(void *data)
{
    t.drained = true;
    loop_stop(data);
}

static void test_drain_waits_for_open_calls(void **state)
{
    struct client *c = client_calling("/hang", "x", 65535);
    cleanup_buf struct buf b = {0};

    (void)state;
    wait_for(&t.held_n, 1);
    bridge_drain(t.bridge, on_drained, t.loop);
    wait_for(&c->goaways, 1);
    request(&b, 3, "/echo", "late", NULL);
    put(c, &b);
    wait_for(&c->ended, 1); /* refused, with UNAVAILABLE */
    assert_int_equal(c->data, 0);
    assert_int_equal(t.calls, 1);
    assert_false(t.drained);
    assert_int_equal(access(t.path, F_OK), -1);
    bridge_call_finish(t.held[0], 0, NULL);
    loop_run(t.loop);
    assert_true(t.drained);
    wait_for(&c->ended, 2);
    client_free(c);
}

static void test_freeing_the_bridge_ends_what_is_open(void **state)
{
    struct client *c = client_calling("/hang", "x", 65535), *d = client_calling("/stream", "x", 65535);

    (void)state;
    wait_for(&t.held_n, 2);
    wait_for(&d->data, 65535);
    bridge_free(t.bridge);
    t.bridge = NULL;
    assert_int_equal(t.gone, 2);
    wait_for(&c->eof, 1);
    wait_for(&d->eof, 1);
    client_free(c);
    client_free(d);
}

static void test_the_socket_file(void **state)
{
    struct bridge *other = bridge_new(t.loop, MAX_BODY);
    struct err err = {0};
    struct stat st;
    char path[200], file[64];

    (void)state;
    assert_int_equal(stat(t.path, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0660);
    assert_true(bridge_listen(other, t.path, on_call, &t, &err) < 0); /* a live one */
    assert_int_equal(err.grpc, GRPC_ALREADY_EXISTS);
    memset(path, 'x', sizeof(path));
    path[sizeof(path) - 1] = '\0';
    assert_true(bridge_listen(other, path, on_call, &t, &err) < 0);
    assert_int_equal(err.grpc, GRPC_INVALID_ARGUMENT);
    assert_true(bridge_listen(other, "/nonexistent/s", on_call, &t, &err) < 0);

    snprintf(file, sizeof(file), "%s/f", t.dir);
    close(open(file, O_CREAT | O_WRONLY | O_CLOEXEC, 0600));
    assert_true(bridge_listen(other, file, on_call, &t, &err) < 0); /* no socket */
    unlink(file);
    struct sockaddr_un a = {.sun_family = AF_UNIX};
    strcpy(a.sun_path, file);
    int stale = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(stale, (struct sockaddr *)&a, sizeof(a)), 0);
    close(stale);
    assert_int_equal(bridge_listen(other, file, on_call, &t, &err), 0);
    bridge_free(other);
    assert_int_equal(access(file, F_OK), -1);
}

/* ---- curl reads what we write ------------------------------------------------------------------------------------ */

static struct buf curl_out;
static size_t curl_done;

static void on_curl(void *data, struct child_result *r)
{
    (void)data;
    assert_int_equal(r->status, 0);
    buf_done(&curl_out);
    curl_out = r->out;
    r->out = (struct buf){0};
    curl_done++;
}

static void curl(const char *path, const char *body)
{
    char url[64];
    struct err err = {0};
    struct child *child;
    const char *argv[] = {"curl",
                          "-sS",
                          "--http2-prior-knowledge",
                          "--unix-socket",
                          t.path,
                          "-D",
                          "-",
                          "-H",
                          "content-type: application/grpc",
                          "-H",
                          "x-probe: 1",
                          "--data-binary",
                          body,
                          url,
                          NULL};
    struct child_spec spec = {.argv = argv, .out_max = 64 << 20, .timeout_ms = LIMIT_MS};

    snprintf(url, sizeof(url), "http://x%s", path);
    curl_done = 0;
    assert_int_equal(child_start(t.loop, &spec, on_curl, NULL, &child, &err), 0);
    wait_for(&curl_done, 1);
}

static void test_another_client_reads_headers_and_trailers(void **state)
{
    (void)state;
    curl("/error", "x");
    assert_non_null(strstr(curl_out.data, "HTTP/2 200"));
    assert_non_null(strstr(curl_out.data, "content-type: application/grpc\r\n"));
    assert_non_null(strstr(curl_out.data, "grpc-status: 5\r\n"));
    assert_non_null(strstr(curl_out.data, "grpc-message: caf%C3%A9 is gone\r\n"));
    curl("/probe", "x");
    assert_non_null(strstr(curl_out.data, "\r\n\r\n1"));
    assert_non_null(strstr(curl_out.data, "grpc-message: POST\r\n"));
    curl("/refuse", "x");
    assert_non_null(strstr(curl_out.data, "HTTP/2 415"));
    buf_done(&curl_out);
}

static void test_sixteen_mebibytes_come_back(void **state)
{
    enum { SIZE = 16 << 20 };
    char file[64], arg[80];
    cleanup_free char *body = mem_alloc(SIZE);

    (void)state;
    for (size_t i = 0; i < SIZE; i++)
        body[i] = (char)(i * 31 + i / 4093);
    snprintf(file, sizeof(file), "%s/body", t.dir);
    snprintf(arg, sizeof(arg), "@%s", file);
    int fd = open(file, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
    assert_int_equal(write(fd, body, SIZE), SIZE);
    close(fd);
    curl("/echo", arg);
    unlink(file);
    const char *at = memmem(curl_out.data, curl_out.len, "\r\n\r\n", 4);
    assert_non_null(at);
    assert_true(curl_out.len - (size_t)(at + 4 - curl_out.data) >= SIZE);
    assert_memory_equal(at + 4, body, SIZE);
    buf_done(&curl_out);
}

/* What libuv and the child machinery keep for the life of the process is opened here, before any descriptor is counted. */
static int warm_up(void **state)
{
    struct loop *l = loop_new();
    struct child_spec spec = {.argv = (const char *[]){"true", NULL}};
    struct err err = {0};
    struct child *child;

    (void)state;
    signal(SIGPIPE, SIG_IGN);
    t.loop = l;
    curl_done = 0;
    assert_int_equal(child_start(l, &spec, on_curl, NULL, &child, &err), 0);
    wait_for(&curl_done, 1);
    bridge_free(bridge_new(l, MAX_BODY));
    loop_free(l);
    return 0;
}

#define bridge_test(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        bridge_test(test_unary_is_headers_data_trailers),
        bridge_test(test_an_empty_body_and_an_error_have_no_data),
        bridge_test(test_a_long_message_is_cut),
        bridge_test(test_reset_and_disconnect_end_pending_calls_once),
        bridge_test(test_reset_of_a_streaming_call),
        bridge_test(test_a_slow_reader_stops_the_stream),
        bridge_test(test_a_hundred_calls_at_once),
        bridge_test(test_one_byte_at_a_time),
        bridge_test(test_what_is_no_http2_is_closed),
        bridge_test(test_upper_case_headers_are_a_protocol_error),
        bridge_test(test_drain_waits_for_open_calls),
        bridge_test(test_freeing_the_bridge_ends_what_is_open),
        bridge_test(test_the_socket_file),
        bridge_test(test_another_client_reads_headers_and_trailers),
        bridge_test(test_sixteen_mebibytes_come_back),
    };
    return cmocka_run_group_tests(tests, warm_up, NULL);
}
