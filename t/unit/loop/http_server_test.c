/* The server against clients that drip, flood, vanish and say nonsense; client and server share one loop. */
#include "loop/http_server.c"
#include "core/buf.h"
#include "t/unit/loop/stream_pair.h"

#include <netinet/tcp.h>
#include <signal.h>
#include <sys/resource.h>

enum { CLIENTS = 200 };

#define UPGRADE "Connection: keep-alive, Upgrade\r\nUpgrade: SPDY/3.1\r\n"

struct client {
    int fd;
    struct buf got;
    int end; /* 0: open, -1: closed, else a negative errno */
};

static struct {
    struct loop *l;
    struct http_server *server;
    struct http_server_spec spec;
    int fds, loop_fds;
    size_t requests, gone, opened, not_opened, streams_gone;
    struct http_request *held;
    struct stream_conn **streams[CLIENTS]; /* the echo's data: a box with the conn */
    size_t streams_n;
    char seen[1024];
} t;

/* ---- the server -------------------------------------------------------------------------------------------------- */

static void echo(void *data, const uint8_t *p, size_t n)
{
    struct stream_conn **box = data;

    stream_conn_write(*box, &(struct iovec){(void *)p, n}, 1);
}

static void on_stream_gone(void *data, const struct err *err)
{
    struct stream_conn **box = data;

    (void)err;
    t.streams_gone++;
    for (size_t i = 0; i < t.streams_n; i++)
        if (t.streams[i] == box)
            t.streams[i] = t.streams[--t.streams_n];
    stream_conn_free(*box);
    free(box);
}

static const struct stream_conn_events echo_events = {echo, NULL, on_stream_gone};

static void on_open(void *data, struct stream_conn *c)
{
    assert_ptr_equal(data, &t);
    if (!c) {
        t.not_opened++;
        return;
    }
    struct stream_conn **box = mem_alloc(sizeof(struct stream_conn *));
    *box = c;
    t.opened++;
    t.streams[t.streams_n++] = box;
    stream_conn_start(c, &echo_events, box);
    stream_conn_read(c, true);
}

/* Ends the streams that are open, from our side. */
static void streams_end(void)
{
    while (t.streams_n) {
        struct stream_conn **box = t.streams[--t.streams_n];
        stream_conn_free(*box);
        free(box);
    }
}

static void upgrade(struct http_request *r)
{
    struct http_header headers[] = {{"Upgrade", "SPDY/3.1"},
                                    {"X-Stream-Protocol-Version", "v4.channel.k8s.io"}};

    http_request_upgrade(r, headers, countof(headers), on_open, &t);
}

static void on_held_gone(void *data)
{
    assert_ptr_equal(data, &t);
    t.gone++;
    t.held = NULL;
}

static const char *or_none(const char *s)
{
    return s ? s : "(none)";
}

static void on_test_request(void *data, struct http_request *r)
{
    const char *path = http_request_path(r);

    assert_ptr_equal(data, &t);
    t.requests++;
    snprintf(t.seen, sizeof(t.seen), "%s|%s|%s|%s|%s|%s|%s", http_request_method(r), path,
             http_request_query(r), or_none(http_request_header(r, "x-stream-protocol-version")),
             or_none(http_request_header(r, "host")), or_none(http_request_upgrade_to(r)),
             or_none(http_request_header(r, "x-absent")));
    if (strncmp(path, "/exec/", 6) == 0 && http_request_upgrade_to(r)) {
        upgrade(r);
    } else if (strcmp(path, "/hold") == 0) {
        t.held = r;
        http_request_on_gone(r, on_held_gone, &t);
    } else if (strcmp(path, "/full") == 0) {
        struct http_header header = {"Retry-After", "60"};
        http_request_answer(r, 429, &header, 1, "too many\n");
    } else {
        http_request_answer(r, 404, NULL, 0, "there is nothing here\n");
    }
}

static void server_start(void)
{
    struct err err = {0};

    assert_int_equal(http_server_start(t.l, &t.spec, on_test_request, &t, &t.server, &err), 0);
}

