/* The client's connection with proto/'s WebSocket server in the same process: opening, data, back-pressure, each kind of end. */
#include "cli/frames.c"
#include "cli/http_answer.c"
#include "cli/stream.c"
#include "cli/stream_socket.c"
#include "cli/stream_url.c"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

enum { TURN_MS = 10000 };

struct server {
    int listener, fd;
    struct buf request;
    struct websocket *ws;
    char url[64];
};

static int setup(void **state)
{
    struct server *s = mem_new(struct server);
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t n = sizeof(a);

    s->fd = -1;
    s->ws = websocket_new(0);
    s->listener = socket(AF_INET, SOCK_STREAM, 0);
    if (bind(s->listener, (struct sockaddr *)&a, n) < 0 || listen(s->listener, 1) < 0 ||
        getsockname(s->listener, (struct sockaddr *)&a, &n) < 0)
        return -1;
    snprintf(s->url, sizeof(s->url), "http://127.0.0.1:%u/exec/token", ntohs(a.sin_port));
    *state = s;
    return 0;
}

static int teardown(void **state)
{
    struct server *s = *state;

    websocket_free(s->ws);
    buf_done(&s->request);
    close(s->listener);
    if (s->fd >= 0)
        close(s->fd);
    free(s);
    return 0;
}

static struct stream *opened(const struct server *s)
{
    const struct stream_options o = {.url = s->url, .query = "port=80"};
    struct stream *c = NULL;
    struct err err = {0};

    assert_int_equal(stream_open(&o, &c, &err), 0);
    return c;
}

/* What the client says next, with a limit; both sides are this thread, so the server's part was done before. */
static int next(struct stream *c, struct stream_piece *p, struct err *err)
{
    int64_t end = stream_now_ms() + TURN_MS;
    int r;

    while ((r = stream_next(c, p, err)) == STREAM_NOTHING) {
        struct pollfd fd = {stream_fd(c), stream_events(c, true), 0};
        if (stream_now_ms() > end)
            fail_msg("nothing came");
        poll(&fd, 1, stream_wait_ms(c) < 0 ? 1000 : stream_wait_ms(c));
    }
    return r;
}

/* Reads the request, which the client sends as soon as it is connected. */
static void take_request(struct server *s, struct stream *c)
{
    struct stream_piece p;
    struct err err = {0};
    char bytes[1024];

    s->fd = accept(s->listener, NULL, NULL);
    assert_true(s->fd >= 0 && fcntl(s->fd, F_SETFL, O_NONBLOCK) == 0);
    while (!s->request.data || !strstr(s->request.data, "\r\n\r\n")) {
        assert_int_equal(stream_next(c, &p, &err), STREAM_NOTHING);
        ssize_t n = recv(s->fd, bytes, sizeof(bytes), 0);
        if (n > 0)
            buf_add(&s->request, bytes, (size_t)n);
    }
}

static void say(const struct server *s, const void *p, size_t n)
{
    assert_int_equal(send(s->fd, p, n, MSG_NOSIGNAL), n);
}

static void upgrade(struct server *s, struct stream *c, const char *protocol)
{
    char accept[WEBSOCKET_ACCEPT_SIZE];
    cleanup_free char *answer = NULL;
    struct stream_piece p;
    struct err err = {0};

    take_request(s, c);
    assert_int_equal(
        websocket_handshake(&(struct websocket_request){"websocket", "Upgrade", "13", c->key}, accept, &err),
        0);
    answer = mem_printf("HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                        "Sec-WebSocket-Accept: %s\r\nSec-WebSocket-Protocol: %s\r\n\r\n",
                        accept, protocol);
    say(s, answer, strlen(answer));
    assert_int_equal(next(c, &p, &err), STREAM_OPENED);
    assert_string_equal(stream_protocol_name(c), protocol);
}

/* Sends what the server's websocket has to say. */
static void flush(struct server *s)
{
    cleanup_free char *out = NULL;
    size_t n;

    websocket_take(s->ws, &out, &n);
    say(s, out, n);
}

/* The next message or event at the server, from bytes that may be on their way. */
static int server_next(struct server *s, struct stream *c, struct websocket_message *m)
{
    static char bytes[65536];
    static size_t at, n;
    struct err err = {0};
    int64_t end = stream_now_ms() + TURN_MS;

    for (;;) {
        size_t used;
        int r = websocket_read(s->ws, bytes + at, n - at, &used, m, &err);
        at += used;
        if (r != WEBSOCKET_NOTHING)
            return r;
        assert_true(stream_now_ms() < end);
        assert_true(c->state == ENDED || stream_flush(c, &err) == 0);
        struct pollfd fd = {s->fd, POLLIN, 0};
        poll(&fd, 1, 1000);
        ssize_t got = recv(s->fd, bytes, sizeof(bytes), 0);
        assert_true(got != 0);
        at = 0;
        n = got > 0 ? (size_t)got : 0;
    }
}

