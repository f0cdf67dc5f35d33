#include "helpers/keeper.h"
#include "core/err.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <sys/stat.h>
#include <unistd.h>

union rights {
    struct cmsghdr head;
    char room[CMSG_SPACE(KEEPER_FDS * sizeof(int))];
};

/* A daemon that does not read is dropped: it connects again and gets all that it missed in the greeting. */
static void send_message(struct keeper_builder *b, const int *fds, size_t n)
{
    union rights control = {0};
    struct iovec iov = {.iov_base = b->buf, .iov_len = keeper_finish(b)};
    struct msghdr m = {.msg_iov = &iov, .msg_iovlen = 1};

    if (keeper.client.fd < 0)
        return;
    if (n) {
        m.msg_control = &control;
        m.msg_controllen = CMSG_SPACE(n * sizeof(int));
        control.head.cmsg_level = SOL_SOCKET;
        control.head.cmsg_type = SCM_RIGHTS;
        control.head.cmsg_len = CMSG_LEN(n * sizeof(int));
        memcpy(CMSG_DATA(&control.head), fds, n * sizeof(int));
    }
    if (iov.iov_len == 0 || sendmsg(keeper.client.fd, &m, MSG_NOSIGNAL | MSG_DONTWAIT) < 0)
        source_close(&keeper.client);
}

static uint32_t descriptors(const struct container *c, int fds[static KEEPER_FDS], size_t *ret_n)
{
    const int all[KEEPER_FDS] = {c->in_fd, c->out.fd, c->err.fd};
    uint32_t mask = 0;

    *ret_n = 0;
    if (c->state == CONTAINER_CREATING && c->command)
        return 0;
    for (int i = 0; i < KEEPER_FDS; i++)
        if (all[i] >= 0) {
            mask |= 1U << i;
            fds[(*ret_n)++] = all[i];
        }
    return mask;
}

void send_reply(uint32_t seq, int grpc, const char *message)
{
    struct keeper_reply_msg m = {.head = {.type = KEEPER_REPLY, .seq = seq}, .grpc = grpc};
    struct keeper_builder b;

    if (seq == 0)
        return; /* its daemon is gone */
    keeper_build(&b, answer, sizeof(answer), &m, sizeof(m));
    keeper_put_string(&b, message);
    send_message(&b, NULL, 0);
}

static void send_container(const struct container *c)
{
    struct keeper_container_msg m = {.head = {.type = KEEPER_CONTAINER}, .pid = c->pid};
    struct keeper_builder b;
    int fds[KEEPER_FDS];
    size_t n;

    m.fds = descriptors(c, fds, &n);
    m.flags = c->command ? KEEPER_CREATING : c->pid ? 0 : KEEPER_ENDED;
    keeper_build(&b, answer, sizeof(answer), &m, sizeof(m));
    keeper_put_string(&b, c->id);
    keeper_put_string(&b, c->log_path);
    send_message(&b, fds, n);
}

void send_created(struct container *c)
{
    struct keeper_reply_msg m = {.head = {.type = KEEPER_REPLY, .seq = c->seq}, .pid = c->pid};
    struct keeper_builder b;
    int fds[KEEPER_FDS];
    size_t n;

    if (c->seq == 0) { /* another daemon asked for it: this one knows it from the greeting as being made */
        send_container(c);
        return;
    }
    m.fds = descriptors(c, fds, &n);
    keeper_build(&b, answer, sizeof(answer), &m, sizeof(m));
    keeper_put_string(&b, "");
    send_message(&b, fds, n);
}

void send_exit(const struct container *c)
{
    struct keeper_exit_msg m = {.head = {.type = KEEPER_EXIT},
                                .code = c->code,
                                .signal = c->signal,
                                .flags = c->exit_flags,
                                .finished_ns = c->finished_ns};
    struct keeper_builder b;

    keeper_build(&b, answer, sizeof(answer), &m, sizeof(m));
    keeper_put_string(&b, c->id);
    send_message(&b, NULL, 0);
}

void send_flags(void)
{
    struct keeper_greeting_msg m = {.head = {.type = KEEPER_GREETING}, .pid = getpid(), .flags = keeper.flags};
    struct keeper_builder b;

    keeper_build(&b, answer, sizeof(answer), &m, sizeof(m));
    send_message(&b, NULL, 0);
}

void client_greet(void)
{
    struct keeper_greeting_msg m = {.head = {.type = KEEPER_GREETING}, .pid = getpid(), .flags = keeper.flags};
    struct keeper_builder b;

    for (struct container *c = keeper.containers; c; c = c->next) {
        c->seq = 0;
        m.containers++;
    }
    keeper_build(&b, answer, sizeof(answer), &m, sizeof(m));
    send_message(&b, NULL, 0);
    for (struct container *c = keeper.containers; c; c = c->next)
        send_container(c);
    for (struct container *c = keeper.containers; c; c = c->next)
        if (c->state == CONTAINER_ENDED)
            send_exit(c);
}

