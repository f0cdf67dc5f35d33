/* Handshake, frames and channels with a client that is not ours: websocket_client.py, at the other end of a socket pair. */
#include "core/buf.h"
#include "core/mem.h"
#include "proto/channel.h"
#include "proto/exec_status.h"
#include "proto/terminal_size.h"
#include "proto/websocket_handshake.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>

struct server {
    int fd;
    struct websocket *ws;
    struct channels channels;
    struct terminal_size_reader sizes;
};

static void write_all(int fd, const char *p, size_t n)
{
    while (n > 0) {
        ssize_t put = send(fd, p, n, MSG_NOSIGNAL);
        assert_true(put > 0);
        p += put;
        n -= (size_t)put;
    }
}

static char *header(const char *request, const char *name)
{
    const char *at = strcasestr(request, name);

    return at ? mem_strndup(at + strlen(name), strcspn(at + strlen(name), "\r")) : NULL;
}

static void upgrade(struct server *s)
{
    char request[4096] = "", accept[WEBSOCKET_ACCEPT_SIZE];
    const struct stream_protocol *protocol = NULL;
    struct err err = {0};

    for (size_t n = 0; !strstr(request, "\r\n\r\n"); n++) {
        assert_true(n + 1 < sizeof(request));
        assert_int_equal(recv(s->fd, request + n, 1, 0), 1);
    }
    char *cleanup_free upgrade = header(request, "\nUpgrade: ");
    char *cleanup_free connection = header(request, "\nConnection: ");
    char *cleanup_free version = header(request, "\nSec-WebSocket-Version: ");
    char *cleanup_free key = header(request, "\nSec-WebSocket-Key: ");
    char *cleanup_free offered = header(request, "\nSec-WebSocket-Protocol: ");
    struct websocket_request req = {upgrade, connection, version, key};
    if (websocket_handshake(&req, accept, &err) < 0 ||
        stream_protocol_choose(STREAM_WEBSOCKET, STREAM_COMMAND, offered, &protocol, &err) < 0)
        fail_msg("%s", err.msg);
    char *cleanup_free answer =
        mem_printf("HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                   "Sec-WebSocket-Accept: %s\r\n%s%s%s\r\n",
                   accept, protocol->name[0] ? "Sec-WebSocket-Protocol: " : "", protocol->name,
                   protocol->name[0] ? "\r\n" : "");
    write_all(s->fd, answer, strlen(answer));
    channels_open_command(&s->channels, protocol, (struct channel_streams){true, true, true}, s->ws);
}

/* stdin comes back as stdout, a size as text on stderr; the end of stdin is the end. */
static void serve_message(struct server *s, const struct websocket_message *m)
{
    struct terminal_size size = {0};
    struct channel_event e;
    struct err err;
    bool there = false;

    if (channel_read(&s->channels, m, &e, &err) < 0)
        return;
    if (e.kind == CHANNEL_DATA && e.channel == CHANNEL_STDIN)
        channel_write(&s->channels, CHANNEL_STDOUT, e.data, e.len);
    if (e.kind == CHANNEL_DATA && e.channel == CHANNEL_RESIZE) {
        assert_int_equal(terminal_size_read(&s->sizes, e.data, e.len, &there, &size, &err), 0);
        char *cleanup_free text = mem_printf("%ux%u", size.width, size.height);
        channel_write(&s->channels, CHANNEL_STDERR, text, strlen(text));
    }
    if (e.kind == CHANNEL_CLOSED) {
        char *cleanup_free status = exec_status_text(s->channels.protocol->status, &(struct exec_status){0});
        channel_write(&s->channels, CHANNEL_ERROR, status, strlen(status));
        websocket_close(s->ws, WEBSOCKET_NORMAL, "");
    }
}

static void flush(struct server *s)
{
    char *cleanup_free out = NULL;
    size_t n;

    websocket_take(s->ws, &out, &n);
    write_all(s->fd, out, n);
}

static int serve(struct server *s)
{
    char data[32 * 1024];
    ssize_t n;

    flush(s);
    while ((n = recv(s->fd, data, sizeof(data), 0)) > 0) {
        struct websocket_message m;
        struct err err;
        size_t used, at = 0;
        int r;
        while ((r = websocket_read(s->ws, data + at, (size_t)n - at, &used, &m, &err)) > 0 &&
               r != WEBSOCKET_CLOSED) {
            at += used;
            if (r == WEBSOCKET_MESSAGE)
                serve_message(s, &m);
        }
        flush(s);
        if (r < 0 || r == WEBSOCKET_CLOSED)
            break;
    }
    return websocket_close_code(s->ws);
}

static pid_t start_client(const char *session, int ours, int theirs)
{
    pid_t pid = fork();

    assert_true(pid >= 0);
    if (pid == 0) {
        char *cleanup_free fd = mem_printf("%d", theirs);
        close(ours);
        execl("/usr/bin/python3", "python3", "t/unit/proto/websocket_client.py", session, fd, NULL);
        _exit(127);
    }
    close(theirs);
    return pid;
}

static void run_session(const char *session, int code)
{
    struct timeval limit = {.tv_sec = 30};
    struct server s = {.ws = websocket_new(0)};
    int pair[2], status = 0;

    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
    s.fd = pair[0];
    assert_int_equal(setsockopt(s.fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit)), 0);
    pid_t pid = start_client(session, pair[0], pair[1]);
    upgrade(&s);
    assert_int_equal(serve(&s), code);
    shutdown(s.fd, SHUT_WR);
    for (char rest[4096]; recv(s.fd, rest, sizeof(rest), 0) > 0;)
        continue;
    close(s.fd);
    websocket_free(s.ws);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
}

static void test_v5(void **state)
{
    (void)state;
    run_session("v5", WEBSOCKET_NORMAL);
}

static void test_base64(void **state)
{
    (void)state;
    run_session("text", WEBSOCKET_BAD_TEXT);
}

static void test_too_big(void **state)
{
    (void)state;
    run_session("big", WEBSOCKET_TOO_BIG);
}

static void test_client_leaves(void **state)
{
    (void)state;
    run_session("leaves", 3000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_v5),
        cmocka_unit_test(test_base64),
        cmocka_unit_test(test_too_big),
        cmocka_unit_test(test_client_leaves),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
