/* A stream against peers that are slow, silent, gone, or send more than anybody reads; over TCP and over a unix socket. */
#include "loop/stream_conn.c"
#include "core/buf.h"
#include "t/unit/loop/stream_pair.h"

#include <signal.h>

enum { MIB = 1 << 20 };

enum what { NOTHING, PAUSE, FREE, FINISH, WRITE };

static struct {
    struct loop *l;
    struct stream_conn *c;
    int peer, fds;
    struct buf got; /* by on_data */
    size_t largest, calls, drains, gone, done, closed;
    struct err err; /* of on_gone */
    enum what on_data, on_drain, on_gone;
    bool in_write;
} t;

static void on_done(void *data)
{
    assert_ptr_equal(data, &t);
    t.done++;
}

static void on_closed(void *data)
{
    assert_ptr_equal(data, &t);
    t.closed++;
}

static void act(enum what what)
{
    switch (what) {
    case NOTHING:
        break;
    case PAUSE:
        stream_conn_read(t.c, false);
        break;
    case FREE:
        stream_conn_free(t.c);
        t.c = NULL;
        break;
    case FINISH:
        stream_conn_finish(t.c, on_done, &t);
        t.c = NULL;
        break;
    case WRITE:
        stream_conn_write(t.c, &(struct iovec){(void *)"again", 5}, 1);
        break;
    }
}

static void see_data(void *data, const uint8_t *p, size_t n)
{
    assert_ptr_equal(data, &t);
    assert_false(t.in_write);
    assert_int_equal(t.gone, 0);
    t.calls++;
    if (n > t.largest)
        t.largest = n;
    buf_add(&t.got, p, n);
    act(t.on_data);
}

static void see_drain(void *data)
{
    (void)data;
    assert_false(t.in_write);
    t.drains++;
    act(t.on_drain);
}

static void see_gone(void *data, const struct err *err)
{
    (void)data;
    assert_false(t.in_write);
    t.gone++;
    if (err)
        t.err = *err;
    act(t.on_gone);
}

static const struct stream_conn_events events = {see_data, see_drain, see_gone};

static void begin(const int pair[2], const void *first, size_t n)
{
    t.c = stream_conn_new(t.l, pair[0], first, n);
    t.peer = pair[1];
    stream_conn_on_closed(t.c, on_closed, &t);
    stream_conn_start(t.c, &events, &t);
}

static void begin_tcp(void)
{
    int pair[2];

    tcp_pair(pair);
    begin(pair, NULL, 0);
}

static void begin_unix(void)
{
    int pair[2];

    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, pair), 0);
    begin(pair, NULL, 0);
}

static int setup(void **state)
{
    (void)state;
    signal(SIGPIPE, SIG_DFL); /* a write to a closed peer must not need it ignored */
    memset(&t, 0, sizeof(t));
    t.fds = open_descriptors();
    t.peer = -1;
    t.l = loop_new();
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    stream_conn_free(t.c);
    if (t.peer >= 0)
        close(t.peer);
    loop_free(t.l);
    buf_done(&t.got);
    assert_null(finishing);
    assert_int_equal(t.closed, 1);
    assert_int_equal(open_descriptors(), t.fds);
    return 0;
}

static void say(const char *text)
{
    assert_int_equal(send(t.peer, text, strlen(text), MSG_NOSIGNAL), strlen(text));
}

static void conn_say(const void *p, size_t n)
{
    t.in_write = true;
    stream_conn_write(t.c, &(struct iovec){(void *)p, n}, 1);
    t.in_write = false;
}

/* A MiB whose bytes tell where they belong. */
static uint8_t *pattern(size_t n)
{
    uint8_t *p = mem_alloc(n);

    for (size_t i = 0; i < n; i++)
        p[i] = (uint8_t)(i * 2654435761u >> 13);
    return p;
}

/* Reads what is there on the peer's side; -1 at its end of stream, -errno... when it broke. */
static int peer_read(struct buf *b)
{
    char block[65536];

    for (;;) {
        ssize_t n = recv(t.peer, block, sizeof(block), MSG_DONTWAIT);
        if (n == 0)
            return -1;
        if (n < 0)
            return errno == EAGAIN ? 0 : -errno;
        buf_add(b, block, (size_t)n);
    }
}

