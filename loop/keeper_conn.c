#include "loop/keeper_conn.h"
#include "core/log.h"
#include "core/mem.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>

enum { ANSWER_MAX = 16384 };

/* ---- boxes ---- */

static void box_close(struct box *b)
{
    for (int i = 0; i < KEEPER_FDS; i++)
        if (b->fds[i] >= 0)
            close(steal_fd(&b->fds[i]));
}

static void box_free(struct box *b)
{
    box_close(b);
    free(b->log_path);
    free(b);
}

struct box *box_find(const struct keeper *k, const char *id)
{
    for (size_t i = 0; i < k->boxes_n; i++)
        if (strcmp(k->boxes[i]->state.id, id) == 0)
            return k->boxes[i];
    return NULL;
}

static struct box *box_put(struct keeper *k, const char *id, const char *log_path)
{
    struct box *b = box_find(k, id);

    if (b)
        return b;
    b = mem_new(struct box);
    snprintf(b->state.id, sizeof(b->state.id), "%s", id);
    b->log_path = mem_strdup(log_path);
    for (int i = 0; i < KEEPER_FDS; i++)
        b->fds[i] = -1;
    k->boxes = mem_grow(k->boxes, &k->boxes_cap, k->boxes_n + 1, sizeof(struct box *));
    k->boxes[k->boxes_n++] = b;
    return b;
}

void box_drop(struct keeper *k, size_t i)
{
    box_free(k->boxes[i]);
    memmove(k->boxes + i, k->boxes + i + 1, (--k->boxes_n - i) * sizeof(struct box *));
}

/* Takes the descriptors that the mask announces out of fds. */
static void box_take_fds(struct box *b, uint32_t mask, int fds[static KEEPER_FDS])
{
    box_close(b);
    for (int i = 0, next = 0; i < KEEPER_FDS; i++)
        if (mask & (1U << i))
            b->fds[i] = steal_fd(&fds[next++]);
}

/* ---- requests ---- */
int keeper_send(struct keeper *k, struct keeper_builder *b, const int *fds, size_t n, struct err *err)
{
    union {
        struct cmsghdr head;
        char room[CMSG_SPACE(KEEPER_FDS * sizeof(int))];
    } control = {0};
    struct iovec iov = {.iov_base = b->buf, .iov_len = keeper_finish(b)};
    struct msghdr m = {.msg_iov = &iov, .msg_iovlen = 1};

    if (k->fd < 0)
        return err_set(err, GRPC_UNAVAILABLE, 0, "the keeper in %s has died", k->dir);
    if (iov.iov_len == 0)
        return err_set(err, GRPC_INVALID_ARGUMENT, 0,
                       "the runtime's command line is longer than %d bytes; shorten its paths", KEEPER_MSG_MAX);
    if (n) {
        m.msg_control = &control;
        m.msg_controllen = CMSG_SPACE(n * sizeof(int));
        control.head.cmsg_level = SOL_SOCKET;
        control.head.cmsg_type = SCM_RIGHTS;
        control.head.cmsg_len = CMSG_LEN(n * sizeof(int));
        memcpy(CMSG_DATA(&control.head), fds, n * sizeof(int));
    }
    if (sendmsg(k->fd, &m, MSG_NOSIGNAL | MSG_DONTWAIT) < 0)
        return err_set(err, GRPC_UNAVAILABLE, errno, "the keeper in %s does not answer", k->dir);
    return 0;
}

struct waiting *keeper_wait_for(struct keeper *k, void *data)
{
    struct waiting *w = mem_new(struct waiting);

    w->seq = k->seq;
    w->data = data;
    w->next = k->waiting;
    k->waiting = w;
    return w;
}

uint32_t keeper_next_seq(struct keeper *k)
{
    if (++k->seq == 0 || k->seq == UINT32_MAX) /* both have a meaning */
        k->seq = 1;
    return k->seq;
}

int keeper_send_named(struct keeper *k, enum keeper_type type, const char *id, struct err *err)
{
    char buf[256];
    struct keeper_head m = {.type = type, .seq = keeper_next_seq(k)};
    struct keeper_builder b;

    keeper_build(&b, buf, sizeof(buf), &m, sizeof(m));
    keeper_put_string(&b, id);
    return keeper_send(k, &b, NULL, 0, err);
}