static int setup(void **state)
{
    (void)state;
    memset(&t, 0, sizeof(t));
    signal(SIGPIPE, SIG_IGN); /* as the daemon does, for libuv */
    t.fds = open_descriptors();
    t.l = loop_new();
    turn(t.l);
    t.loop_fds = open_descriptors();
    t.spec = (struct http_server_spec){.address = "127.0.0.1"};
    return 0;
}

/* The first loop of libuv makes a pipe that the process keeps. */
static int setup_process(void **state)
{
    struct loop *l = loop_new();

    (void)state;
    uv_nest_free(uv_nest_new(l));
    loop_free(l);
    return 0;
}

static int setup_server(void **state)
{
    (void)setup(state);
    server_start();
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    streams_end();
    http_server_free(t.server);
    wait_until(t.l, open_descriptors() == t.loop_fds); /* answers linger */
    loop_free(t.l);
    assert_int_equal(open_descriptors(), t.fds);
    return 0;
}

/* ---- the client -------------------------------------------------------------------------------------------------- */

static struct client client_new(void)
{
    return (struct client){.fd = tcp_connect(http_server_port(t.server))};
}

static void client_close(struct client *c)
{
    if (c->fd >= 0)
        close(c->fd);
    c->fd = -1;
    buf_done(&c->got);
}

static void client_reset(struct client *c)
{
    reset_and_close(c->fd);
    c->fd = -1;
}

static int client_read(struct client *c)
{
    char block[65536];

    while (c->end == 0) {
        ssize_t n = recv(c->fd, block, sizeof(block), 0);
        if (n < 0 && errno == EAGAIN)
            break;
        if (n > 0)
            buf_add(&c->got, block, (size_t)n);
        else
            c->end = n == 0 ? -1 : -errno;
    }
    return c->end;
}

/* True when all of it is on its way, or nothing more will be taken. */
static bool client_said(struct client *c, const char *text, size_t n, size_t *done)
{
    ssize_t sent = send(c->fd, text + *done, n - *done, MSG_NOSIGNAL);

    if (sent < 0)
        return errno != EAGAIN;
    *done += (size_t)sent;
    return *done == n;
}

static void client_say(struct client *c, const char *text)
{
    size_t done = 0;

    wait_until(t.l, client_said(c, text, strlen(text), &done));
}

static bool client_has(struct client *c, const char *text)
{
    (void)client_read(c);
    return c->got.data && strstr(c->got.data, text);
}

static bool at_head_end(struct client *c)
{
    return client_has(c, "\r\n\r\n");
}

/* One request on a connection of its own, read to its end. */
static struct client ask(const char *text)
{
    struct client c = client_new();

    client_say(&c, text);
    wait_until(t.l, client_read(&c) != 0);
    return c;
}

static void asks(const char *text, const char *status)
{
    struct client c = ask(text);

    assert_int_equal(c.end, -1);
    assert_non_null(c.got.data);
    assert_memory_equal(c.got.data, status, strlen(status));
    assert_non_null(strcasestr(c.got.data, "\r\nConnection: close\r\n"));
    client_close(&c);
}

/* ---- answers ----------------------------------------------------------------------------------------------------- */