static void asks(void **state)
{
    struct server *s = *state;
    struct stream *c = opened(s);

    take_request(s, c);
    assert_memory_equal(s->request.data, "GET /exec/token?port=80 HTTP/1.1\r\nHost: 127.0.0.1:", 50);
    assert_non_null(
        strstr(s->request.data, "\r\nSec-WebSocket-Protocol: v5.channel.k8s.io, v4.channel.k8s.io\r\n"));
    assert_non_null(strstr(s->request.data, "\r\nSec-WebSocket-Version: 13\r\n"));
    stream_free(c);
}

static void carries(void **state)
{
    struct server *s = *state;
    struct stream *c = opened(s);
    struct websocket_message m;
    struct stream_piece p;
    struct err err = {0};

    upgrade(s, c, "v5.channel.k8s.io");
    websocket_send(s->ws, WEBSOCKET_BINARY, "\1out", 4);
    websocket_ping(s->ws, "alive", 5);
    websocket_send(s->ws, WEBSOCKET_BINARY, "\2err", 4);
    flush(s);
    assert_int_equal(next(c, &p, &err), STREAM_DATA);
    assert_true(p.channel == 1 && p.len == 3 && p.ends && !memcmp(p.data, "out", 3));
    assert_int_equal(next(c, &p, &err), STREAM_DATA);
    assert_true(p.channel == 2 && p.len == 3 && !memcmp(p.data, "err", 3));
    assert_int_equal(server_next(s, c, &m), WEBSOCKET_PONG);
    stream_send(c, CHANNEL_STDIN, "in", 2);
    assert_true(stream_close_channel(c, CHANNEL_STDIN));
    assert_int_equal(server_next(s, c, &m), WEBSOCKET_MESSAGE);
    assert_true(m.len == 3 && !memcmp(m.data, "\0in", 3));
    assert_int_equal(server_next(s, c, &m), WEBSOCKET_MESSAGE);
    assert_true(m.len == 2 && !memcmp(m.data, "\xff\0", 2));
    websocket_close(s->ws, WEBSOCKET_GOING_AWAY, "so\nlong");
    flush(s);
    assert_int_equal(next(c, &p, &err), STREAM_ENDED);
    assert_int_equal(stream_end(c)->code, WEBSOCKET_GOING_AWAY);
    assert_string_equal(stream_end(c)->reason, "so long");
    assert_int_equal(server_next(s, c, &m), WEBSOCKET_CLOSED);
    assert_int_equal(next(c, &p, &err), STREAM_ENDED);
    stream_free(c);
}

static void v4_has_no_half_close(void **state)
{
    struct server *s = *state;
    struct stream *c = opened(s);

    upgrade(s, c, "v4.channel.k8s.io");
    assert_false(stream_close_channel(c, CHANNEL_STDIN));
    assert_int_equal(stream_pending(c), 0);
    stream_free(c);
}

static void closes(void **state)
{
    struct server *s = *state;
    struct stream *c = opened(s);
    struct websocket_message m;
    struct stream_piece p;
    struct err err = {0};

    upgrade(s, c, "v5.channel.k8s.io");
    websocket_send(s->ws, WEBSOCKET_BINARY, "\1late", 5);
    flush(s);
    stream_close(c);
    stream_send(c, CHANNEL_STDIN, "no more", 7);
    assert_int_equal(server_next(s, c, &m), WEBSOCKET_CLOSED);
    flush(s);
    assert_int_equal(next(c, &p, &err), STREAM_ENDED); /* and not the late message */
    assert_int_equal(stream_end(c)->code, WEBSOCKET_NORMAL);
    stream_free(c);
}

/* A server that reads nothing: what waits is bounded by what the owner sends, and what went does not stay. */
static void holds_what_is_not_taken(void **state)
{
    struct server *s = *state;
    struct stream *c = opened(s);
    cleanup_free char *data = mem_alloc(16384);
    struct websocket_message m;
    struct err err = {0};
    size_t sent = 0, got = 0;

    upgrade(s, c, "v5.channel.k8s.io");
    for (int i = 0; i < 4096 && stream_pending(c) < STREAM_MARK; i++, sent += 16384) {
        stream_send(c, CHANNEL_STDIN, data, 16384);
        assert_int_equal(stream_flush(c, &err), 0);
    }
    assert_true(stream_pending(c) >= STREAM_MARK && stream_pending(c) < STREAM_MARK + 2 * 16384);
    assert_true(c->out.cap <= 4 * STREAM_MARK);
    assert_true(stream_events(c, true) & POLLOUT);
    while (got < sent) {
        assert_int_equal(server_next(s, c, &m), WEBSOCKET_MESSAGE);
        got += m.len - 1;
    }
    assert_int_equal(stream_pending(c), 0);
    stream_free(c);
}