/* ---- messages ---- */
static void answer_waiting(struct waiting *w, int pid, const struct err *err)
{
    if (w->on_created)
        w->on_created(w->data, pid, err);
    else if (w->on_done)
        w->on_done(w->data, err);
    waiting_free(w);
}

/* False: one of the callbacks freed the keeper. */
static bool fail_waiting(struct keeper *k, const struct err *err)
{
    k->busy = true;
    for (struct waiting *w; (w = k->waiting);) {
        k->waiting = w->next;
        answer_waiting(w, 0, err);
    }
    k->busy = false;
    if (!k->dead)
        return true;
    keeper_disconnect(k);
    return false;
}

static void quit_done(struct keeper *k)
{
    struct waiting *w = k->waiting;

    while (w && w->seq != k->quit_seq)
        w = w->next;
    keeper_done_fn *on_done = w ? w->on_done : NULL;
    void *data = w ? w->data : NULL;
    keeper_disconnect(k);
    if (on_done)
        on_done(data, NULL);
}

static void ready(struct keeper *k)
{
    keeper_ready_fn *on_ready = k->on_ready;

    keeper_stop_starting(k);
    k->phase = KEEPER_CONNECTED;
    k->restarting = false;
    k->on_ready = NULL;
    if (on_ready)
        on_ready(k->ready_data, k, NULL);
}

void keeper_send_exited(struct keeper *k, const struct box *b)
{
    char buf[256];
    struct keeper_exited_msg m = {.head = {.type = KEEPER_EXITED, .seq = keeper_next_seq(k)},
                                  .status = b->status,
                                  .finished_ns = b->finished_ns};
    struct keeper_builder w;
    struct err err;

    keeper_build(&w, buf, sizeof(buf), &m, sizeof(m));
    keeper_put_string(&w, b->state.id);
    if (keeper_send(k, &w, NULL, 0, &err) < 0)
        log_warn("container %s: its exit status cannot be told: %s", b->state.id, err.msg);
}

static void adopted(struct keeper *k)
{
    for (struct waiting *w = k->waiting; w; w = w->next)
        if (w->on_adopted)
            return;
    ready(k);
}

static void adopt(struct keeper *k, const struct box *b)
{
    char buf[8192];
    struct keeper_adopt_msg m = {.head = {.type = KEEPER_ADOPT, .seq = keeper_next_seq(k)},
                                 .pid = b->state.pid};
    struct keeper_builder w;
    struct err err;
    int fds[KEEPER_FDS];
    size_t n = 0;

    for (int i = 0; i < KEEPER_FDS; i++)
        if (b->fds[i] >= 0) {
            m.fds |= 1U << i;
            fds[n++] = b->fds[i];
        }
    keeper_build(&w, buf, sizeof(buf), &m, sizeof(m));
    keeper_put_string(&w, b->state.id);
    keeper_put_string(&w, b->log_path);
    if (keeper_send(k, &w, fds, n, &err) < 0)
        log_error("container %s cannot be given to its new keeper: %s", b->state.id, err.msg);
    else
        keeper_wait_for(k, NULL)->on_adopted = adopted;
    if (b->reaped)
        keeper_send_exited(k, b);
}

/* The greeting is complete. */
static void greeted(struct keeper *k)
{
    for (size_t i = k->boxes_n; i-- > 0;) {
        if (k->boxes[i]->seen)
            continue;
        if (k->restarting && !k->boxes[i]->state.ended && k->boxes[i]->state.pid > 0)
            adopt(k, k->boxes[i]);
        else
            box_drop(k, i);
    }
    k->phase = KEEPER_ADOPTING;
    adopted(k);
}

struct answer {
    const char *buf;
    size_t len;
    int fds[KEEPER_FDS];
};