/* Fills the way to the conn, which is paused. Returns the number of bytes. */
static size_t peer_fill(void)
{
    static const char block[65536];
    size_t sum = 0;

    for (;;) {
        ssize_t n = send(t.peer, block, sizeof(block), MSG_DONTWAIT | MSG_NOSIGNAL);
        if (n < 0)
            return sum;
        sum += (size_t)n;
    }
}

static void reads_from_the_loop(void **state)
{
    cleanup_free uint8_t *p = pattern(MIB);
    size_t sent = 0;

    (void)state;
    begin_tcp();
    stream_conn_read(t.c, true);
    say("one");
    assert_int_equal(t.calls, 0);
    wait_until(t.l, t.got.len == 3);
    assert_memory_equal(t.got.data, "one", 3);
    while (sent < MIB) {
        ssize_t n = send(t.peer, p + sent, MIB - sent, MSG_DONTWAIT);
        sent += n > 0 ? (size_t)n : 0;
        turn(t.l);
    }
    wait_until(t.l, t.got.len == MIB + 3);
    assert_memory_equal(t.got.data + 3, p, MIB);
    assert_true(t.largest <= STREAM_CONN_READ_MAX);
    assert_int_equal(stream_conn_bytes(t.c), MIB + 3);
    shutdown(t.peer, SHUT_WR);
    wait_until(t.l, t.gone);
    assert_int_equal(t.err.grpc, 0);
    turns(t.l, 5);
    assert_int_equal(t.gone, 1);
}

static void bytes_from_before_come_first(void **state)
{
    enum { FIRST = 3 * STREAM_CONN_READ_MAX / 2 };
    cleanup_free uint8_t *p = pattern(FIRST);
    int pair[2];

    (void)state;
    tcp_pair(pair);
    begin(pair, p, FIRST);
    say("behind");
    turns(t.l, 5);
    assert_int_equal(t.calls, 0);
    t.on_data = PAUSE;
    stream_conn_read(t.c, true);
    assert_int_equal(t.calls, 0);
    wait_until(t.l, t.calls == 1);
    turns(t.l, 5);
    assert_int_equal(t.calls, 1);
    assert_int_equal(t.got.len, STREAM_CONN_READ_MAX);
    stream_conn_read(t.c, true);
    wait_until(t.l, t.calls == 2);
    assert_int_equal(t.got.len, FIRST);
    assert_null(t.c->first.p);
    t.on_data = NOTHING;
    stream_conn_read(t.c, true);
    wait_until(t.l, t.calls == 3);
    assert_memory_equal(t.got.data, p, FIRST);
    assert_string_equal(t.got.data + FIRST, "behind");
    assert_int_equal(stream_conn_bytes(t.c), FIRST + 6);
}

static void a_pause_between_due_and_given(void **state)
{
    int pair[2];

    (void)state;
    tcp_pair(pair);
    begin(pair, "early", 5);
    stream_conn_read(t.c, true);
    stream_conn_read(t.c, false);
    turns(t.l, 5);
    assert_int_equal(t.calls, 0);
    stream_conn_read(t.c, true);
    wait_until(t.l, t.calls == 1);
}

static void a_paused_conn_reads_nothing(void **state)
{
    (void)state;
    begin_tcp();
    say("x");
    turns(t.l, 10);
    assert_int_equal(t.calls, 0);
    stream_conn_read(t.c, true);
    wait_until(t.l, t.calls == 1);
    stream_conn_read(t.c, false);
    say("y");
    turns(t.l, 10);
    assert_int_equal(t.calls, 1);
}

static void what_the_kernel_takes_is_not_queued(void **state)
{
    struct iovec iov[3] = {{(void *)"ab", 2}, {(void *)"", 0}, {(void *)"cde", 3}};
    struct buf got = {0};

    (void)state;
    begin_tcp();
    stream_conn_write(t.c, iov, 3);
    assert_int_equal(stream_conn_queued(t.c), 0);
    assert_null(t.c->queue.p);
    wait_until(t.l, peer_read(&got) == 0 && got.len == 5);
    assert_string_equal(got.data, "abcde");
    turns(t.l, 5);
    assert_int_equal(t.drains, 0);
    assert_int_equal(stream_conn_bytes(t.c), 5);
    buf_done(&got);
}