static void refuses_in_words(void **state)
{
    (void)state;
    struct client c = ask("GET /nowhere HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_int_equal(c.end, -1);
    assert_memory_equal(c.got.data, "HTTP/1.1 404 Not Found\r\n", 24);
    assert_non_null(strstr(c.got.data, "Connection: close\r\n"));
    assert_non_null(strstr(c.got.data, "Content-Length: 22\r\n"));
    assert_non_null(strstr(c.got.data, "content-type: text/plain; charset=utf-8\r\n"));
    assert_non_null(strstr(c.got.data, "\r\n\r\nthere is nothing here\n"));
    assert_null(strstr(c.got.data, "erver: "));
    client_close(&c);

    c = ask("GET /full HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_memory_equal(c.got.data, "HTTP/1.1 429 Too Many Requests\r\n", 32);
    assert_non_null(strstr(c.got.data, "\r\nRetry-After: 60\r\n"));
    client_close(&c);

    c = ask("HEAD /nowhere HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_non_null(strstr(c.got.data, "Content-Length: 22\r\n"));
    assert_string_equal(c.got.data + c.got.len - 4, "\r\n\r\n");
    client_close(&c);
    assert_int_equal(t.requests, 3);
}

static void sees_the_request(void **state)
{
    (void)state;
    asks("POST /portforward/tok?port=80&port=81 HTTP/1.1\r\nHost: node:10250\r\n"
         "X-Stream-Protocol-Version: v4.channel.k8s.io\r\nX-STREAM-protocol-version: v3.channel.k8s.io\r\n"
         "Content-Length: 0\r\n\r\n",
         "HTTP/1.1 404 ");
    assert_string_equal(t.seen, "POST|/portforward/tok|port=80&port=81|v4.channel.k8s.io, v3.channel.k8s.io|"
                                "node:10250|(none)|(none)");
    asks("GET /a%20b/../c HTTP/1.1\r\nUpgrade: SPDY/3.1\r\nConnection: keep-alive\r\n\r\n", "HTTP/1.1 404 ");
    assert_string_equal(t.seen, "GET|/a%20b/../c||(none)|default|(none)|(none)");
    asks("GET /w? HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: upgrade\r\n\r\n", "HTTP/1.1 404 ");
    assert_string_equal(t.seen, "GET|/w||(none)|a|websocket|(none)");
    /* HTTP/1.0 cannot upgrade */
    asks("GET /exec/x HTTP/1.0\r\nHost: a\r\n" UPGRADE "\r\n", "HTTP/1.1 404 ");
    assert_string_equal(t.seen, "GET|/exec/x||(none)|a|(none)|(none)");
    asks("GET nothing HTTP/1.1\r\nHost: a\r\n\r\n", "HTTP/1.1 404 ");
    assert_string_equal(t.seen, "GET|nothing||(none)|a|(none)|(none)");
}

static void reads_small_bodies_and_refuses_large_ones(void **state)
{
    cleanup_free char *chunk = mem_alloc(HTTP_BODY_MAX + 1);
    cleanup_free char *large = NULL;

    (void)state;
    asks("POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello", "HTTP/1.1 404 ");
    asks("POST /x HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
         "HTTP/1.1 404 ");
    assert_int_equal(t.requests, 2);
    asks("POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: 4097\r\n\r\n", "HTTP/1.1 413 ");
    asks("POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: 99999999999999999999999999\r\n\r\n", "HTTP/1.1 4");
    asks("POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: -1\r\n\r\n", "HTTP/1.1 400 ");
    asks("POST /x HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip\r\n\r\n", "HTTP/1.1 400 ");
    memset(chunk, 'x', HTTP_BODY_MAX);
    large = mem_printf("POST /x HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n1000\r\n%s", chunk);
    asks(large, "HTTP/1.1 413 ");
    asks("POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nExpect: cake\r\n\r\n", "HTTP/1.1 417 ");
    assert_int_equal(t.requests, 2);

    struct client c = client_new();
    client_say(&c, "POST /exec/x HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nExpect: 100-continue\r\n" UPGRADE
                   "\r\n");
    wait_until(t.l, client_has(&c, "HTTP/1.1 100 Continue\r\n\r\n"));
    client_say(&c, "helloecho");
    wait_until(t.l, client_has(&c, "101 Switching") && client_has(&c, "\r\n\r\necho"));
    client_close(&c);
}

static void nonsense_is_answered_400(void **state)
{
    struct buf many = {0};

    (void)state;
    asks("nonsense\r\n\r\n", "HTTP/1.1 400 ");
    asks("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "HTTP/1.1 400 ");
    asks("GET / HTTP/1.1\r\nbad header: x\r\n\r\n", "HTTP/1.1 400 ");
    asks("\x16\x03\x01 is the start of TLS\r\n\r\n", "HTTP/1.1 400 ");
    buf_adds(&many, "GET / HTTP/1.1\r\n");
    for (int i = 0; i < 101; i++)
        buf_addf(&many, "x-%d: y\r\n", i);
    buf_adds(&many, "\r\n");
    asks(many.data, "HTTP/1.1 400 ");
    buf_done(&many);
    assert_int_equal(t.requests, 0);
}

static void a_large_head(void **state)
{
    cleanup_free char *fill = mem_alloc(4 * HTTP_HEAD_MAX);
    cleanup_free char *good = NULL;
    cleanup_free char *bad = NULL;

    (void)state;
    memset(fill, 'x', HTTP_HEAD_MAX / 2 - 200);
    good = mem_printf("GET /x HTTP/1.1\r\nHost: a\r\nAuthorization: %s\r\n\r\n", fill);
    asks(good, "HTTP/1.1 404 ");
    assert_int_equal(t.requests, 1);
    memset(fill, 'x', 4 * HTTP_HEAD_MAX - 1);
    bad = mem_printf("GET /x HTTP/1.1\r\nHost: a\r\nAuthorization: %s\r\n\r\n", fill);
    asks(bad, "HTTP/1.1 431 ");
    assert_int_equal(t.requests, 1);
}

/* What is behind the request must not turn the answer into a reset. */
static void rubbish_behind_the_request(void **state)
{
    cleanup_free char *fill = mem_alloc(1 << 20);
    cleanup_free char *text = NULL;

    (void)state;
    memset(fill, 'x', (1 << 20) - 1);
    text = mem_printf("GET /x HTTP/1.1\r\nHost: a\r\n\r\nGET /y HTTP/1.1\r\n\r\n%s", fill);
    asks(text, "HTTP/1.1 404 ");
    assert_int_equal(t.requests, 1);
}

static void one_byte_at_a_time(void **state)
{
    static const char head[] = "POST /exec/x?a HTTP/1.1\r\nHost: a\r\n" UPGRADE "\r\n";
    struct client c;

    (void)state;
    c = client_new();
    for (size_t i = 0; i < sizeof(head) - 1; i++) {
        assert_int_equal(t.requests, 0);
        assert_int_equal(send(c.fd, head + i, 1, 0), 1);
        turn(t.l);
    }
    wait_until(t.l, t.opened == 1);
    assert_int_equal(t.requests, 1);
    client_say(&c, "x");
    wait_until(t.l, client_has(&c, "\r\n\r\nx"));
    client_close(&c);
}

static void a_head_that_never_ends(void **state)
{
    int64_t start;

    (void)state;
    t.spec.header_timeout_s = 1;
    server_start();
    struct client silent = client_new(), slow = client_new(), body = client_new();
    client_say(&body, "POST /x HTTP/1.1\r\nContent-Length: 10\r\n\r\n12345");
    client_say(&slow, "GET / HTTP/1.1\r\n");
    start = time_monotonic_us();
    wait_until(t.l, (client_read(&slow) || send(slow.fd, "a: b\r\n", 6, MSG_NOSIGNAL) < 0 || true) &&
                        client_read(&slow) && client_read(&silent) && client_read(&body));
    assert_in_range(time_monotonic_us() - start, 500000, 4000000);
    assert_int_equal(silent.got.len + slow.got.len + body.got.len, 0);
    assert_int_equal(t.requests, 0);
    client_close(&silent);
    client_close(&slow);
    client_close(&body);
}

/* ---- upgrades ---------------------------------------------------------------------------------------------------- */

/* Our end of the client's connection. */
static int server_side(const struct client *c)
{
    struct sockaddr_in client, peer;
    socklen_t n = sizeof(client);

    assert_int_equal(getsockname(c->fd, (struct sockaddr *)&client, &n), 0);
    for (int fd = 3; fd < 1024; fd++) {
        n = sizeof(peer);
        if (getpeername(fd, (struct sockaddr *)&peer, &n) == 0 && n == sizeof(peer) &&
            peer.sin_port == client.sin_port)
            return fd;
    }
    fail();
    return -1;
}

static void upgrades_and_keeps_what_was_behind_the_head(void **state)
{
    struct client c;
    int on = 0;
    socklen_t n = sizeof(on);

    (void)state;
    c = client_new();
    client_say(&c, "POST /exec/tok HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n" UPGRADE "\r\nleft over");
    wait_until(t.l, client_has(&c, "left over"));
    assert_memory_equal(c.got.data, "HTTP/1.1 101 Switching Protocols\r\n", 34);
    assert_non_null(strstr(c.got.data, "\r\nConnection: upgrade\r\n"));
    assert_non_null(strstr(c.got.data, "\r\nUpgrade: SPDY/3.1\r\n"));
    assert_non_null(strstr(c.got.data, "\r\nX-Stream-Protocol-Version: v4.channel.k8s.io\r\n"));
    assert_null(strcasestr(c.got.data, "content-length"));
    assert_string_equal(strstr(c.got.data, "\r\n\r\n"), "\r\n\r\nleft over");
    client_say(&c, " and more");
    wait_until(t.l, client_has(&c, "left over and more"));

    int fd = server_side(&c);
    assert_int_equal(getsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, &n), 0);
    assert_int_equal(on, 1);
    assert_int_equal(getsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, &n), 0);
    assert_int_equal(on, 1);
    assert_true(fcntl(fd, F_GETFD) & FD_CLOEXEC);
    assert_true(fcntl(fd, F_GETFL) & O_NONBLOCK);
    client_close(&c);
    wait_until(t.l, t.streams_gone == 1);
}

/* More than h2o reads at once: a part is in its buffer, the rest in the kernel. */
static void much_behind_the_head(void **state)
{
    enum { MUCH = 1 << 20 };
    cleanup_free char *fill = mem_alloc(MUCH + 1);
    cleanup_free char *text = NULL;
    struct client c;

    (void)state;
    for (size_t i = 0; i < MUCH; i++)
        fill[i] = (char)('a' + i * 2654435761u % 26);
    text = mem_printf("GET /exec/tok HTTP/1.1\r\nHost: a\r\n" UPGRADE "\r\n%s", fill);
    c = client_new();
    client_say(&c, text);
    wait_until(t.l, at_head_end(&c) && c.got.len >= MUCH &&
                        strlen(strstr(c.got.data, "\r\n\r\n")) == (size_t)MUCH + 4);
    assert_string_equal(strstr(c.got.data, "\r\n\r\n") + 4, fill);
    client_close(&c);
}

static void answers_later(void **state)
{
    struct client c;

    (void)state;
    c = client_new();
    client_say(&c, "GET /hold HTTP/1.1\r\nHost: a\r\n\r\n");
    wait_until(t.l, t.held);
    turns(t.l, 1500); /* past a check */
    assert_int_equal(t.gone, 0);
    http_request_answer(t.held, 503, NULL, 0, "not now\n");
    wait_until(t.l, client_read(&c));
    assert_int_equal(c.end, -1);
    assert_memory_equal(c.got.data, "HTTP/1.1 503 Service Unavailable\r\n", 34);
    assert_int_equal(t.gone, 0);
    client_close(&c);
}

static void upgrades_later(void **state)
{
    struct client c;

    (void)state;
    c = client_new();
    client_say(&c, "GET /hold HTTP/1.1\r\nHost: a\r\n" UPGRADE "\r\n");
    wait_until(t.l, t.held);
    client_say(&c, "early");
    upgrade(t.held);
    assert_int_equal(t.opened, 0);
    wait_until(t.l, client_has(&c, "\r\n\r\nearly"));
    assert_int_equal(t.gone, 0);
    client_close(&c);
}

static void a_client_gone_before_the_answer(void **state)
{
    struct client c;

    (void)state;
    c = client_new();
    client_say(&c, "GET /hold HTTP/1.1\r\nHost: a\r\n\r\nrubbish");
    wait_until(t.l, t.held);
    client_close(&c);
    wait_until(t.l, t.gone == 1);
    assert_null(t.server->conns);
    /* and when the server does not hear of it before it answers */
    c = client_new();
    client_say(&c, "GET /hold HTTP/1.1\r\nHost: a\r\n\r\nrubbish");
    wait_until(t.l, t.held);
    client_reset(&c);
    http_request_answer(t.held, 404, NULL, 0, "x");
    wait_until(t.l, !t.server->conns);
    assert_int_equal(t.gone, 1);
}

static void a_client_gone_before_the_upgrade(void **state)
{
    struct client c;

    (void)state;
    c = client_new();
    client_say(&c, "GET /hold HTTP/1.1\r\nHost: a\r\n" UPGRADE "\r\n");
    wait_until(t.l, t.held);
    client_reset(&c);
    upgrade(t.held);
    assert_int_equal(t.not_opened, 0);
    wait_until(t.l, t.not_opened == 1);
    assert_int_equal(t.gone + t.opened, 0);
    assert_null(t.server->conns);
    assert_int_equal(t.server->slots->used, 0);
}

static void a_client_gone_while_its_head_is_read(void **state)
{
    struct client c;

    (void)state;
    c = client_new();
    client_say(&c, "GET /hold HT");
    wait_until(t.l, t.server->conns);
    client_close(&c);
    wait_until(t.l, !t.server->conns);
    assert_int_equal(t.requests, 0);
}

static void two_hundred_at_once(void **state)
{
    struct client c[CLIENTS];
    int busy;

    (void)state;
    for (int i = 0; i < CLIENTS; i++) {
        c[i] = client_new();
        client_say(&c[i],
                   i % 4 == 3 ? "GET /none HTTP/1.1\r\n\r\n" : "GET /exec/x HTTP/1.1\r\n" UPGRADE "\r\nhello");
    }
    for (int i = 0; i < CLIENTS; i++)
        wait_until(t.l, client_has(&c[i], i % 4 == 3 ? "nothing here" : "\r\n\r\nhello"));
    assert_int_equal(t.opened, CLIENTS * 3 / 4);
    busy = open_descriptors();
    for (int i = 0; i < CLIENTS; i++)
        client_close(&c[i]);
    wait_until(t.l, t.streams_gone == CLIENTS * 3 / 4 && t.server->slots->used == 0);
    assert_in_range(busy - open_descriptors(), 2 * CLIENTS * 3 / 4, 2 * CLIENTS);
    assert_null(t.server->conns);
}

/* ---- limits ------------------------------------------------------------------------------------------------------ */

static void the_limit_of_connections(void **state)
{
    struct client a, b, over;

    (void)state;
    t.spec.connections_max = 2;
    server_start();
    a = client_new();
    client_say(&a, "GET /exec/x HTTP/1.1\r\n" UPGRADE "\r\n");
    wait_until(t.l, t.opened == 1);
    b = client_new();
    wait_until(t.l, t.server->slots->used == 2);
    over = client_new();
    wait_until(t.l, client_read(&over));
    assert_int_equal(over.got.len, 0);
    assert_true(t.server->full_logged_us > 0);
    client_close(&over);
    client_close(&a); /* an upgraded one gives its place back as well */
    wait_until(t.l, t.server->slots->used == 1);
    asks("GET /x HTTP/1.1\r\n\r\n", "HTTP/1.1 404 ");
    client_close(&b);
}

static void no_free_descriptor(void **state)
{
    struct rlimit old, low;
    struct client c;
    int refused;

    (void)state;
    c = client_new();
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &old), 0);
    int next = dup(c.fd); /* the lowest free number */
    close(next);
    low = (struct rlimit){(rlim_t)next, old.rlim_max};
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &low), 0);
    wait_until(t.l, timer_active(&t.server->acceptor.pause));
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &old), 0);
    client_say(&c, "GET /hold HTTP/1.1\r\n" UPGRADE "\r\n");
    wait_until(t.l, t.held);
    /* nor for the stream: the client then sees 101 and an end */
    next = dup(c.fd);
    close(next);
    low.rlim_cur = (rlim_t)next;
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &low), 0);
    upgrade(t.held);
    wait_until(t.l, t.not_opened);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &old), 0);
    wait_until(t.l, (refused = client_read(&c)) != 0);
    assert_int_equal(refused, -1);
    client_close(&c);
}