static void on_greeting(struct keeper *k, struct answer *a)
{
    static bool said_oom_adj;
    struct keeper_greeting_msg m;

    if (!keeper_msg_read(a->buf, a->len, &m, sizeof(m)))
        return;
    if (m.flags & KEEPER_NO_CGROUP)
        log_warn("the keeper in %s could not move to its pod's cgroup: its memory counts as the daemon's",
                 k->dir);
    if ((m.flags & KEEPER_NO_OOM_ADJ) && !said_oom_adj) {
        said_oom_adj = true;
        log_warn("keepers keep the daemon's oom_score_adj: lowering it needs CAP_SYS_RESOURCE");
    }
    if (k->phase != KEEPER_GREETS)
        return; /* another one tells of changed flags only */
    k->pid = m.pid;
    k->to_come = m.containers;
    for (size_t i = 0; i < k->boxes_n; i++)
        k->boxes[i]->seen = false;
    if (k->to_come == 0)
        greeted(k);
}

static void on_container(struct keeper *k, struct answer *a)
{
    struct keeper_container_msg m;

    if (!keeper_msg_read(a->buf, a->len, &m, sizeof(m)))
        return;
    struct keeper_strings s = keeper_msg_strings(a->buf);
    const char *id = keeper_next_string(&s);
    struct box *b = box_put(k, id, keeper_next_string(&s));
    b->seen = true;
    b->state.pid = m.pid;
    b->state.ended = (m.flags & KEEPER_ENDED) != 0;
    box_take_fds(b, m.fds, a->fds);
    if (k->phase == KEEPER_GREETS && k->to_come && --k->to_come == 0)
        greeted(k);
}

static void on_reply(struct keeper *k, struct answer *a)
{
    struct waiting **at = &k->waiting, *w;
    struct keeper_reply_msg m;
    struct err err = {0};

    if (!keeper_msg_read(a->buf, a->len, &m, sizeof(m)))
        return;
    struct keeper_strings s = keeper_msg_strings(a->buf);
    const char *text = keeper_next_string(&s);
    while (*at && (*at)->seq != m.head.seq)
        at = &(*at)->next;
    if (!(w = *at))
        return; /* an answer that nobody waits for: EXITED */
    if (w->seq == k->quit_seq) {
        if (m.grpc == 0) {
            quit_done(k);
            return;
        }
        k->quit_seq = 0;
    }
    *at = w->next;
    if (w->on_adopted) {
        if (text[0])
            log_error("a container's new keeper: %s", text);
        waiting_free(w);
        adopted(k);
        return;
    }
    if (m.grpc)
        (void)!err_set(&err, m.grpc, 0, "%s%s%s", w->name ? w->name : "", w->name ? ": " : "", text);
    else if (w->on_created) {
        struct box *b = box_put(k, w->id, w->log_path);
        b->state.pid = m.pid;
        box_take_fds(b, m.fds, a->fds);
    }
    answer_waiting(w, m.pid, m.grpc ? &err : NULL);
}

static void on_exit_message(struct keeper *k, struct answer *a)
{
    struct keeper_exit_msg m;
    char id[65];

    if (!keeper_msg_read(a->buf, a->len, &m, sizeof(m)))
        return;
    struct keeper_strings s = keeper_msg_strings(a->buf);
    snprintf(id, sizeof(id), "%s", keeper_next_string(&s));
    struct box *b = box_put(k, id, NULL);
    b->state.ended = true;
    b->state.pid = 0;
    box_close(b);
    struct keeper_exit x = {.container_id = id,
                            .known = (m.flags & KEEPER_EXIT_KNOWN) != 0,
                            .code = m.code,
                            .signal = m.signal,
                            .oom_killed = (m.flags & KEEPER_EXIT_OOM) != 0,
                            .finished_ns = m.finished_ns};
    k->events.on_exit(k->data, &x);
}

static const struct {
    uint16_t type;
    void (*take)(struct keeper *k, struct answer *a); /* may free k */
} messages[] = {
    {KEEPER_GREETING, on_greeting},
    {KEEPER_CONTAINER, on_container},
    {KEEPER_REPLY, on_reply},
    {KEEPER_EXIT, on_exit_message},
};