/* 16 MiB in odd pieces, more than any socket buffer takes, against a peer that reads only when we wait. */
static void a_slow_reader(void **state)
{
    enum { ALL = 16 * MIB, PIECE = 70001 };
    cleanup_free uint8_t *p = pattern(ALL);
    struct buf got = {0};

    (void)state;
    begin_tcp();
    for (size_t at = 0; at < ALL; at += PIECE) {
        size_t n = ALL - at < PIECE ? ALL - at : PIECE;
        struct iovec iov[2] = {{p + at, n / 3}, {p + at + n / 3, n - n / 3}};
        stream_conn_write(t.c, iov, 2);
        if (at % 3 == 0)
            turn(t.l);
    }
    assert_true(stream_conn_queued(t.c) > 0);
    assert_int_equal(t.drains, 0);
    wait_until(t.l, peer_read(&got) == 0 && got.len == ALL);
    assert_memory_equal(got.data, p, ALL);
    wait_until(t.l, t.drains == 1);
    assert_int_equal(stream_conn_queued(t.c), 0);
    assert_null(t.c->queue.p);
    assert_int_equal(stream_conn_bytes(t.c), ALL);
    buf_done(&got);
}

/* Queue, take a part, queue again, many times: the queue moves inside its buffer rather than growing with all that ever passed. */
static void the_queue_stays_small(void **state)
{
    cleanup_free uint8_t *p = pattern(MIB);
    struct buf got = {0};
    size_t most = 0, cap = 0, sent = 0;

    (void)state;
    begin_unix();
    for (int i = 0; i < 200; i++) {
        conn_say(p, 300001);
        sent += 300001;
        while (stream_conn_queued(t.c) > 400000) {
            (void)peer_read(&got);
            turn(t.l);
        }
        if (stream_conn_queued(t.c) > most)
            most = stream_conn_queued(t.c);
        if (t.c->queue.cap > cap)
            cap = t.c->queue.cap;
    }
    assert_true(most > 100000);
    assert_true(cap <= 4 * MIB);
    wait_until(t.l, peer_read(&got) == 0 && got.len == sent);
    for (size_t at = 0; at < sent; at += 300001)
        assert_memory_equal(got.data + at, p, 300001);
    buf_done(&got);
}

static void on_drain_may_write(void **state)
{
    cleanup_free uint8_t *p = pattern(8 * MIB);
    struct buf got = {0};

    (void)state;
    begin_tcp();
    t.on_drain = WRITE;
    conn_say(p, 8 * MIB);
    wait_until(t.l, peer_read(&got) == 0 && got.len == 8 * MIB + 5);
    assert_string_equal(got.data + 8 * MIB, "again");
    turns(t.l, 5);
    assert_int_equal(t.drains, 1);
    buf_done(&got);
}

static void a_write_error_is_told_from_the_loop(void **state)
{
    (void)state;
    begin_tcp();
    reset_and_close(t.peer);
    t.peer = -1;
    conn_say("x", 1);
    conn_say("y", 1);
    assert_int_equal(t.gone, 0);
    wait_until(t.l, t.gone);
    assert_int_equal(t.err.grpc, GRPC_UNAVAILABLE);
    assert_string_equal(t.err.msg, "streaming connection: Connection reset by peer");
    conn_say("z", 1);
    stream_conn_read(t.c, true);
    turns(t.l, 5);
    assert_int_equal(t.gone, 1);
    assert_int_equal(stream_conn_queued(t.c), 0);
}

static void free_between_the_error_and_on_gone(void **state)
{
    (void)state;
    begin_unix();
    close(t.peer);
    t.peer = -1;
    conn_say("x", 1);
    act(FREE);
    turns(t.l, 5);
    assert_int_equal(t.gone, 0);
}

static void a_reset_while_bytes_are_queued(void **state)
{
    cleanup_free uint8_t *p = pattern(8 * MIB);

    (void)state;
    begin_tcp();
    conn_say(p, 8 * MIB);
    assert_true(stream_conn_queued(t.c) > 0);
    reset_and_close(t.peer);
    t.peer = -1;
    wait_until(t.l, t.gone); /* paused, but it wants to write */
    assert_int_equal(t.drains, 0);
    assert_true(t.err.grpc);
    assert_int_equal(stream_conn_queued(t.c), 0);
}

static void a_reset_while_reading(void **state)
{
    (void)state;
    begin_tcp();
    stream_conn_read(t.c, true);
    reset_and_close(t.peer);
    t.peer = -1;
    wait_until(t.l, t.gone);
    assert_int_equal(t.err.sys, ECONNRESET);
}

/* ---- a paused conn's peer ---------------------------------------------------------------------------------------- */

