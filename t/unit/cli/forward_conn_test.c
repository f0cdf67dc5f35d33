/* A forwarded connection with a stream that says what the test wants, and a clock that the test moves. */
#include "cli/forward_conn.c"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

struct word {
    int event;
    unsigned channel;
    const char *data;
};

struct stream {
    bool v5, channel_closed, closed, freed;
    const struct word *says; /* ends with event 0, which is STREAM_NOTHING */
    size_t at;
    char got[64];
    size_t pending;
    struct stream_end end;
};

static int64_t clock_ms;

int64_t stream_now_ms(void)
{
    return clock_ms;
}

int stream_next(struct stream *s, struct stream_piece *ret_piece, struct err *err)
{
    int event = s->says[s->at].event;
    const char *data = s->says[s->at].data;

    if (event == STREAM_NOTHING)
        return event;
    if (event < 0)
        return err_set(err, GRPC_UNAVAILABLE, -event, "reading");
    if (event == STREAM_DATA)
        *ret_piece = (struct stream_piece){s->says[s->at].channel, (const uint8_t *)data, strlen(data), true};
    s->at++;
    return event;
}

void stream_send(struct stream *s, unsigned channel, const void *p, size_t n)
{
    assert_int_equal(channel, DATA);
    assert_true(strlen(s->got) + n < sizeof(s->got));
    strncat(s->got, p, n);
}

bool stream_close_channel(struct stream *s, unsigned channel)
{
    assert_int_equal(channel, DATA);
    s->channel_closed = s->v5;
    return s->v5;
}

int stream_flush(struct stream *s, struct err *err)
{
    (void)s;
    (void)err;
    return 0;
}

void stream_close(struct stream *s)
{
    s->closed = true;
}

void stream_free(struct stream *s)
{
    s->freed = true;
}

size_t stream_pending(const struct stream *s)
{
    return s->pending;
}

const struct stream_end *stream_end(const struct stream *s)
{
    return &s->end;
}

int stream_fd(const struct stream *s)
{
    (void)s;
    return 1000;
}

short stream_events(const struct stream *s, bool takes)
{
    (void)s;
    return takes ? POLLIN : 0;
}

int stream_wait_ms(const struct stream *s)
{
    (void)s;
    return -1;
}

#define SAYS(...) ((const struct word[]){__VA_ARGS__, {0}})

static struct forward_conn *connected(struct stream *s, int *ret_client)
{
    int pair[2];

    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, pair), 0);
    *ret_client = pair[1];
    clock_ms = 1000;
    return forward_conn_new(pair[0], s, 80);
}

static void moves_both_ways(void **state)
{
    struct stream s = {.v5 = true,
                       .says = SAYS({.event = STREAM_OPENED}, {STREAM_DATA, 0, "P\1"}, {STREAM_DATA, 1, "P\1"},
                                    {STREAM_DATA, 0, "hello"})};
    struct pollfd p[2];
    struct err err = {0};
    char got[16] = "";
    int client;
    struct forward_conn *c = connected(&s, &client);
    (void)state;

    forward_conn_events(c, p);
    assert_true(p[0].fd == -1 && p[1].events == POLLIN); /* nothing is read before it is open */
    assert_int_equal(forward_conn_turn(c, &err), 1);
    assert_int_equal(read(client, got, sizeof(got)), 5);
    assert_string_equal(got, "hello");
    assert_int_equal(write(client, "question", 8), 8);
    assert_int_equal(forward_conn_turn(c, &err), 1);
    assert_string_equal(s.got, "question");
    shutdown(client, SHUT_WR);
    assert_int_equal(forward_conn_turn(c, &err), 1);
    assert_true(s.channel_closed && !s.closed);
    assert_int_equal(forward_conn_wait_ms(c), -1);
    forward_conn_free(c);
    assert_true(s.freed);
    close(client);
}

static void stops_reading_above_the_mark(void **state)
{
    struct stream s = {.says = SAYS({.event = STREAM_OPENED})};
    struct pollfd p[2];
    struct err err = {0};
    int client;
    struct forward_conn *c = connected(&s, &client);
    (void)state;

    assert_int_equal(forward_conn_turn(c, &err), 1);
    s.pending = STREAM_MARK;
    assert_int_equal(write(client, "more", 4), 4);
    assert_int_equal(forward_conn_turn(c, &err), 1);
    assert_string_equal(s.got, "");
    forward_conn_events(c, p);
    assert_int_equal(p[0].fd, -1);
    s.pending = 0;
    assert_int_equal(forward_conn_turn(c, &err), 1);
    assert_string_equal(s.got, "more");
    forward_conn_free(c);
    close(client);
}