/* ---- the connection ---- */
int keeper_connect_to(const char *dir, int *ret_fd, struct err *err)
{
    struct sockaddr_un a = {.sun_family = AF_UNIX};
    cleanup_close int d = open(dir, O_PATH | O_DIRECTORY | O_CLOEXEC);
    cleanup_close int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

    if (d < 0)
        return err_sys(err, errno, "keeper directory %s", dir);
    if (fd < 0)
        return err_sys(err, errno, "cannot make a socket for the keeper in %s", dir);
    /* by way of the directory, whose path may be longer than an address takes */
    snprintf(a.sun_path, sizeof(a.sun_path), "/proc/self/fd/%d/keeper.sock", d);
    if (connect(fd, (struct sockaddr *)&a, sizeof(a)) < 0) {
        if (errno == ENOENT || errno == ECONNREFUSED)
            return err_set(err, GRPC_NOT_FOUND, 0, "no keeper listens in %s", dir);
        return err_set(err, GRPC_UNAVAILABLE, errno, "cannot connect to the keeper in %s", dir);
    }
    *ret_fd = steal_fd(&fd);
    return 0;
}

static void on_message(void *data, int events);

int keeper_begin_greeting(struct keeper *k, struct err *err)
{
    int r = keeper_connect_to(k->dir, &k->fd, err);

    if (r < 0)
        return r;
    k->phase = KEEPER_GREETS;
    k->watch = watch_start(k->loop, k->fd, WATCH_READ, on_message, k);
    return 0;
}

static void connection_ended(struct keeper *k)
{
    struct err err, why;

    keeper_hang_up(k);
    if (k->quit_seq) {
        quit_done(k);
        return;
    }
    if (k->on_ready) {
        (void)!err_set(&err, GRPC_UNAVAILABLE, 0, "the keeper in %s ended while it greeted us", k->dir);
        keeper_ready_failed(k, &err);
        return;
    }
    /* it may only have dropped us because we did not read: then the greeting tells what we missed */
    bool lost = keeper_begin_greeting(k, &why) < 0;
    if (lost)
        k->phase = KEEPER_LOST;
    (void)!err_set(&err, GRPC_UNAVAILABLE, 0,
                   lost ? "the keeper in %s has died" : "the connection to the keeper in %s broke; try again",
                   k->dir);
    if (fail_waiting(k, &err) && lost)
        k->events.on_lost(k->data);
}

static ssize_t receive(struct keeper *k, struct answer *a, char *buf, size_t size)
{
    union {
        struct cmsghdr head;
        char room[CMSG_SPACE(KEEPER_FDS * sizeof(int))];
    } control;
    struct iovec iov = {.iov_base = buf, .iov_len = size};
    struct msghdr m = {.msg_iov = &iov,
                       .msg_iovlen = 1,
                       .msg_control = &control,
                       .msg_controllen = CMSG_LEN(KEEPER_FDS * sizeof(int))};
    ssize_t n = recvmsg(k->fd, &m, MSG_CMSG_CLOEXEC | MSG_DONTWAIT);
    struct cmsghdr *h = n > 0 ? CMSG_FIRSTHDR(&m) : NULL;

    if (h && h->cmsg_level == SOL_SOCKET && h->cmsg_type == SCM_RIGHTS)
        memcpy(a->fds, CMSG_DATA(h), h->cmsg_len - CMSG_LEN(0));
    return n;
}

/* One message a turn: its callback may free the keeper. */
static void on_message(void *data, int events)
{
    struct keeper *k = data;
    char buf[ANSWER_MAX];
    struct answer a = {.buf = buf, .fds = {-1, -1, -1}};
    struct keeper_head head;

    (void)events;
    ssize_t n = receive(k, &a, buf, sizeof(buf));
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (n <= 0) {
        connection_ended(k);
        return;
    }
    a.len = (size_t)n;
    if (keeper_msg_read(buf, a.len, &head, sizeof(head)))
        for (size_t i = 0; i < countof(messages); i++)
            if (messages[i].type == head.type) {
                messages[i].take(k, &a);
                break;
            }
    for (int i = 0; i < KEEPER_FDS; i++)
        if (a.fds[i] >= 0)
            close(a.fds[i]);
}