static void tick_now(void)
{
    timer_start(&t.c->tick, t.l, 0, on_paused_tick, t.c);
    turns(t.l, 3);
}

/* In real time, with unread input in front of the end of stream. */
static void the_peer_of_a_paused_conn_closes(void **state)
{
    int64_t start = time_monotonic_us();

    (void)state;
    begin_tcp();
    say("unread");
    close(t.peer);
    t.peer = -1;
    wait_until(t.l, t.gone);
    assert_int_equal(t.calls, 0);
    assert_int_equal(t.err.grpc, 0);
    assert_true(time_monotonic_us() - start < (2 * STREAM_CONN_PAUSED_CHECK_S + 1) * 1000000LL);
}

static void the_peer_of_a_paused_conn_resets(void **state)
{
    (void)state;
    begin_tcp();
    tick_now();
    assert_int_equal(t.gone, 0);
    say("unread");
    reset_and_close(t.peer);
    t.peer = -1;
    tick_now();
    assert_int_equal(t.gone, 1);
    assert_int_equal(t.err.sys, ECONNRESET);
}

static void a_full_unix_socket_whose_peer_closes(void **state)
{
    (void)state;
    begin_unix();
    assert_true(peer_fill() > 0);
    tick_now();
    assert_int_equal(t.gone, 0);
    close(t.peer);
    t.peer = -1;
    tick_now();
    assert_int_equal(t.gone, 1);
}

/* A receiver that is slow but takes something now and then gets everything, though the sender has gone. */
static void a_slow_taker_loses_nothing(void **state)
{
    size_t sent;

    (void)state;
    begin_tcp();
    sent = peer_fill();
    close(t.peer);
    t.peer = -1;
    t.on_data = PAUSE;
    while (t.gone == 0) {
        size_t before = t.calls;
        stream_conn_read(t.c, true);
        wait_until(t.l, t.calls > before || t.gone);
        if (!t.gone)
            tick_now();
    }
    assert_true(t.calls > 2);
    assert_int_equal(t.got.len, sent);
}

static void the_check_ends_while_it_reads(void **state)
{
    (void)state;
    begin_tcp();
    stream_conn_read(t.c, true);
    tick_now();
    assert_false(timer_active(&t.c->tick));
    stream_conn_read(t.c, false);
    assert_true(timer_active(&t.c->tick));
}

/* ---- finishing --------------------------------------------------------------------------------------------------- */

static void finish_sends_what_is_queued(void **state)
{
    cleanup_free uint8_t *p = pattern(16 * MIB);
    struct buf got = {0};

    (void)state;
    begin_tcp();
    conn_say(p, 16 * MIB);
    assert_true(stream_conn_queued(t.c) > 0);
    act(FINISH);
    assert_int_equal(t.done, 0);
    wait_until(t.l, peer_read(&got) == -1);
    assert_int_equal(got.len, 16 * MIB);
    assert_memory_equal(got.data, p, 16 * MIB);
    assert_int_equal(t.done, 0); /* it waits for the peer's end */
    close(t.peer);
    t.peer = -1;
    wait_until(t.l, t.done);
    assert_int_equal(t.closed, 1);
    assert_int_equal(t.gone + t.drains + t.calls, 0);
    buf_done(&got);
}

static void unread_input_does_not_destroy_what_was_sent(void **state)
{
    cleanup_free uint8_t *p = pattern(4 * MIB);
    struct buf got = {0};
    int end;

    (void)state;
    begin_tcp();
    assert_true(peer_fill() > MIB);
    conn_say(p, 4 * MIB);
    act(FINISH);
    /* the peer goes on sending while it reads, slowly */
    wait_until(t.l, (end = peer_read(&got)) != 0 || (peer_fill(), false));
    assert_int_equal(end, -1);
    assert_int_equal(got.len, 4 * MIB);
    assert_memory_equal(got.data, p, 4 * MIB);
    buf_done(&got);
    wait_until(t.l, t.done);
}

static void a_peer_that_never_ends_is_left_after_a_second(void **state)
{
    int64_t start = time_monotonic_us();

    (void)state;
    begin_tcp();
    conn_say("bye", 3);
    act(FINISH);
    wait_until(t.l, t.done);
    assert_in_range(time_monotonic_us() - start, STREAM_CONN_DRAIN_S * 1000000LL, 3000000);
}