/* Without a word for the client's end: until nothing has come for a while. */
static void ends_a_quiet_half(void **state)
{
    struct stream s = {.says = SAYS({.event = STREAM_OPENED})};
    struct err err = {0};
    int client;
    struct forward_conn *c = connected(&s, &client);
    (void)state;

    assert_int_equal(forward_conn_turn(c, &err), 1);
    shutdown(client, SHUT_WR);
    clock_ms += 100;
    assert_int_equal(forward_conn_turn(c, &err), 1);
    assert_int_equal(forward_conn_wait_ms(c), QUIET_MS);
    clock_ms += QUIET_MS - 1;
    s.says = SAYS({STREAM_DATA, 0, "P\1still"});
    s.at = 0;
    assert_int_equal(forward_conn_turn(c, &err), 1);
    assert_int_equal(forward_conn_wait_ms(c), QUIET_MS);
    clock_ms += QUIET_MS;
    assert_int_equal(forward_conn_turn(c, &err), 0);
    assert_true(s.closed);
    forward_conn_free(c);
    close(client);
}

static void lingers_until_the_client_ends(void **state)
{
    struct stream s = {.says =
                           SAYS({.event = STREAM_OPENED}, {STREAM_DATA, 0, "P\1end"}, {.event = STREAM_ENDED}),
                       .end.code = 1000};
    struct pollfd p[2];
    struct err err = {0};
    char got[16];
    int client;
    struct forward_conn *c = connected(&s, &client);
    (void)state;

    assert_int_equal(forward_conn_turn(c, &err), 1);
    assert_int_equal(read(client, got, sizeof(got)), 3);
    assert_int_equal(read(client, got, sizeof(got)), 0);
    assert_int_equal(forward_conn_wait_ms(c), LINGER_MS);
    forward_conn_events(c, p);
    assert_true(p[0].events == POLLIN && p[1].fd == -1);
    assert_int_equal(write(client, "unheard", 7), 7);
    assert_int_equal(forward_conn_turn(c, &err), 1);
    clock_ms += LINGER_MS;
    assert_int_equal(forward_conn_turn(c, &err), 0);
    forward_conn_free(c);
    close(client);
}

static void tells_what_broke(void **state)
{
    static const struct {
        int event, code;
        const char *error, *why;
    } rows[] = {
        {STREAM_ENDED, 1000, "P\1connection\nrefused", "port 80: connection refused"},
        {STREAM_ENDED, 0, "P\1", "port 80: the runtime broke the connection off"},
        {STREAM_ENDED, 1011, "P\1", "port 80: the runtime broke the connection off: why"},
        {-ECONNRESET, 0, "P\1", "port 80: reading: Connection reset by peer"},
    };
    (void)state;

    for (size_t i = 0; i < countof(rows); i++) {
        struct stream s = {
            .says = SAYS({.event = STREAM_OPENED}, {STREAM_DATA, 1, rows[i].error}, {.event = rows[i].event}),
            .end.code = rows[i].code};
        struct err err = {0};
        int client;
        struct forward_conn *c = connected(&s, &client);
        if (rows[i].code == 1011)
            strcpy(s.end.reason, "why");
        assert_true(forward_conn_turn(c, &err) < 0);
        assert_string_equal(err.msg, rows[i].why);
        forward_conn_free(c);
        close(client);
    }
}

static void leaves_with_the_client(void **state)
{
    struct stream s = {.says = SAYS({.event = STREAM_OPENED}, {STREAM_DATA, 0, "P\1to nobody"})};
    struct err err = {0};
    int client;
    struct forward_conn *c = connected(&s, &client);
    (void)state;

    close(client);
    assert_int_equal(forward_conn_turn(c, &err), 0);
    assert_true(s.closed);
    forward_conn_free(c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(moves_both_ways),   cmocka_unit_test(stops_reading_above_the_mark),
        cmocka_unit_test(ends_a_quiet_half), cmocka_unit_test(lingers_until_the_client_ends),
        cmocka_unit_test(tells_what_broke),  cmocka_unit_test(leaves_with_the_client),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
