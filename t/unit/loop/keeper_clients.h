/* Attached clients: the reading ends of pipes that take copies of the containers' output. */
#pragma once
#include "t/unit/loop/keeper_fixture.h"

enum { PIPE_SIZE = 65536, CLIENTS_MAX = 80 };

/* The reading end of one stream of an attached client. */
struct client {
    int fd; /* -1: not attached, or closed */
    bool ended, stuck;
    struct buf got;
};
static struct client clients[CLIENTS_MAX];
static size_t clients_n;

/* ---- clients ---- */
static void pump(struct client *c)
{
    char chunk[PIPE_SIZE];
    ssize_t n = 1;

    while (c->fd >= 0 && !c->ended && (n = read(c->fd, chunk, sizeof(chunk))) > 0)
        buf_add(&c->got, chunk, (size_t)n);
    c->ended = c->ended || n == 0;
}

static bool all_ended(void)
{
    bool all = true;

    for (size_t i = 0; i < clients_n; i++) {
        if (clients[i].stuck)
            continue;
        pump(&clients[i]);
        all = all && clients[i].ended;
    }
    return all;
}

static bool exit_and_all_ended(void)
{
    return all_ended() && heard_exit();
}

static void assert_got(struct client *c, const char *want)
{
    buf_add(&c->got, "", 0);
    assert_string_equal(c->got.len ? c->got.data : "", want);
}

/* Makes a pipe and returns its write end; the other one is a new client's. */
static int new_client(struct client **ret_client)
{
    struct client *c = &clients[clients_n++];
    int fds[2];

    assert_true(clients_n <= CLIENTS_MAX);
    assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
    fcntl(fds[0], F_SETFL, O_NONBLOCK);
    *c = (struct client){.fd = fds[0]};
    *ret_client = c;
    return fds[1];
}

/* NULL: that stream is not wanted. */
static void ask_attach(const char *id, struct client **out, struct client **error)
{
    cleanup_close int out_fd = out ? new_client(out) : -1, err_fd = error ? new_client(error) : -1;
    struct err err = {0};

    pod.is_done = false;
    assert_int_equal(keeper_attach(pod.k, id, out_fd, err_fd, on_done, NULL, &err), 0);
    assert_false(pod.is_done);
    until(heard_done);
}

static void attach(const char *id, struct client **out, struct client **error)
{
    ask_attach(id, out, error);
    assert_string_equal(pod.done_err.msg, "");
}

static int no_clients(void **state)
{
    (void)state;
    for (size_t i = 0; i < clients_n; i++) {
        if (clients[i].fd >= 0)
            close(clients[i].fd);
        buf_done(&clients[i].got);
    }
    clients_n = 0;
    return 0;
}

/* ---- the keeper's descriptors ---- */
static size_t want_fds;

/* Once the keeper has done all that earlier requests ask for: it answers before it opens or closes the last of it. */
static size_t settled_fds(void)
{
    close_stdin("web", 0); /* which has none */
    return count_fds(pod.process);
}

static bool fds_are_back(void)
{
    return count_fds(pod.process) == want_fds;
}

/* ---- data ---- */
enum { BIG = 4 << 20 };

/* Lines of all lengths, also beyond what one line of a log takes. */
static char *make_data(size_t n)
{
    char *data = mem_alloc(n);
    size_t line = 0;

    srandom(2);
    for (size_t i = 0; i < n; i++, line++) {
        data[i] = (char)random();
        if (data[i] == '\n' && line < 40000 && i > n / 2)
            data[i] = 'x';
        if (data[i] == '\n')
            line = 0;
    }
    write_file(in_dir("data"), data, n, 0600);
    return data;
}

static void assert_same(const struct buf *b, const char *data, size_t n)
{
    assert_int_equal(b->len, n);
    assert_memory_equal(b->data, data, n);
}

/* A container that prints the file when told to go, by a process that has the container's number. */
static void run_printer(const char *id)
{
    cleanup_free char *script = mem_printf("read x < $0.go; exec cat %s", in_dir("data"));

    run(id, script);
}