/* ---- the server's own end ---------------------------------------------------------------------------------------- */

static bool connects(void)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons(http_server_port(t.server))};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    bool ok = connect(fd, (struct sockaddr *)&a, sizeof(a)) == 0;
    close(fd);
    return ok;
}

static void stops_accepting(void **state)
{
    struct client c;

    (void)state;
    c = client_new();
    client_say(&c, "GET /hold HTTP/1.1\r\n\r\n");
    wait_until(t.l, t.held);
    http_server_stop_accepting(t.server);
    http_server_stop_accepting(t.server);
    assert_false(connects());
    http_request_answer(t.held, 404, NULL, 0, "still here\n");
    wait_until(t.l, client_has(&c, "still here"));
    client_close(&c);
}

static void freeing_ends_what_is_not_upgraded(void **state)
{
    struct client stream, held, reading, upgrading, answered;

    (void)state;
    stream = client_new();
    client_say(&stream, "GET /exec/x HTTP/1.1\r\n" UPGRADE "\r\n");
    wait_until(t.l, at_head_end(&stream));
    reading = client_new();
    client_say(&reading, "GET /exec/x HT");
    upgrading = client_new();
    client_say(&upgrading, "GET /hold HTTP/1.1\r\n" UPGRADE "\r\n");
    wait_until(t.l, t.held);
    struct http_request *r = t.held;
    answered = client_new();
    client_say(&answered, "GET /hold HTTP/1.1\r\n\r\n");
    wait_until(t.l, t.held != r);
    struct http_request *a = t.held;
    held = client_new();
    client_say(&held, "GET /hold HTTP/1.1\r\n\r\n");
    wait_until(t.l, t.held != a);
    upgrade(r);
    http_request_answer(a, 404, NULL, 0, "answered\n");
    http_server_free(t.server);
    t.server = NULL;
    assert_int_equal(t.gone, 1);
    assert_int_equal(t.opened + t.not_opened, 2); /* the one before, and the one under way */

    wait_until(t.l, client_read(&held) && client_read(&reading) && client_read(&answered));
    assert_int_equal(held.got.len + reading.got.len, 0);
    assert_true(client_has(&answered, "answered"));
    client_say(&stream, "alive");
    wait_until(t.l, client_has(&stream, "\r\n\r\nalive"));
    client_close(&stream);
    client_close(&held);
    client_close(&reading);
    client_close(&upgrading);
    client_close(&answered);
    wait_until(t.l, t.streams_gone == t.opened);
}