struct request {
    struct keeper_head head;
    size_t len;
    int fds[KEEPER_FDS]; /* -1: none, or taken */
};

static struct container *named(const struct request *r, struct keeper_strings *s)
{
    const char *id = keeper_next_string(s);
    struct container *c = container_find(id);

    if (!c)
        send_reply(r->head.seq, GRPC_NOT_FOUND, "the keeper has no such container");
    return c;
}

static void on_create(struct request *r, struct keeper_strings *s)
{
    struct keeper_create_msg m;

    if (keeper_msg_read(scratch, r->len, &m, sizeof(m)))
        create_start(&m, s);
}

static void on_reopen_log(struct request *r, struct keeper_strings *s)
{
    struct container *c = named(r, s);
    bool is_new;

    if (!c)
        return;
    if (c->log_path[0] == '\0') {
        send_reply(r->head.seq, GRPC_FAILED_PRECONDITION, "the container has no log");
        return;
    }
    /* opened before the old one is closed: where that fails, the old one is better than none */
    int fd = log_open(c->log_path, &is_new);
    if (fd < 0) {
        send_reply(r->head.seq, GRPC_INTERNAL, strerror(errno));
        return;
    }
    log_write_loss(c);
    if (c->log_fd >= 0)
        close(c->log_fd);
    c->log_fd = fd;
    send_reply(r->head.seq, GRPC_OK, "");
}

static void on_forget(struct request *r, struct keeper_strings *s)
{
    struct container *c = container_find(keeper_next_string(s));

    (void)r;
    if (!c)
        return;
    c->forget = true;
    if (c->state == CONTAINER_ENDED)
        record_forget(c);
    else if (c->state == CONTAINER_CREATING)
        kill(-c->command, SIGKILL);
}

static void on_quit(struct request *r, struct keeper_strings *s)
{
    (void)s;
    for (struct container *c = keeper.containers; c; c = c->next)
        if (c->state != CONTAINER_ENDED) {
            send_reply(r->head.seq, GRPC_FAILED_PRECONDITION, "a container runs; stop it first");
            return;
        }
    /* it must not make the pod's cgroup again after this answer. There is nothing else to do for us meanwhile */
    if (keeper.mover)
        waitpid(keeper.mover, NULL, 0);
    send_reply(r->head.seq, GRPC_OK, "");
    keeper.quit = true;
}

static bool is_pipe(int fd)
{
    struct stat st;

    return fstat(fd, &st) == 0 && S_ISFIFO(st.st_mode);
}

/* Points at the pipes for stdout and stderr among what came along, NULL where not wanted. */
static bool find_sinks(struct request *r, uint32_t mask, int *ret_fds[static 2])
{
    static const uint32_t bits[] = {KEEPER_FD_STDOUT, KEEPER_FD_STDERR};
    size_t next = 0;

    for (size_t i = 0; i < countof(bits); i++)
        if (mask & bits[i]) {
            ret_fds[i] = &r->fds[next++];
            if (!is_pipe(*ret_fds[i]))
                return false;
        }
    return mask && (mask & ~(bits[0] | bits[1])) == 0;
}

static void on_attach(struct request *r, struct keeper_strings *s)
{
    struct container *c = named(r, s);
    struct keeper_attach_msg m;
    int *fds[2] = {NULL, NULL};

    if (!c)
        return;
    if (!keeper_msg_read(scratch, r->len, &m, sizeof(m)) || !find_sinks(r, m.fds, fds))
        send_reply(r->head.seq, GRPC_INVALID_ARGUMENT, "ATTACH wants pipes for stdout, stderr or both");
    else if (c->state == CONTAINER_CREATING)
        send_reply(r->head.seq, GRPC_FAILED_PRECONDITION, "it is being created; attach when it runs");
    else if (!attach(c, fds))
        send_reply(r->head.seq, GRPC_RESOURCE_EXHAUSTED,
                   "32 clients are attached, or there is no memory; detach some");
    else
        send_reply(r->head.seq, GRPC_OK, "");
}

static void on_close_stdin(struct request *r, struct keeper_strings *s)
{
    struct container *c = named(r, s);

    if (!c)
        return;
    if (c->tty) {
        send_reply(r->head.seq, GRPC_FAILED_PRECONDITION,
                   "a terminal's input cannot be closed alone; send it its end-of-file character");
        return;
    }
    if (c->in_fd >= 0)
        close(steal_fd(&c->in_fd));
    send_reply(r->head.seq, GRPC_OK, "");
}

