#include "loop/unpack.h"
#include "core/log.h"
#include "core/mem.h"
#include "loop/child.h"
#include "loop/rmtree.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

enum { PIPE_SIZE = 256 << 10 }; /* few wake-ups a megabyte; refused, the kernel's 64 KiB do */

struct unpack {
    struct loop *loop;
    struct child *child; /* NULL once it has ended */
    char *dir;
    char *digest, *diff_id; /* what is expected, or NULL */
    uint64_t size, fed;
    int fd; /* to the helper's standard input; -1: closed */
    struct watch *watch;
    void (*on_room)(void *data);
    void *on_room_data;
    struct unpack_result result;
    struct err err;
    unpack_done_fn *on_done;
    void *data;
};

static void input_close(struct unpack *u)
{
    watch_stop(u->watch);
    u->watch = NULL;
    if (u->fd >= 0)
        close(u->fd);
    u->fd = -1;
}

static void unpack_free(struct unpack *u)
{
    input_close(u);
    free(u->dir);
    free(u->digest);
    free(u->diff_id);
    free(u);
}

static void finish(struct unpack *u)
{
    u->on_done(u->data, u->err.grpc ? NULL : &u->result, u->err.grpc ? &u->err : NULL);
    unpack_free(u);
}

static void on_removed(void *data, const struct err *err)
{
    struct unpack *u = data;

    if (err)
        log_warn("partial layer left behind: %s", err->msg);
    finish(u);
}

static void remove_partial(struct unpack *u)
{
    cleanup_free char *list = mem_printf("%s.implied", u->dir);
    const char *const paths[] = {u->dir, list, NULL};
    struct err err = {0};

    if (rmtree_start(u->loop, paths, on_removed, u, &err) < 0)
        on_removed(u, &err);
}

/* Digests first: where the bytes are wrong, how many there were is no news. */
static int check(const struct unpack *u, struct err *err)
{
    const struct unpack_result *r = &u->result;

    if (u->size && r->compressed != u->size)
        return err_set(err, GRPC_DATA_LOSS, 0, "%" PRIu64 " bytes came, the manifest says %" PRIu64,
                       r->compressed, u->size);
    if (u->digest && strcmp(u->digest, r->digest) != 0)
        return err_set(err, GRPC_DATA_LOSS, 0, "the bytes that came have the digest %s", r->digest);
    if (u->diff_id && strcmp(u->diff_id, r->diff_id) != 0)
        return err_set(err, GRPC_DATA_LOSS, 0,
                       "the uncompressed archive has the digest %s, the image's config says %s", r->diff_id,
                       u->diff_id);
    return 0;
}

static int outcome(struct unpack *u, const struct child_result *c, struct err *err)
{
    if (c->cancelled && u->err.grpc)
        return err_errno(&u->err); /* why it was killed */
    if (c->cancelled || c->timed_out || c->out.len == 0) {
        int r = child_check(c, "cricket-unpack", err);
        if (r < 0)
            return r;
    }
    int r = unpack_result_parse(c->out.data, c->out.len, &u->result, err);
    return r < 0 ? r : check(u, err);
}

static void on_child(void *data, struct child_result *c)
{
    struct unpack *u = data;

    u->child = NULL;
    input_close(u);
    if (outcome(u, c, &u->err) < 0) {
        err_wrap(&u->err, "layer %s", u->digest ? u->digest : u->dir);
        remove_partial(u);
        return;
    }
    if (u->result.implied == 0) {
        cleanup_free char *list = mem_printf("%s.implied", u->dir);
        unlink(list); /* made empty before there was a way to know */
    }
    finish(u);
}

/* The words of the command line live here. */
struct command {
    char files[40], bytes[40], path[40];
    const char *argv[10];
};

static void command_build(struct command *c, const struct unpack_spec *s)
{
    size_t n = 0;

    c->argv[n++] = s->binary;
    if (s->plain_archive)
        c->argv[n++] = "--plain";
    if (s->limits.max_files) {
        snprintf(c->files, sizeof(c->files), "--max-files=%" PRIu64, s->limits.max_files);
        c->argv[n++] = c->files;
    }
    if (s->limits.max_bytes) {
        snprintf(c->bytes, sizeof(c->bytes), "--max-bytes=%" PRIu64, s->limits.max_bytes);
        c->argv[n++] = c->bytes;
    }
    if (s->limits.max_path) {
        snprintf(c->path, sizeof(c->path), "--max-path=%" PRIu32, s->limits.max_path);
        c->argv[n++] = c->path;
    }
    c->argv[n++] = s->dir;
    c->argv[n] = NULL;
}