static void freeing_an_idle_one(void **state)
{
    (void)state;
    turns(t.l, 3);
    http_server_free(NULL);
}

/* A request that arrives while the server is being freed is refused, not given to an owner that expects no more. */
static void a_request_while_freeing(void **state)
{
    struct client c;

    (void)state;
    t.server->closing = true;
    c = ask("GET /hold HTTP/1.1\r\n\r\n");
    assert_memory_equal(c.got.data, "HTTP/1.1 503 ", 13);
    assert_int_equal(t.requests, 0);
    client_close(&c);
}

static void fails(struct http_server_spec spec, int grpc, const char *words)
{
    struct http_server *s = NULL;
    struct err err = {0};

    assert_true(http_server_start(t.l, &spec, on_test_request, &t, &s, &err) < 0);
    assert_null(s);
    assert_int_equal(err.grpc, grpc);
    if (!strstr(err.msg, words))
        fail_msg("\"%s\" is not in \"%s\"", words, err.msg);
}

static void start_errors(void **state)
{
    uint16_t port = http_server_port(t.server);
    char words[64];

    (void)state;
    snprintf(words, sizeof(words), "listen on 127.0.0.1: port %u is taken", port);
    fails((struct http_server_spec){.address = "127.0.0.1", .port = port}, GRPC_ALREADY_EXISTS, words);
    fails((struct http_server_spec){.address = "localhost"}, GRPC_INVALID_ARGUMENT,
          "\"localhost\": no numeric address");
    fails((struct http_server_spec){.address = ""}, GRPC_INVALID_ARGUMENT, "listen on \"\"");
    fails((struct http_server_spec){.address = "192.0.2.1"}, GRPC_INTERNAL, "listen on 192.0.2.1");
    fails((struct http_server_spec){.address = "127.0.0.1", .tls_cert = "/a.pem"}, GRPC_INVALID_ARGUMENT,
          "TLS: /a.pem: give a certificate and its key");
    fails((struct http_server_spec){.address = "127.0.0.1", .tls_client_ca = "/ca.pem"}, GRPC_INVALID_ARGUMENT,
          "TLS: /ca.pem: give a certificate");
    fails((struct http_server_spec){.address = "127.0.0.1", .tls_cert = "/nowhere/a.pem", .tls_key = "/k.pem"},
          GRPC_NOT_FOUND, "/nowhere/a.pem");
}