static void a_peer_that_floods_is_read_up_to_a_limit(void **state)
{
    size_t sent = 0;

    (void)state;
    begin_unix();
    act(FINISH);
    wait_until(t.l, ((void)(sent += peer_fill()), t.done));
    assert_true(sent >= STREAM_CONN_DRAIN_MAX);
    assert_true(sent < STREAM_CONN_DRAIN_MAX + 4 * MIB);
}

static void a_peer_that_takes_nothing_is_given_up(void **state)
{
    cleanup_free uint8_t *p = pattern(16 * MIB);
    struct stream_conn *c;

    (void)state;
    begin_tcp();
    conn_say(p, 16 * MIB);
    c = t.c;
    act(FINISH);
    wait_until(t.l, !t.done && c->queue.len < 16 * MIB);
    turns(t.l, 600); /* past some ticks */
    assert_int_equal(t.done, 0);
    c->moved_us -= STREAM_CONN_FINISH_S * 1000000LL;
    wait_until(t.l, t.done);
}

/* The kernel has everything, but the peer's window is closed: what the kernel holds has no shorter limit than the queue. */
static void a_full_kernel_is_waited_for(void **state)
{
    struct stream_conn *c;

    (void)state;
    begin_tcp();
    struct buf got = {0};
    char block[16384] = "";
    do
        conn_say(block, sizeof(block));
    while (stream_conn_queued(t.c) == 0);
    c = t.c;
    act(FINISH);
    /* no more than it takes for the queue to be empty */
    wait_until(t.l, c->state == CONN_DRAINING || recv(t.peer, block, sizeof(block), 0) < 0);
    assert_int_equal(c->state, CONN_DRAINING);
    turns(t.l, 2500); /* more than STREAM_CONN_DRAIN_S */
    assert_int_equal(t.done, 0);
    wait_until(t.l, peer_read(&got) == -1);
    wait_until(t.l, t.done);
    buf_done(&got);
}

static void a_peer_that_breaks_while_finishing(void **state)
{
    cleanup_free uint8_t *p = pattern(8 * MIB);

    (void)state;
    begin_tcp();
    conn_say(p, 8 * MIB);
    act(FINISH);
    turns(t.l, 3);
    reset_and_close(t.peer);
    t.peer = -1;
    wait_until(t.l, t.done);
}

static void finish_of_one_that_is_gone(void **state)
{
    (void)state;
    begin_tcp();
    stream_conn_read(t.c, true);
    close(t.peer);
    t.peer = -1;
    wait_until(t.l, t.gone);
    act(FINISH);
    assert_int_equal(t.done, 0);
    wait_until(t.l, t.done);
}

static void finish_of_one_that_was_never_started(void **state)
{
    int pair[2];

    (void)state;
    tcp_pair(pair);
    t.peer = pair[1];
    struct stream_conn *c = stream_conn_new(t.l, pair[0], "input", 5);
    stream_conn_on_closed(c, on_closed, &t);
    close(t.peer);
    t.peer = -1;
    stream_conn_finish(c, NULL, NULL);
    wait_until(t.l, t.closed);
}

static void several_finish_at_once(void **state)
{
    struct stream_conn *c[3];
    int pair[3][2];

    (void)state;
    for (int i = 0; i < 3; i++) {
        tcp_pair(pair[i]);
        c[i] = stream_conn_new(t.l, pair[i][0], NULL, 0);
        stream_conn_finish(c[i], on_done, &t);
    }
    for (size_t i = 0; i < 3; i++) { /* the middle one first */
        close(pair[(i + 1) % 3][1]);
        wait_until(t.l, t.done == i + 1);
    }
    t.closed = 1;
}

/* ---- ending inside each callback --------------------------------------------------------------------------------- */

static void end_inside(enum what what, enum what *where)
{
    cleanup_free uint8_t *p = pattern(8 * MIB);
    struct buf got = {0};
    int pair[2];

    *where = what;
    tcp_pair(pair);
    if (where == &t.on_data) { /* of what was read before, and of the kernel's */
        begin(pair, "first", 5);
        say("second");
        stream_conn_read(t.c, true);
        wait_until(t.l, t.calls == 1);
    } else if (where == &t.on_drain) {
        begin(pair, NULL, 0);
        stream_conn_read(t.c, true);
        say("there is input, too");
        t.on_data = PAUSE;
        conn_say(p, 8 * MIB);
        wait_until(t.l, ((void)peer_read(&got), t.drains == 1));
    } else {
        begin(pair, NULL, 0);
        stream_conn_read(t.c, true);
        shutdown(t.peer, SHUT_WR);
        wait_until(t.l, t.gone == 1);
    }
    assert_null(t.c);
    turns(t.l, 5);
    assert_in_range(t.calls, where == &t.on_data, where != &t.on_gone); /* on_drain may come before any input */
    close(t.peer);
    t.peer = -1;
    if (what == FINISH)
        wait_until(t.l, t.done == 1);
    assert_int_equal(t.closed, 1);
    buf_done(&got);
}

