#include "helpers/keeper.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/stat.h>
#include <unistd.h>

/* A flood must not keep other containers waiting: after this much the others get their turn. */
enum { BYTES_A_TURN = 4 * KEEPER_MSG_MAX };

/* The beginning of a line of ours, as far as it goes. */
static bool begins_a_line(const char *s, size_t n)
{
    static const char time[] = "0000-00-00T00:00:00."; /* 0: any digit */

    for (size_t i = 0; i < n && time[i]; i++)
        if (time[i] == '0' ? s[i] < '0' || s[i] > '9' : s[i] != time[i])
            return false;
    return true;
}

/* A keeper that was killed in the middle of a write has left a part of a line, to which the next one would be added. */
static void cut_unfinished_line(const char *path, int fd)
{
    static char tail[CRI_LOG_HEAD_LEN + CRI_LOG_TEXT_MAX + 1];
    struct stat st;

    if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode) || st.st_size == 0)
        return;
    int in = open(path, O_RDONLY | O_CLOEXEC);
    off_t from = st.st_size > (off_t)sizeof(tail) ? st.st_size - (off_t)sizeof(tail) : 0;
    ssize_t n = in < 0 ? -1 : pread(in, tail, sizeof(tail), from);
    if (in >= 0)
        close(in);
    if (n != st.st_size - from || tail[n - 1] == '\n')
        return;
    const char *end = memrchr(tail, '\n', (size_t)n), *rest = end ? end + 1 : tail;
    if ((end || from == 0) && begins_a_line(rest, (size_t)(tail + n - rest))) /* else it is no log of ours */
        (void)!ftruncate(fd, from + (rest - tail));
}

int log_open(const char *path, bool *ret_new)
{
    /* the mode and flags of containerd's logs; the kubelet's umask is not ours, so the mode is what it says */
    int fd = open(path, O_WRONLY | O_APPEND | O_CREAT | O_EXCL | O_CLOEXEC, 0640);

    *ret_new = fd >= 0;
    if (fd >= 0) {
        fchmod(fd, 0640);
        return fd;
    }
    if (errno == EEXIST && (fd = open(path, O_WRONLY | O_APPEND | O_CLOEXEC)) >= 0)
        cut_unfinished_line(path, fd);
    return fd;
}

/* Where the text of what was written ends, so that a torn last line can be cut off: a log holds whole lines only. */
static size_t whole_lines(const struct iovec *iov, int n, size_t written)
{
    size_t whole = 0, at = 0;

    for (int i = 0; i < n; i++) {
        at += iov[i].iov_len;
        if (at > written)
            break;
        if (((const char *)iov[i].iov_base)[iov[i].iov_len - 1] == '\n')
            whole = at;
    }
    return whole;
}

/* Text bytes of the container in the lines from byte `from` on. */
static uint64_t text_bytes(const struct cri_log_batch *b, size_t from)
{
    uint64_t bytes = 0;
    size_t at = 0;

    for (int i = 0; i < b->n; at += b->iov[i++].iov_len)
        if (at >= from && b->iov[i].iov_base != b->full && b->iov[i].iov_base != b->partial)
            bytes += b->iov[i].iov_len;
    return bytes;
}

static void cut_torn_line(int fd, size_t torn)
{
    struct stat st;

    if (torn == 0 || fstat(fd, &st) < 0 || !S_ISREG(st.st_mode) || (uint64_t)st.st_size < torn)
        return;
    if (ftruncate(fd, st.st_size - (off_t)torn) < 0)
        return; /* then one line in the log is broken, which readers skip */
}

