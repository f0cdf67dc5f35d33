#include "loop/keeper.h"
#include "core/keeper_wire.h"
#include "core/log.h"
#include "core/mem.h"
#include "loop/child.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>

enum { READY_SECONDS = 10, ANSWER_MAX = 16384 };

/*
 *  start ---> STARTING --"ready"--> GREETING --all containers--> (restart: ADOPTING ---all answered--> ) CONNECTED
 *  connect --------------------------^ ^                                                               |   |
 *                                      +------------------ connection ended, but it still listens -----+   |
 *  restart <--- LOST <------------------------------------------------ connection ended, nobody listens ---+
 */
enum keeper_phase { KEEPER_STARTING, KEEPER_GREETS, KEEPER_ADOPTING, KEEPER_CONNECTED, KEEPER_LOST };

/* Our picture of a container. The descriptors keep its pipes alive when the keeper dies. */
struct box {
    struct keeper_container_state state;
    char *log_path;
    int fds[KEEPER_FDS];
    bool seen;   /* in the greeting that is being read */
    bool reaped; /* by the daemon, after the keeper had died */
    int status;
    int64_t finished_ns;
};

struct waiting {
    struct waiting *next;
    uint32_t seq;
    char *id, *log_path, *name; /* of a CREATE: container, its log, the command */
    keeper_created_fn *on_created;
    keeper_done_fn *on_done;
    void (*on_adopted)(struct keeper *k);
    void *data;
};

/* The keeper as our child. Outlives struct keeper, as the process does. */
struct process {
    struct keeper *keeper; /* NULL: nobody waits for it any more */
    struct child *child;
};

struct keeper {
    struct loop *loop;
    char *dir;
    struct keeper_events events;
    void *data;
    enum keeper_phase phase;
    bool restarting;
    uint32_t quit_seq;         /* of the QUIT that waits; 0: none */
    keeper_ready_fn *on_ready; /* NULL once called */
    void *ready_data;
    struct timer ready_timer;
    struct process *process; /* while STARTING */
    int ready_fd;
    struct watch *ready_watch;
    int fd;
    struct watch *watch;
    int pid;
    uint32_t seq, to_come; /* CONTAINERs still to come in the greeting */
    struct box **boxes;
    size_t boxes_n, boxes_cap;
    struct waiting *waiting;
    bool busy, dead; /* freed by one of several callbacks in a row: the memory goes when they are through */
};

/* ---- boxes ---------------------------------------------------------------------------------------------------------- */

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

static struct box *box_find(const struct keeper *k, const char *id)
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

static void box_drop(struct keeper *k, size_t i)
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

const struct keeper_container_state *keeper_container(const struct keeper *k, size_t i)
{
    return i < k->boxes_n ? &k->boxes[i]->state : NULL;
}

int keeper_pid(const struct keeper *k)
{
    return k->pid;
}

/* ---- ends ----------------------------------------------------------------------------------------------------------- */

static void waiting_free(struct waiting *w)
{
    free(w->id);
    free(w->log_path);
    free(w->name);
    free(w);
}

static void stop_starting(struct keeper *k)
{
    timer_stop(&k->ready_timer);
    watch_stop(k->ready_watch);
    k->ready_watch = NULL;
    if (k->ready_fd >= 0)
        close(steal_fd(&k->ready_fd));
    if (k->process)
        k->process->keeper = NULL;
    k->process = NULL;
}

static void hang_up(struct keeper *k)
{
    watch_stop(k->watch);
    k->watch = NULL;
    if (k->fd >= 0)
        close(steal_fd(&k->fd));
}

void keeper_disconnect(struct keeper *k)
{
    if (!k)
        return;
    stop_starting(k);
    hang_up(k);
    for (struct waiting *w; (w = k->waiting);) {
        k->waiting = w->next;
        waiting_free(w);
    }
    while (k->boxes_n)
        box_drop(k, k->boxes_n - 1);
    k->dead = true;
    if (k->busy)
        return;
    free(k->boxes);
    free(k->dir);
    free(k);
}