static void a_port_is_free_again_at_once(void **state)
{
    struct client c;

    (void)state;
    c = client_new();
    client_say(&c, "GET /exec/x HTTP/1.1\r\n" UPGRADE "\r\n");
    wait_until(t.l, at_head_end(&c));
    t.spec.port = http_server_port(t.server);
    streams_end(); /* from our side: TIME_WAIT is ours */
    http_server_free(t.server);
    server_start();
    assert_int_equal(http_server_port(t.server), t.spec.port);
    client_close(&c);
}

static void listens_on_ipv6(void **state)
{
    struct sockaddr_in6 a = {.sin6_family = AF_INET6, .sin6_addr = IN6ADDR_LOOPBACK_INIT};
    struct err err = {0};
    struct client c = {0};
    int probe = socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0);

    (void)state;
    if (probe < 0 || bind(probe, (struct sockaddr *)&a, sizeof(a)) < 0) {
        close(probe);
        skip(); /* no IPv6 here */
    }
    close(probe);
    t.spec.address = "::1";
    assert_int_equal(http_server_start(t.l, &t.spec, on_test_request, &t, &t.server, &err), 0);
    assert_non_null(strstr(t.server->name, "[::1]:"));
    a.sin6_port = htons(http_server_port(t.server));
    c.fd = socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(connect(c.fd, (struct sockaddr *)&a, sizeof(a)), 0);
    assert_int_equal(fcntl(c.fd, F_SETFL, O_NONBLOCK), 0);
    client_say(&c, "GET /exec/x HTTP/1.1\r\n" UPGRADE "\r\nsix");
    wait_until(t.l, client_has(&c, "\r\n\r\nsix"));
    client_close(&c);
}

#define test(fn)     cmocka_unit_test_setup_teardown(fn, setup_server, teardown)
#define test_own(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        test(refuses_in_words),
        test(sees_the_request),
        test(reads_small_bodies_and_refuses_large_ones),
        test(nonsense_is_answered_400),
        test(a_large_head),
        test(rubbish_behind_the_request),
        test(one_byte_at_a_time),
        test_own(a_head_that_never_ends),
        test(upgrades_and_keeps_what_was_behind_the_head),
        test(much_behind_the_head),
        test(answers_later),
        test(upgrades_later),
        test(a_client_gone_before_the_answer),
        test(a_client_gone_before_the_upgrade),
        test(a_client_gone_while_its_head_is_read),
        test(two_hundred_at_once),
        test_own(the_limit_of_connections),
        test(no_free_descriptor),
        test(stops_accepting),
        test(freeing_ends_what_is_not_upgraded),
        test(freeing_an_idle_one),
        test(a_request_while_freeing),
        test(start_errors),
        test(a_port_is_free_again_at_once),
        test_own(listens_on_ipv6),
    };

    return cmocka_run_group_tests(tests, setup_process, NULL);
}