/* The server says its last and ends while we still write: its last is heard. */
static void hears_the_last_words(void **state)
{
    struct server *s = *state;
    struct stream *c = opened(s);
    cleanup_free char *data = mem_alloc(16384);
    struct stream_piece p = {0};
    struct err err = {0};

    upgrade(s, c, "v5.channel.k8s.io");
    websocket_send(s->ws, WEBSOCKET_BINARY, "\3{}", 3);
    flush(s);
    close(s->fd);
    s->fd = -1;
    for (int i = 0; i < 1000 && !c->deaf; i++) {
        stream_send(c, CHANNEL_STDIN, data, 16384);
        assert_int_equal(stream_flush(c, &err), 0);
        poll(NULL, 0, 1); /* the reset is on its way: a condition that has no descriptor */
    }
    assert_true(c->deaf);
    assert_int_equal(next(c, &p, &err), STREAM_DATA);
    assert_true(p.channel == 3 && p.len == 2);
    stream_free(c);
}

static void tells_refusals_and_faults(void **state)
{
    static const struct {
        const char *answer, *why;
    } rows[] = {
        {"", "closed the connection without an answer"},
        {"HTTP/1.1 404 Not Found\r\n\r\nno such token\n", "HTTP 404 \"Not Found\": no such token"},
        {"HTTP/1.1 101 X\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: x\r\n\r\n",
         "not that of our key"},
        {"SSH-2.0-OpenSSH\r\n", "is not HTTP"},
        {"HTTP/1.1 2", "without an answer"},
    };
    struct server *s = *state;

    for (size_t i = 0; i < countof(rows); i++) {
        struct stream *c = opened(s);
        struct stream_piece p;
        struct err err = {0};
        take_request(s, c);
        s->request.len = 0;
        s->request.data[0] = '\0';
        say(s, rows[i].answer, strlen(rows[i].answer));
        close(s->fd);
        s->fd = -1;
        assert_true(next(c, &p, &err) < 0);
        if (!strstr(err.msg, rows[i].why))
            fail_msg("%s: %s", rows[i].answer, err.msg);
        stream_free(c);
    }
}

/* A server that keeps the connection open behind its refusal is not waited for. */
static void sees_the_end_of_a_refusal(void **state)
{
    static const char answer[] = "HTTP/1.1 404 Not Found\r\nContent-Length: 5\r\n\r\nno\r\n\n";
    struct server *s = *state;
    struct stream *c = opened(s);
    struct stream_piece p;
    struct err err = {0};

    take_request(s, c);
    say(s, answer, sizeof(answer) - 1);
    assert_true(next(c, &p, &err) < 0);
    assert_int_equal(err.grpc, GRPC_NOT_FOUND);
    assert_true(stream_wait_ms(c) > 0);
    stream_free(c);
}

static void gives_up(void **state)
{
    struct server *s = *state;
    const struct stream_options o = {.url = s->url, .timeout_ms = 50};
    struct stream *c = NULL;
    struct stream_piece p;
    struct err err = {0};

    assert_int_equal(stream_open(&o, &c, &err), 0);
    assert_true(next(c, &p, &err) < 0);
    assert_int_equal(err.grpc, GRPC_DEADLINE_EXCEEDED);
    stream_free(c);
}

static void names_who_cannot_be_reached(void **state)
{
    struct server *s = *state;
    struct stream_options o = {.url = s->url};
    struct stream *c = NULL;
    struct stream_piece p;
    struct err err = {0};

    shutdown(s->listener, SHUT_RDWR);
    close(s->listener);
    s->listener = -1;
    int rc = stream_open(&o, &c, &err);
    if (!rc)
        rc = next(c, &p, &err);
    assert_int_equal(rc, -ECONNREFUSED);
    assert_non_null(strstr(err.msg, "streaming server 127.0.0.1:"));
    stream_free(c);
    o.url = "ftp://x";
    assert_true(stream_open(&o, &c, &err) < 0);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(asks),
        TEST(carries),
        TEST(v4_has_no_half_close),
        TEST(closes),
        TEST(holds_what_is_not_taken),
        TEST(hears_the_last_words),
        TEST(tells_refusals_and_faults),
        TEST(sees_the_end_of_a_refusal),
        TEST(gives_up),
        TEST(names_who_cannot_be_reached),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