/* The start, connect or restart failed. A keeper that was to be restarted stays lost, with its descriptors. */
static void ready_failed(struct keeper *k, const struct err *err)
{
    keeper_ready_fn *on_ready = k->on_ready;
    void *data = k->ready_data;

    k->on_ready = NULL;
    if (k->restarting) {
        stop_starting(k);
        hang_up(k);
        k->phase = KEEPER_LOST;
    } else {
        keeper_disconnect(k);
    }
    on_ready(data, NULL, err);
}

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

/* ---- messages ------------------------------------------------------------------------------------------------------- */

static int send_message(struct keeper *k, struct keeper_builder *b, const int *fds, size_t n, struct err *err)
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

static struct waiting *wait_for(struct keeper *k, void *data)
{
    struct waiting *w = mem_new(struct waiting);

    w->seq = k->seq;
    w->data = data;
    w->next = k->waiting;
    k->waiting = w;
    return w;
}

static uint32_t next_seq(struct keeper *k)
{
    if (++k->seq == 0 || k->seq == UINT32_MAX) /* both have a meaning */
        k->seq = 1;
    return k->seq;
}

static int send_named(struct keeper *k, enum keeper_type type, const char *id, struct err *err)
{
    char buf[256];
    struct keeper_head m = {.type = type, .seq = next_seq(k)};
    struct keeper_builder b;

    keeper_build(&b, buf, sizeof(buf), &m, sizeof(m));
    keeper_put_string(&b, id);
    return send_message(k, &b, NULL, 0, err);
}

static void ready(struct keeper *k)
{
    keeper_ready_fn *on_ready = k->on_ready;

    stop_starting(k);
    k->phase = KEEPER_CONNECTED;
    k->restarting = false;
    k->on_ready = NULL;
    if (on_ready)
        on_ready(k->ready_data, k, NULL);
}