/* Writes a batch, all or up to the last whole line that fits. What does not fit is counted, not waited for. */
static void write_batch(struct container *c, const struct cri_log_batch *b)
{
    struct iovec iov[CRI_LOG_IOV];
    size_t done = 0;
    int first = 0;

    memcpy(iov, b->iov, (size_t)b->n * sizeof(*iov));
    while (done < b->size) {
        ssize_t n = writev(c->log_fd, iov + first, b->n - first);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0) {
            size_t whole = whole_lines(b->iov, b->n, done);
            c->lost_errno = n < 0 ? errno : ENOSPC;
            cut_torn_line(c->log_fd, done - whole);
            c->lost += text_bytes(b, whole);
            return;
        }
        done += (size_t)n;
        for (; first < b->n && (size_t)n >= iov[first].iov_len; first++)
            n -= (ssize_t)iov[first].iov_len;
        if (first < b->n) {
            iov[first].iov_base = (char *)iov[first].iov_base + n;
            iov[first].iov_len -= (size_t)n;
        }
    }
}

void log_write_loss(struct container *c)
{
    struct cri_log_batch b;
    char line[160];
    struct text t;
    uint64_t lost = c->lost;

    if (lost == 0 || c->log_fd < 0)
        return;
    text_init(&t, line, sizeof(line));
    text_add(&t, "[cricket: ");
    text_add_number(&t, (int64_t)lost);
    text_add(&t, " bytes of output lost: ");
    text_add(&t, strerror(c->lost_errno));
    text_add(&t, "]\n");
    cri_log_begin(&b, now_ns(), CRI_LOG_STDERR);
    cri_log_add(&b, line, t.len, true);
    c->lost = 0;
    write_batch(c, &b);
    if (c->lost) /* still no room: the line itself is no output of the container */
        c->lost = lost;
}

static size_t log_chunk(struct container *c, enum cri_log_stream stream, size_t n, bool flush)
{
    struct cri_log_batch b;
    size_t done = 0, got;

    if (c->log_fd < 0)
        return n;
    log_write_loss(c);
    do {
        cri_log_begin(&b, now_ns(), stream);
        got = cri_log_add(&b, scratch + done, n - done, flush);
        write_batch(c, &b);
        done += got;
    } while (got && done < n);
    return done;
}

/* While the command runs its stderr is its own words, not yet the container's output. */
static size_t keep_tail(struct container *c, size_t n)
{
    const char *from = n > TAIL_MAX ? scratch + (n - TAIL_MAX) : scratch;
    size_t add = n > TAIL_MAX ? TAIL_MAX : n;
    size_t keep = c->tail_len + add > TAIL_MAX ? TAIL_MAX - add : c->tail_len;

    memmove(c->tail, c->tail + c->tail_len - keep, keep);
    memcpy(c->tail + keep, from, add);
    c->tail_len = keep + add;
    return n;
}

static size_t take_chunk(struct source *s, size_t n, bool flush)
{
    struct container *c = s->container;

    if (c->state == CONTAINER_CREATING)
        return keep_tail(c, n);
    return log_chunk(c, s == &c->err ? CRI_LOG_STDERR : CRI_LOG_STDOUT, n, flush);
}

/*
 * Reads what there is. An unfinished line is carried to the next read of the same turn only; then it is written as P, so that
 * nothing that was read is held in memory alone.
 */
bool log_drain(struct source *s)
{
    size_t carried = 0, total = 0;
    bool ended = false;

    if (s->fd < 0)
        return true;
    while (total < BYTES_A_TURN && relay_may_read(s)) {
        ssize_t n = read(s->fd, scratch + carried, sizeof(scratch) - carried);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0) {
            ended = n == 0 || errno != EAGAIN; /* a pty says EIO when its last user is gone */
            break;
        }
        total += (size_t)n;
        size_t done = take_chunk(s, carried + (size_t)n, false);
        relay_copy(s, scratch + carried, (size_t)n);
        carried += (size_t)n - done;
        memmove(scratch, scratch + done, carried);
    }
    if (carried)
        take_chunk(s, carried, true);
    if (ended) {
        relay_end(s);
        source_close(s);
    } else {
        relay_watch(s);
    }
    return ended;
}

void log_on_ready(struct source *s, uint32_t events)
{
    (void)events;
    if (log_drain(s))
        container_check_end(s->container);
}
