#include "handlers/port_session.h"
#include "core/log.h"
#include "core/mem.h"
#include "handlers/pods.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/socket.h>

enum { CHUNK = 64 * 1024, UNREAD_LOW = PORT_UNREAD_MAX / 2 };

/* Sockets that are being made. Outlives its session, as the child that makes them does. */
struct dialing {
    struct port_session *session; /* NULL: it has ended */
};

struct port_session {
    struct stream_session base; /* first */
    struct daemon *daemon;
    char *pod_id;
    const struct port_link_kind *kind;
    void *self;
    struct dialing *dialing; /* NULL: no sockets are being made */
    struct port_pair *pairs, *last_pair;
    struct port_pair *stalled;
    size_t unread; /* of all pairs' in */
    bool paused;
    struct timer ping; /* runs while the client is not read */
};

struct daemon *port_session_daemon(struct port_session *s)
{
    return s->daemon;
}

/* ---- end of a pair ------------------------------------------------------------------------------------------------- */

static void on_ping_time(void *data)
{
    struct port_session *s = data;

    s->kind->ping(s->self);
    timer_start(&s->ping, s->daemon->loop, STREAM_PING_S, on_ping_time, s);
}

static void unread_add(struct port_session *s, size_t n)
{
    s->unread += n;
    if (!s->paused && s->unread > PORT_UNREAD_MAX) {
        s->paused = true;
        stream_conn_read(s->base.conn, false);
        timer_start(&s->ping, s->daemon->loop, STREAM_PING_S, on_ping_time, s);
    }
}

static void unread_remove(struct port_session *s, size_t n)
{
    s->unread -= n;
    if (s->paused && s->unread <= UNREAD_LOW) {
        s->paused = false;
        timer_stop(&s->ping);
        stream_conn_read(s->base.conn, true);
    }
}

static void sockets_close(struct netns_socket_pair *p)
{
    if (p->v4 >= 0)
        close(steal_fd(&p->v4));
    if (p->v6 >= 0)
        close(steal_fd(&p->v6));
}

static void in_drop(struct port_pair *p)
{
    unread_remove(p->session, p->in.len - p->in_sent);
    buf_done(&p->in);
    p->in_sent = 0;
}

static void unstall(struct port_pair *p)
{
    for (struct port_pair **at = &p->session->stalled; p->stalled && *at; at = &(*at)->next_stalled)
        if (*at == p) {
            *at = p->next_stalled;
            p->stalled = false;
            return;
        }
}

void port_pair_drop(struct port_pair *p)
{
    struct port_session *s = p->session;

    unstall(p);
    in_drop(p);
    watch_stop(p->watch);
    if (p->fd >= 0)
        close(p->fd);
    sockets_close(&p->sockets);
    if (p->prev)
        p->prev->next = p->next;
    else
        s->pairs = p->next;
    if (p->next)
        p->next->prev = p->prev;
    else
        s->last_pair = p->prev;
    free(p->why_v4);
    free(p);
}

static void pair_close(struct port_pair *p, const char *text)
{
    if (text)
        log_info("streaming: %s", text);
    p->session->kind->close(p->session->self, p, text);
    port_pair_drop(p);
}

/* In the reference's words, which end users know. */
static void pair_fail(struct port_pair *p, const char *why)
{
    cleanup_free char *text =
        mem_printf("error forwarding port %u to pod %s, uid : %s", p->port, p->session->pod_id, why);

    pair_close(p, text);
}

/* True: the pair is over and gone. */
static bool pair_check_end(struct port_pair *p)
{
    if (!p->target_ended || !p->client_ended)
        return false;
    pair_close(p, NULL);
    return true;
}

/* ---- the target ---------------------------------------------------------------------------------------------------- */

static void pair_watch(struct port_pair *p)
{
    int events = 0;

    if (!p->target_ended && !p->stalled)
        events |= WATCH_READ;
    if (p->in.len > p->in_sent)
        events |= WATCH_WRITE;
    watch_set(p->watch, events);
}

static void pair_broke(struct port_pair *p, const char *doing)
{
    cleanup_free char *why = mem_printf("%s localhost:%u in the pod: %s", doing, p->port, strerror(errno));

    pair_fail(p, why);
}