static void send_exited(struct keeper *k, const struct box *b)
{
    char buf[256];
    struct keeper_exited_msg m = {.head = {.type = KEEPER_EXITED, .seq = next_seq(k)},
                                  .status = b->status,
                                  .finished_ns = b->finished_ns};
    struct keeper_builder w;
    struct err err;

    keeper_build(&w, buf, sizeof(buf), &m, sizeof(m));
    keeper_put_string(&w, b->state.id);
    if (send_message(k, &w, NULL, 0, &err) < 0)
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
    struct keeper_adopt_msg m = {.head = {.type = KEEPER_ADOPT, .seq = next_seq(k)}, .pid = b->state.pid};
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
    if (send_message(k, &w, fds, n, &err) < 0)
        log_error("container %s cannot be given to its new keeper: %s", b->state.id, err.msg);
    else
        wait_for(k, NULL)->on_adopted = adopted;
    if (b->reaped)
        send_exited(k, b);
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

    if (!keeper_msg_read(a->buf, a->len, &m, sizeof(m)) || k->phase != KEEPER_GREETS)
        return;
    k->pid = m.pid;
    k->to_come = m.containers;
    if (m.flags & KEEPER_NO_CGROUP)
        log_warn("the keeper in %s could not move to its pod's cgroup: its memory counts as the daemon's",
                 k->dir);
    if ((m.flags & KEEPER_NO_OOM_ADJ) && !said_oom_adj) {
        said_oom_adj = true;
        log_warn("keepers keep the daemon's oom_score_adj: lowering it needs CAP_SYS_RESOURCE");
    }
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

/* ---- the connection ------------------------------------------------------------------------------------------------- */

static int connect_to(const char *dir, int *ret_fd, struct err *err)
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

static int begin_greeting(struct keeper *k, struct err *err)
{
    int r = connect_to(k->dir, &k->fd, err);

    if (r < 0)
        return r;
    k->phase = KEEPER_GREETS;
    k->watch = watch_start(k->loop, k->fd, WATCH_READ, on_message, k);
    return 0;
}

static void connection_ended(struct keeper *k)
{
    struct err err, why;

    hang_up(k);
    if (k->quit_seq) {
        quit_done(k);
        return;
    }
    if (k->on_ready) {
        (void)!err_set(&err, GRPC_UNAVAILABLE, 0, "the keeper in %s ended while it greeted us", k->dir);
        ready_failed(k, &err);
        return;
    }
    /* it may only have dropped us because we did not read: then the greeting tells what we missed */
    bool lost = begin_greeting(k, &why) < 0;
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

/* ---- start ---------------------------------------------------------------------------------------------------------- */

static void on_ready_late(void *data)
{
    struct keeper *k = data;
    struct err err;

    if (k->process)
        child_cancel(k->process->child);
    (void)!err_set(&err, GRPC_DEADLINE_EXCEEDED, 0, "the keeper in %s is not ready after %d s", k->dir,
                   READY_SECONDS);
    ready_failed(k, &err);
}

static void on_process_end(void *data, struct child_result *result)
{
    struct process *p = data;
    struct keeper *k = p->keeper;
    struct err err;

    free(p);
    if (!k)
        return;
    k->process = NULL;
    if (child_check(result, "cricket-keeper", &err) == 0)
        (void)!err_set(&err, GRPC_INTERNAL, 0,
                       "cricket-keeper ended before it was ready; is it of this version?");
    ready_failed(k, &err);
}

static void on_ready_text(void *data, int events)
{
    struct keeper *k = data;
    struct err err;
    char text[16];

    (void)events;
    ssize_t n = read(k->ready_fd, text, sizeof(text));
    watch_stop(k->ready_watch);
    k->ready_watch = NULL;
    if (n <= 0)
        return;                /* its end tells why */
    k->process->keeper = NULL; /* from now on the connection tells whether it lives */
    k->process = NULL;
    if (begin_greeting(k, &err) < 0)
        ready_failed(k, &err);
}

static int start_process(struct keeper *k, const struct keeper_spec *spec, struct err *err)
{
    const char *argv[] = {spec->binary,
                          "--dir",
                          spec->dir,
                          "--pod",
                          spec->pod_id ? spec->pod_id : "-",
                          spec->cgroup ? "--cgroup" : NULL,
                          spec->cgroup,
                          NULL};
    cleanup_close int theirs = -1;
    int fds[2];

    if (pipe2(fds, O_CLOEXEC | O_NONBLOCK) < 0)
        return err_sys(err, errno, "cannot make a pipe for the keeper in %s", spec->dir);
    k->ready_fd = fds[0];
    theirs = fds[1];
    struct process *p = mem_new(struct process);
    struct child_spec child = {.argv = argv, .stdout_fd = theirs, .new_session = true, .err_max = 4096};
    if (child_start(k->loop, &child, on_process_end, p, &p->child, err) < 0) {
        free(p);
        close(steal_fd(&k->ready_fd));
        return err_errno(err);
    }
    p->keeper = k;
    k->process = p;
    k->phase = KEEPER_STARTING;
    k->ready_watch = watch_start(k->loop, k->ready_fd, WATCH_READ, on_ready_text, k);
    timer_start(&k->ready_timer, k->loop, READY_SECONDS, on_ready_late, k);
    return 0;
}

static struct keeper *keeper_new(struct loop *l, const char *dir, const struct keeper_events *events,
                                 void *data, keeper_ready_fn *on_ready, void *ready_data)
{
    struct keeper *k = mem_new(struct keeper);

    k->loop = l;
    k->dir = mem_strdup(dir);
    k->events = *events;
    k->data = data;
    k->on_ready = on_ready;
    k->ready_data = ready_data;
    k->fd = k->ready_fd = -1;
    return k;
}

int keeper_start(struct loop *l, const struct keeper_spec *spec, const struct keeper_events *events, void *data,
                 keeper_ready_fn *on_ready, void *ready_data, struct err *err)
{
    struct keeper *k = keeper_new(l, spec->dir, events, data, on_ready, ready_data);
    int r = start_process(k, spec, err);

    if (r < 0)
        keeper_disconnect(k);
    return r;
}

int keeper_restart(struct keeper *k, const struct keeper_spec *spec, keeper_ready_fn *on_ready,
                   void *ready_data, struct err *err)
{
    if (k->phase != KEEPER_LOST)
        return err_set(err, GRPC_FAILED_PRECONDITION, 0, "the keeper in %s has not died", k->dir);
    int r = start_process(k, spec, err);
    if (r < 0)
        return r;
    k->restarting = true;
    k->on_ready = on_ready;
    k->ready_data = ready_data;
    return 0;
}

static void connect_now(void *data)
{
    struct keeper *k = data;
    struct err err;

    if (begin_greeting(k, &err) < 0)
        ready_failed(k, &err);
    else
        timer_start(&k->ready_timer, k->loop, READY_SECONDS, on_ready_late, k);
}

int keeper_connect(struct loop *l, const char *dir, const struct keeper_events *events, void *data,
                   keeper_ready_fn *on_ready, void *ready_data, struct err *err)
{
    (void)err;
    loop_defer(l, connect_now, keeper_new(l, dir, events, data, on_ready, ready_data));
    return 0;
}

bool keeper_orphan(struct keeper *k, int pid, int status)
{
    for (size_t i = 0; i < k->boxes_n; i++) {
        struct box *b = k->boxes[i];
        if (b->state.pid != pid || b->state.ended || b->reaped)
            continue;
        b->reaped = true;
        b->status = status;
        b->finished_ns = time_now_ns();
        if (k->phase == KEEPER_CONNECTED || k->phase == KEEPER_ADOPTING)
            send_exited(k, b);
        return true;
    }
    return false;
}

/* ---- requests ------------------------------------------------------------------------------------------------------- */

int keeper_create(struct keeper *k, const struct keeper_create *c, keeper_created_fn *on_done, void *data,
                  struct err *err)
{
    cleanup_free char *buf = mem_alloc(KEEPER_MSG_MAX);
    struct keeper_create_msg m = {.head = {.type = KEEPER_CREATE, .seq = next_seq(k)},
                                  .flags = (c->stdin_open ? KEEPER_STDIN_OPEN : 0U) |
                                           (c->stdin_once ? KEEPER_STDIN_ONCE : 0U),
                                  .timeout_ms = c->timeout_ms > 0 ? (uint32_t)c->timeout_ms : 0};
    const char *const fixed[] = {c->container_id, c->pid_file, c->console_socket, c->log_path};
    struct keeper_builder b;

    while (c->argv[m.argc])
        m.argc++;
    keeper_build(&b, buf, KEEPER_MSG_MAX, &m, sizeof(m));
    for (size_t i = 0; i < countof(fixed); i++)
        keeper_put_string(&b, fixed[i]);
    for (uint32_t i = 0; i < m.argc; i++)
        keeper_put_string(&b, c->argv[i]);
    int r = send_message(k, &b, NULL, 0, err);
    if (r < 0)
        return err_wrap(err, "container %s", c->container_id);
    struct waiting *w = wait_for(k, data);
    const char *slash = strrchr(c->argv[0], '/');
    w->id = mem_strdup(c->container_id);
    w->log_path = mem_strdup(c->log_path);
    w->name = mem_strdup(slash ? slash + 1 : c->argv[0]);
    w->on_created = on_done;
    return 0;
}

int keeper_reopen_log(struct keeper *k, const char *container_id, keeper_done_fn *on_done, void *data,
                      struct err *err)
{
    int r = send_named(k, KEEPER_REOPEN_LOG, container_id, err);

    if (r < 0)
        return err_wrap(err, "container %s", container_id);
    struct waiting *w = wait_for(k, data);
    w->on_done = on_done;
    w->name = mem_printf("log of container %s", container_id);
    return 0;
}

void keeper_forget(struct keeper *k, const char *container_id)
{
    struct err err;

    for (size_t i = 0; i < k->boxes_n; i++)
        if (strcmp(k->boxes[i]->state.id, container_id) == 0) {
            if (k->phase == KEEPER_CONNECTED && send_named(k, KEEPER_FORGET, container_id, &err) < 0)
                log_warn("container %s: %s", container_id, err.msg);
            box_drop(k, i);
            return;
        }
}

int keeper_quit(struct keeper *k, keeper_done_fn *on_done, void *data, struct err *err)
{
    int r = send_named(k, KEEPER_QUIT, "", err);

    if (r < 0)
        return r;
    wait_for(k, data)->on_done = on_done;
    k->quit_seq = k->seq;
    return 0;
}
