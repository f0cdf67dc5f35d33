#include "cli/log_file.h"
#include "core/mem.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <unistd.h>

enum { CHUNK = 64 << 10, LINE_MAX_BYTES = 1 << 20, TAIL_MAX = 1 << 20, LOOK_MS = 200 };

static void watch_directory(struct log_file *f)
{
    cleanup_free char *copy = mem_strdup(f->path);

    f->inotify = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
    if (f->inotify >= 0 &&
        inotify_add_watch(f->inotify, dirname(copy), IN_MODIFY | IN_CREATE | IN_MOVED_TO) < 0) {
        close(f->inotify);
        f->inotify = -1; /* instances are few on some hosts (128) */
    }
}

void log_file_init(struct log_file *f, const char *path, bool timestamps, FILE *to_out, FILE *to_err)
{
    *f = (struct log_file){
        .path = mem_strdup(path), .fd = -1, .inotify = -1, .timestamps = timestamps, .to = {to_out, to_err}};
    f->rest.max = LINE_MAX_BYTES;
}

void log_file_done(struct log_file *f)
{
    if (f->fd >= 0)
        close(f->fd);
    if (f->inotify >= 0)
        close(f->inotify);
    buf_done(&f->rest);
    free(f->path);
    *f = (struct log_file){.fd = -1, .inotify = -1};
}

static int open_file(struct log_file *f, struct err *err)
{
    struct stat st;
    cleanup_close int fd = open(f->path, O_RDONLY | O_CLOEXEC | O_NOCTTY);

    if (fd < 0)
        return errno == ENOENT ? 0 : err_sys(err, errno, "log %s", f->path);
    if (fstat(fd, &st) < 0)
        return err_sys(err, errno, "log %s", f->path);
    if (!S_ISREG(st.st_mode))
        return err_set(err, GRPC_FAILED_PRECONDITION, 0, "log %s is no regular file", f->path);
    f->fd = steal_fd(&fd);
    f->dev = st.st_dev;
    f->ino = st.st_ino;
    f->offset = 0;
    return 0;
}

/* A line that is no CRI log line is shown as it is: better than to hide it. */
static void print_line(struct log_file *f, const char *p, size_t n)
{
    struct log_line l;

    if (log_line_parse(p, n, &l) < 0) {
        fwrite(p, 1, n, f->to[0]);
        putc('\n', f->to[0]);
        return;
    }
    FILE *to = f->to[l.is_stderr];
    if (l.is_stderr)
        fflush(f->to[0]); /* in order, where both go to one terminal */
    if (f->timestamps && !f->middle[l.is_stderr])
        fprintf(to, "%.*s ", (int)l.time_len, l.time);
    fwrite(l.text, 1, l.text_len, to);
    if (!l.partial)
        putc('\n', to);
    f->middle[l.is_stderr] = l.partial;
}

static void take(struct log_file *f, const char *p, size_t n)
{
    const char *nl;

    while ((nl = memchr(p, '\n', n))) {
        size_t len = (size_t)(nl - p);
        if (f->rest.len) {
            buf_add(&f->rest, p, len);
            print_line(f, f->rest.data, f->rest.len);
            f->rest.len = 0;
            f->rest.truncated = false;
        } else {
            print_line(f, p, len);
        }
        p += len + 1;
        n -= len + 1;
    }
    buf_add(&f->rest, p, n); /* what is longer than LINE_MAX_BYTES is no CRI log; its end is dropped */
}

static ssize_t read_open(struct log_file *f, struct err *err)
{
    cleanup_free char *chunk = mem_alloc(CHUNK);
    ssize_t total = 0, n;

    while ((n = pread(f->fd, chunk, CHUNK, f->offset)) > 0) {
        f->offset += n;
        total += n;
        take(f, chunk, (size_t)n);
    }
    if (n < 0)
        return err_sys(err, errno, "log %s", f->path);
    return total;
}

/* 1 when the path names another file now, which is all that is written to from then on. */
static int was_replaced(struct log_file *f)
{
    struct stat st;

    if (stat(f->path, &st) < 0)
        return 0;
    if (st.st_dev != f->dev || st.st_ino != f->ino)
        return 1;
    if (st.st_size < f->offset) {
        f->offset = 0;
        f->rest.len = 0;
    }
    return 0;
}

ssize_t log_file_read(struct log_file *f, struct err *err)
{
    ssize_t total = 0, n;
    int rc;

    for (;;) {
        if (f->fd < 0 && ((rc = open_file(f, err)) < 0 || f->fd < 0)) {
            total = rc < 0 ? rc : total;
            break;
        }
        int replaced =
            was_replaced(f); /* asked before the read: what the old file got until then is read below */
        if ((n = read_open(f, err)) < 0)
            return n;
        total += n;
        if (!replaced)
            break;
        close(f->fd);
        f->fd = -1;
    }
    fflush(f->to[0]);
    fflush(f->to[1]);
    return total;
}

/* Whether the last bytes of a line's head say that the line is a full one; needs only the tag. */
static bool is_full(const char *p, size_t n)
{
    struct log_line l;

    return log_line_parse(p, n, &l) < 0 || !l.partial;
}

int log_file_skip_to_tail(struct log_file *f, long n, struct err *err)
{
    cleanup_fclose FILE *in = NULL;
    cleanup_free char *line = NULL;
    cleanup_free off_t *starts =
        NULL; /* of the last n + 1 lines, a ring; a line with its partial ones counts once */
    size_t cap = 0, full = 0, ring = (size_t)(n < TAIL_MAX ? n : TAIL_MAX) + 1;
    off_t at = 0;
    ssize_t len;
    int rc;

    if (f->fd < 0 && ((rc = open_file(f, err)) < 0 || f->fd < 0))
        return rc;
    if (!(in = fopen(f->path, "re")))
        return err_sys(err, errno, "log %s", f->path);
    starts = mem_alloc(ring * sizeof(*starts));
    while ((len = getline(&line, &cap, in)) > 0) {
        at += len;
        if (line[len - 1] == '\n' && is_full(line, (size_t)len - 1))
            starts[++full % ring] = at;
    }
    f->offset = full >= ring - 1 ? starts[(full - (ring - 1)) % ring] : 0;
    return 0;
}

bool log_file_wait(struct log_file *f, int timeout_ms, int wake_fd)
{
    char events[4096];

    if (f->inotify < 0)
        watch_directory(f);
    struct pollfd fds[] = {{.fd = wake_fd, .events = POLLIN}, {.fd = f->inotify, .events = POLLIN}};
    if (f->inotify < 0 && (timeout_ms < 0 || timeout_ms > LOOK_MS))
        timeout_ms = LOOK_MS;
    if (poll(fds, 2, timeout_ms) > 0 && (fds[1].revents & POLLIN))
        while (read(f->inotify, events, sizeof(events)) > 0)
            ;
    return fds[0].revents & POLLIN;
}