static void free_inside_on_data_of_the_first(void **state)
{
    (void)state;
    end_inside(FREE, &t.on_data);
}

static void finish_inside_on_data_of_the_first(void **state)
{
    (void)state;
    end_inside(FINISH, &t.on_data);
}

static void free_inside_on_drain(void **state)
{
    (void)state;
    end_inside(FREE, &t.on_drain);
}

static void finish_inside_on_drain(void **state)
{
    (void)state;
    end_inside(FINISH, &t.on_drain);
}

static void free_inside_on_gone(void **state)
{
    (void)state;
    end_inside(FREE, &t.on_gone);
}

static void finish_inside_on_gone(void **state)
{
    (void)state;
    end_inside(FINISH, &t.on_gone);
}

static void free_inside_on_data(void **state)
{
    (void)state;
    begin_unix();
    stream_conn_read(t.c, true);
    (void)peer_fill(); /* several reads' worth: none may follow */
    t.on_data = FREE;
    wait_until(t.l, t.calls == 1);
    turns(t.l, 5);
    assert_int_equal(t.calls, 1);
}

static void finish_inside_on_data(void **state)
{
    (void)state;
    begin_unix();
    stream_conn_read(t.c, true);
    (void)peer_fill();
    t.on_data = FINISH;
    wait_until(t.l, t.calls == 1);
    close(t.peer);
    t.peer = -1;
    wait_until(t.l, t.done);
    assert_int_equal(t.calls, 1);
}

static void free_inside_on_gone_from_a_write(void **state)
{
    (void)state;
    begin_unix();
    close(t.peer);
    t.peer = -1;
    t.on_gone = FREE;
    conn_say("x", 1);
    wait_until(t.l, t.gone);
    turns(t.l, 5);
    assert_int_equal(t.gone, 1);
}

static void the_check_may_free(void **state)
{
    (void)state;
    begin_tcp();
    t.on_gone = FREE;
    close(t.peer);
    t.peer = -1;
    tick_now();
    assert_int_equal(t.gone, 1);
}

static void is_small(void **state)
{
    (void)state;
    begin_tcp();
    assert_true(sizeof(struct stream_conn) < 400);
    stream_conn_free(NULL);
}

#define test(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        test(reads_from_the_loop),
        test(bytes_from_before_come_first),
        test(a_pause_between_due_and_given),
        test(a_paused_conn_reads_nothing),
        test(what_the_kernel_takes_is_not_queued),
        test(a_slow_reader),
        test(the_queue_stays_small),
        test(on_drain_may_write),
        test(a_write_error_is_told_from_the_loop),
        test(free_between_the_error_and_on_gone),
        test(a_reset_while_bytes_are_queued),
        test(a_reset_while_reading),
        test(the_peer_of_a_paused_conn_closes),
        test(the_peer_of_a_paused_conn_resets),
        test(a_full_unix_socket_whose_peer_closes),
        test(a_slow_taker_loses_nothing),
        test(the_check_ends_while_it_reads),
        test(finish_sends_what_is_queued),
        test(unread_input_does_not_destroy_what_was_sent),
        test(a_peer_that_never_ends_is_left_after_a_second),
        test(a_peer_that_floods_is_read_up_to_a_limit),
        test(a_peer_that_takes_nothing_is_given_up),
        test(a_full_kernel_is_waited_for),
        test(a_peer_that_breaks_while_finishing),
        test(finish_of_one_that_is_gone),
        test(finish_of_one_that_was_never_started),
        test(several_finish_at_once),
        test(free_inside_on_data_of_the_first),
        test(finish_inside_on_data_of_the_first),
        test(free_inside_on_drain),
        test(finish_inside_on_drain),
        test(free_inside_on_gone),
        test(finish_inside_on_gone),
        test(free_inside_on_data),
        test(finish_inside_on_data),
        test(free_inside_on_gone_from_a_write),
        test(the_check_may_free),
        test(is_small),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