static int input_open(int *ret_theirs, int *ret_ours, struct err *err)
{
    int fds[2];

    if (pipe2(fds, O_CLOEXEC) < 0)
        return err_sys(err, errno, "make a pipe");
    fcntl(fds[1], F_SETFL, O_NONBLOCK);
    (void)fcntl(fds[1], F_SETPIPE_SZ, PIPE_SIZE);
    *ret_theirs = fds[0];
    *ret_ours = fds[1];
    return 0;
}

/* An environment of nothing: no LD_*, no locale, no OpenSSL configuration reaches the helper. */
static int helper_start(struct unpack *u, const struct unpack_spec *s, struct err *err)
{
    static const char *const no_env[] = {NULL};
    cleanup_close int theirs = -1;
    struct command command;
    int r = s->input_fd < 0 ? input_open(&theirs, &u->fd, err) : 0;

    if (r < 0)
        return r;
    command_build(&command, s);
    const struct child_spec spec = {
        .name = "cricket-unpack",
        .argv = command.argv,
        .envp = no_env,
        .stdin_fd = s->input_fd < 0 ? theirs : s->input_fd,
        .out_max = UNPACK_RESULT_SIZE,
    };
    return child_start(u->loop, &spec, on_child, u, &u->child, err);
}

int unpack_start(struct loop *l, const struct unpack_spec *s, unpack_done_fn *on_done, void *data,
                 struct unpack **ret_unpack, struct err *err)
{
    if (s->dir[0] != '/')
        return err_set(err, GRPC_INVALID_ARGUMENT, 0, "the directory of a layer must be absolute, not %s",
                       s->dir);
    if (mkdir(s->dir, 0755) < 0)
        return err_sys(err, errno, "make the directory of a layer, %s", s->dir);
    struct unpack *u = mem_new(struct unpack);
    *u = (struct unpack){.loop = l, .fd = -1, .size = s->size, .on_done = on_done, .data = data};
    u->dir = mem_strdup(s->dir);
    u->digest = mem_strdup(s->digest);
    u->diff_id = mem_strdup(s->diff_id);
    signal(SIGPIPE, SIG_IGN); /* a helper that gave up is an error of write(2), not of ours */
    int r = helper_start(u, s, err);
    if (r < 0) {
        rmdir(s->dir);
        unpack_free(u);
        return r;
    }
    *ret_unpack = u;
    return 0;
}

/* Kills the helper for a reason of ours. */
static void stop(struct unpack *u, int grpc, const char *why)
{
    if (!u->child || u->err.grpc)
        return;
    err_set(&u->err, grpc, 0, "%s", why);
    child_cancel(u->child);
}

size_t unpack_write(struct unpack *u, const void *p, size_t n)
{
    ssize_t w;

    if (u->fd < 0 || u->err.grpc)
        return n;
    if (u->size && n > u->size - u->fed) {
        stop(u, GRPC_DATA_LOSS, "more bytes came than the manifest says");
        return n;
    }
    do
        w = write(u->fd, p, n);
    while (w < 0 && errno == EINTR);
    if (w < 0)
        return errno == EAGAIN ? 0 : n;
    u->fed += (uint64_t)w;
    return (size_t)w;
}

static void on_writable(void *data, int events)
{
    struct unpack *u = data;
    void (*fn)(void *data) = u->on_room;

    (void)events;
    watch_set(u->watch, 0);
    u->on_room = NULL;
    if (fn)
        fn(u->on_room_data);
}

void unpack_on_room(struct unpack *u, void (*fn)(void *data), void *data)
{
    u->on_room = fn;
    u->on_room_data = data;
    if (u->fd < 0)
        return;
    if (!u->watch)
        u->watch = watch_start(u->loop, u->fd, fn ? WATCH_WRITE : 0, on_writable, u);
    else
        watch_set(u->watch, fn ? WATCH_WRITE : 0);
}

void unpack_eof(struct unpack *u)
{
    input_close(u);
}

void unpack_cancel(struct unpack *u)
{
    stop(u, GRPC_CANCELLED, "cancelled");
}