static void on_adopt(struct request *r, struct keeper_strings *s)
{
    const char *id = keeper_next_string(s), *log_path = keeper_next_string(s);
    struct keeper_adopt_msg m;
    int taken[KEEPER_FDS] = {-1, -1, -1};

    if (!keeper_msg_read(scratch, r->len, &m, sizeof(m)) || m.pid <= 1 || id[0] == '\0' || id[0] == '.' ||
        strlen(id) > ID_MAX || strchr(id, '/') || strlen(log_path) >= LOG_PATH_MAX) {
        send_reply(r->head.seq, GRPC_INVALID_ARGUMENT, "malformed ADOPT");
        return;
    }
    struct container *c = container_find(id) ? NULL : container_new(id);
    if (!c) {
        send_reply(r->head.seq, GRPC_ALREADY_EXISTS, "the keeper has this container already");
        return;
    }
    for (int i = 0, next = 0; i < KEEPER_FDS; i++)
        if (m.fds & (1U << i)) {
            taken[i] = r->fds[next];
            r->fds[next++] = -1;
        }
    c->in_fd = taken[0];
    c->out.fd = taken[1];
    c->err.fd = taken[2];
    c->tty = isatty(c->out.fd);
    c->pid = m.pid;
    text_copy(c->log_path, sizeof(c->log_path), log_path);
    if (log_path[0])
        c->log_fd = log_open(log_path, &c->log_is_new);
    /* without its log it is adopted all the same: the daemon warns, and a later REOPEN_LOG may succeed */
    send_reply(r->head.seq, GRPC_OK, log_path[0] && c->log_fd < 0 ? strerror(errno) : "");
    container_watch(c);
}

static void on_exited(struct request *r, struct keeper_strings *s)
{
    struct container *c = named(r, s);
    struct keeper_exited_msg m;

    if (!c || !keeper_msg_read(scratch, r->len, &m, sizeof(m)))
        return;
    send_reply(r->head.seq, GRPC_OK, "");
    if (c->state == CONTAINER_RUNNING)
        container_exited(c, m.status, true, m.finished_ns);
}

static const struct {
    uint16_t type;
    void (*run)(struct request *r, struct keeper_strings *s);
} requests[] = {
    {KEEPER_CREATE, on_create}, {KEEPER_REOPEN_LOG, on_reopen_log},
    {KEEPER_FORGET, on_forget}, {KEEPER_QUIT, on_quit},
    {KEEPER_ADOPT, on_adopt},   {KEEPER_EXITED, on_exited},
    {KEEPER_ATTACH, on_attach}, {KEEPER_CLOSE_STDIN, on_close_stdin},
};

static void answer_request(struct request *r, bool truncated)
{
    if (truncated || !keeper_msg_read(scratch, r->len, &r->head, sizeof(r->head))) {
        send_reply(r->head.seq ? r->head.seq : UINT32_MAX, GRPC_INVALID_ARGUMENT, "malformed message");
        return;
    }
    struct keeper_strings s = keeper_msg_strings(scratch);
    for (size_t i = 0; i < countof(requests); i++)
        if (requests[i].type == r->head.type) {
            requests[i].run(r, &s);
            return;
        }
    send_reply(r->head.seq, GRPC_UNIMPLEMENTED, "this keeper is older than this request");
}

static void take_rights(struct msghdr *m, int fds[static KEEPER_FDS])
{
    struct cmsghdr *h = CMSG_FIRSTHDR(m);

    if (h && h->cmsg_level == SOL_SOCKET && h->cmsg_type == SCM_RIGHTS && h->cmsg_len > CMSG_LEN(0)) {
        size_t n = (h->cmsg_len - CMSG_LEN(0)) / sizeof(int);
        memcpy(fds, CMSG_DATA(h), (n < KEEPER_FDS ? n : KEEPER_FDS) * sizeof(int));
    }
}

void client_on_ready(struct source *s, uint32_t events)
{
    union rights control;
    struct request r = {.fds = {-1, -1, -1}};
    struct iovec iov = {.iov_base = scratch, .iov_len = sizeof(scratch)};
    struct msghdr m = {
        .msg_iov = &iov, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = CMSG_LEN(sizeof(r.fds))};

    (void)events;
    ssize_t n = recvmsg(s->fd, &m, MSG_CMSG_CLOEXEC | MSG_DONTWAIT);
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (n <= 0) {
        source_close(s);
        return;
    }
    take_rights(&m, r.fds);
    r.len = (size_t)n;
    answer_request(&r, (m.msg_flags & MSG_TRUNC) != 0);
    for (int i = 0; i < KEEPER_FDS; i++)
        if (r.fds[i] >= 0)
            close(r.fds[i]);
}