/* False: it broke, and the pair is gone. */
static bool target_write(struct port_pair *p, const uint8_t *bytes, size_t n, size_t *ret_done)
{
    *ret_done = 0;
    while (*ret_done < n) {
        ssize_t w = send(p->fd, bytes + *ret_done, n - *ret_done, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (w < 0 && errno == EINTR)
            continue;
        if (w < 0 && errno == EAGAIN)
            return true;
        if (w < 0) {
            pair_broke(p, "write to");
            return false;
        }
        *ret_done += (size_t)w;
    }
    return true;
}

static void shut_if_ended(struct port_pair *p)
{
    if (p->client_ended && !p->shut && p->state == PORT_OPEN && p->in.len == p->in_sent) {
        p->shut = true;
        shutdown(p->fd, SHUT_WR);
    }
}

/* False: the pair is gone. */
static bool write_kept(struct port_pair *p)
{
    size_t done;

    if (p->in.len == p->in_sent)
        return true;
    if (!target_write(p, (const uint8_t *)p->in.data + p->in_sent, p->in.len - p->in_sent, &done))
        return false;
    p->in_sent += done;
    unread_remove(p->session, done);
    if (p->in_sent == p->in.len) {
        in_drop(p);
        shut_if_ended(p);
    }
    return true;
}

static void read_target(struct port_pair *p)
{
    static uint8_t chunk[CHUNK]; /* one for all: what the client does not take at once, its connection copies */
    struct port_session *s = p->session;

    if (stream_conn_queued(s->base.conn) > 0) {
        p->stalled = true;
        p->next_stalled = s->stalled;
        s->stalled = p;
        pair_watch(p);
        return;
    }
    ssize_t n = recv(p->fd, chunk, sizeof(chunk), MSG_DONTWAIT);
    if (n > 0) {
        s->kind->data(s->self, p, chunk, (size_t)n);
    } else if (n == 0) {
        p->target_ended = true;
        s->kind->end(s->self, p);
        if (!pair_check_end(p))
            pair_watch(p);
    } else if (errno != EAGAIN && errno != EINTR) {
        pair_broke(p, "read from");
    }
}

static void on_target(void *data, int events)
{
    struct port_pair *p = data;

    if (events & WATCH_WRITE) {
        if (!write_kept(p))
            return;
        pair_watch(p);
    }
    if ((events & WATCH_READ) && !p->target_ended)
        read_target(p);
}

void port_session_drained(struct port_session *s)
{
    struct port_pair *p = s->stalled;

    s->stalled = NULL;
    for (struct port_pair *next; p; p = next) {
        next = p->next_stalled;
        p->stalled = false;
        pair_watch(p);
    }
}

void port_pair_take(struct port_pair *p, const uint8_t *bytes, size_t n)
{
    size_t done = 0;

    if (p->shut)
        return;
    if (p->state == PORT_OPEN && p->in.len == p->in_sent && !target_write(p, bytes, n, &done))
        return;
    if (done == n)
        return;
    buf_add(&p->in, bytes + done, n - done);
    unread_add(p->session, n - done);
    if (p->state == PORT_OPEN)
        pair_watch(p);
}

void port_pair_client_ended(struct port_pair *p)
{
    p->client_ended = true;
    shut_if_ended(p);
    pair_check_end(p);
}

/* ---- connecting ---------------------------------------------------------------------------------------------------- */

static void connect_next(struct port_pair *p);

static void connected(struct port_pair *p)
{
    int on = 1;

    watch_stop(p->watch);
    sockets_close(&p->sockets);
    setsockopt(p->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    p->state = PORT_OPEN;
    p->watch = watch_start(p->session->daemon->loop, p->fd, WATCH_READ, on_target, p);
    if (!write_kept(p))
        return;
    shut_if_ended(p);
    pair_watch(p);
}

static void not_connected(struct port_pair *p, int error)
{
    watch_stop(p->watch);
    p->watch = NULL;
    close(steal_fd(&p->fd));
    if (!p->why_v4) {
        p->why_v4 = mem_strdup(strerror(error));
        if (p->sockets.v6 >= 0) {
            connect_next(p);
            return;
        }
        error = EAFNOSUPPORT;
    }
    cleanup_free char *why =
        mem_printf("failed to connect to localhost:%u inside the pod's network namespace, IPv4: %s, "
                   "IPv6: %s",
                   p->port, p->why_v4, strerror(error));
    pair_fail(p, why);
}

static void on_connect(void *data, int events)
{
    struct port_pair *p = data;
    int error = 0;
    socklen_t size = sizeof(error);

    (void)events;
    if (getsockopt(p->fd, SOL_SOCKET, SO_ERROR, &error, &size) < 0)
        error = errno;
    if (error)
        not_connected(p, error);
    else
        connected(p);
}

/* IPv4 first, as the reference; a pod without it has IPv6 alone. */
static void connect_next(struct port_pair *p)
{
    const struct sockaddr_in v4 = {
        .sin_family = AF_INET, .sin_port = htons(p->port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    const struct sockaddr_in6 v6 = {
        .sin6_family = AF_INET6, .sin6_port = htons(p->port), .sin6_addr = IN6ADDR_LOOPBACK_INIT};
    bool first = p->sockets.v4 >= 0;

    p->state = PORT_CONNECTING;
    if (!first && !p->why_v4)
        p->why_v4 = mem_strdup(strerror(EAFNOSUPPORT));
    p->fd = steal_fd(first ? &p->sockets.v4 : &p->sockets.v6);
    int r = first ? connect(p->fd, (const struct sockaddr *)&v4, sizeof(v4))
                  : connect(p->fd, (const struct sockaddr *)&v6, sizeof(v6));
    if (r == 0)
        connected(p);
    else if (errno != EINPROGRESS)
        not_connected(p, errno);
    else
        p->watch = watch_start(p->session->daemon->loop, p->fd, WATCH_WRITE, on_connect, p);
}

static struct port_pair *next_to_dial(struct port_session *s)
{
    struct port_pair *p = s->pairs;

    while (p && p->state != PORT_DIALING)
        p = p->next;
    return p;
}

static void dial(struct port_session *s);

static void on_sockets(void *data, struct netns_socket_pair *sockets, size_t n, const struct err *err)
{
    struct dialing *d = data;
    struct port_session *s = d->session;
    struct port_pair *p;

    free(d);
    if (s)
        s->dialing = NULL;
    for (size_t i = 0; i < n; i++) {
        p = s ? next_to_dial(s) : NULL;
        if (!p) { /* its client has gone meanwhile */
            sockets_close(&sockets[i]);
            continue;
        }
        p->sockets = sockets[i];
        connect_next(p);
    }
    if (!s)
        return;
    if (err && (p = next_to_dial(s)))
        pair_fail(p, err->msg);
    dial(s);
}

static int dial_path(struct port_session *s, char **ret_path, struct err *err)
{
    const struct pod *pod = pod_find(s->daemon->pods, s->pod_id, err);

    *ret_path = NULL;
    if (!pod)
        return err_errno(err);
    if (pod->state != POD_READY)
        return err_set(err, GRPC_FAILED_PRECONDITION, 0, "the pod %s/%s is not ready", pod->namespace,
                       pod->name);
    if (!pod->host_network)
        *ret_path = pod_path(pod, "ns/net");
    return 0;
}

/* One child makes the sockets of all pairs that wait by now. */
static void dial(struct port_session *s)
{
    struct port_pair *p;
    struct err err;
    size_t n = 0;

    if (s->dialing)
        return;
    for (p = s->pairs; p && n < NETNS_SOCKETS_MAX; p = p->next)
        n += p->state == PORT_DIALING;
    if (n == 0)
        return;
    cleanup_free char *path = NULL;
    struct dialing *d = mem_new(struct dialing);
    d->session = s;
    if (dial_path(s, &path, &err) == 0 && netns_sockets(s->daemon->loop, path, n, on_sockets, d, &err) == 0) {
        s->dialing = d;
        return;
    }
    free(d);
    for (struct port_pair *next = s->pairs; (p = next);) {
        next = p->next;
        if (p->state == PORT_DIALING)
            pair_fail(p, err.msg);
    }
}

static void dial_soon(void *data)
{
    struct dialing *d = data;
    struct port_session *s = d->session;

    free(d);
    if (!s)
        return;
    s->dialing = NULL;
    dial(s);
}

struct port_pair *port_pair_new(struct port_session *s, uint16_t port, uint32_t data_id, uint32_t error_id)
{
    struct port_pair *p = mem_new(struct port_pair);

    *p = (struct port_pair){.session = s,
                            .prev = s->last_pair,
                            .port = port,
                            .data_id = data_id,
                            .error_id = error_id,
                            .sockets = {-1, -1},
                            .fd = -1};
    if (p->prev)
        p->prev->next = p;
    else
        s->pairs = p;
    s->last_pair = p;
    if (!s->dialing) { /* in the next turn, with all that come in this one, and not within the link's callback */
        s->dialing = mem_new(struct dialing);
        s->dialing->session = s;
        loop_defer(s->daemon->loop, dial_soon, s->dialing);
    }
    return p;
}

/* ---- the session --------------------------------------------------------------------------------------------------- */

static void destroy(struct port_session *s)
{
    s->paused = false; /* the connection is gone: what pairs give up makes room for nothing */
    for (struct port_pair *p = s->pairs, *next; p; p = next) {
        next = p->next;
        port_pair_drop(p);
    }
    if (s->dialing)
        s->dialing->session = NULL;
    timer_stop(&s->ping);
    stream_session_done(&s->base);
    free(s->pod_id);
    free(s);
}

void port_session_gone(struct port_session *s, const struct err *err)
{
    if (err)
        log_info("streaming: port-forward to pod %.13s: %s", s->pod_id, err->msg);
    s->kind->free(s->self);
    destroy(s);
}

void port_session_end(struct port_session *s)
{
    s->kind->finish(s->self, NULL);
    destroy(s);
}

static void on_session_end(struct stream_session *base, const struct err *why)
{
    struct port_session *s = (struct port_session *)base;

    log_info("streaming: port-forward to pod %.13s ends: %s", s->pod_id, why->msg);
    s->kind->finish(s->self, why->msg);
    destroy(s);
}

static void on_session_drop(struct stream_session *base)
{
    port_session_gone((struct port_session *)base, NULL);
}

void port_session_open(struct stream_opening *o)
{
    struct port_session *s = mem_new(struct port_session);
    bool spdy = o->protocol->transport == STREAM_SPDY || o->protocol->tunnel;

    s->base.end = on_session_end;
    s->base.drop = on_session_drop;
    s->daemon = o->daemon;
    s->pod_id = mem_strdup(o->request->id);
    s->kind = spdy ? &port_spdy : &port_websocket;
    stream_session_start(&s->base, o->daemon, o->conn);
    s->self = s->kind->make(s, o);
}
