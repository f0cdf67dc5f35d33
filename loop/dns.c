#include "loop/dns.h"
#include "core/mem.h"

#include <ares.h>
#include <arpa/inet.h>
#include <netdb.h>
#include <string.h>
#include <strings.h>

/*
 * A name is a lookup, shared by the queries that wait for it:
 *
 *   dns_resolve                      answer               a minute later
 *   ----------> asking (c-ares) ---------------> cached ----------------> freed
 *                    | error, or nobody waits any more
 *                    '---------------------------------------------------> freed
 */
struct dns_query {
    struct dns_query *next;
    struct dns *dns;
    struct lookup *lookup; /* NULL: the answer is known and comes in the next turn */
    struct timer timer;    /* the time-out, or that next turn */
    double timeout_s;
    struct dns_addrs addrs;
    dns_done_fn *on_done;
    void *data;
};

struct lookup {
    struct lookup *next;
    struct dns *dns;
    char *host;
    bool asking;
    int64_t good_until_us;
    struct dns_addrs addrs;
};

struct dns {
    struct loop *loop;
    char *servers;
    ares_channel channel; /* NULL while idle */
    struct socket_watch {
        ares_socket_t fd;
        struct watch *watch;
        struct dns *dns;
        struct socket_watch *next;
    } * sockets;
    struct timer timer;   /* c-ares's own retransmissions */
    struct timer closing; /* the channel cannot be destroyed inside its callbacks */
    struct lookup *lookups;
    size_t lookups_n, asking_n;
    struct dns_query *queries;
};

static void set_timer(struct dns *d);

static void on_socket(void *data, int events)
{
    struct socket_watch *s = data;
    struct dns *d = s->dns;

    ares_process_fd(d->channel, (events & WATCH_READ) ? s->fd : ARES_SOCKET_BAD,
                    (events & WATCH_WRITE) ? s->fd : ARES_SOCKET_BAD); /* may free s */
    set_timer(d);
}

static void on_socket_state(void *data, ares_socket_t fd, int readable, int writable)
{
    struct dns *d = data;
    struct socket_watch **p = &d->sockets, *s;
    int want = (readable ? WATCH_READ : 0) | (writable ? WATCH_WRITE : 0);

    while (*p && (*p)->fd != fd)
        p = &(*p)->next;
    s = *p;
    if (want == 0) {
        if (!s)
            return;
        *p = s->next;
        watch_stop(s->watch);
        free(s);
    } else if (s) {
        watch_set(s->watch, want);
    } else {
        s = *p = mem_new(struct socket_watch);
        *s = (struct socket_watch){.fd = fd, .dns = d};
        s->watch = watch_start(d->loop, fd, want, on_socket, s);
    }
}

static void on_timer(void *data)
{
    struct dns *d = data;

    ares_process_fd(d->channel, ARES_SOCKET_BAD, ARES_SOCKET_BAD);
    set_timer(d);
}

static void set_timer(struct dns *d)
{
    struct timeval most = {.tv_sec = 5}, room;

    if (!d->channel || d->asking_n == 0) {
        timer_stop(&d->timer);
        return;
    }
    const struct timeval *t = ares_timeout(d->channel, &most, &room);
    timer_start(&d->timer, d->loop, (double)t->tv_sec + (double)t->tv_usec / 1e6, on_timer, d);
}

static void channel_close(void *data)
{
    struct dns *d = data;

    timer_stop(&d->timer);
    if (d->channel && d->asking_n == 0) {
        ares_destroy(d->channel); /* closes its sockets through on_socket_state */
        d->channel = NULL;
    }
}

static int channel_open(struct dns *d, struct err *err)
{
    char order[] = "fb"; /* /etc/hosts, then DNS; nsswitch.conf's modules are not for us */
    struct ares_options o = {.timeout = 2000,
                             .tries = 3,
                             .lookups = order,
                             .sock_state_cb = on_socket_state,
                             .sock_state_cb_data = d};

    if (d->channel)
        return 0;
    int r = ares_init_options(&d->channel, &o,
                              ARES_OPT_TIMEOUTMS | ARES_OPT_TRIES | ARES_OPT_LOOKUPS | ARES_OPT_SOCK_STATE_CB);
    if (r == ARES_SUCCESS && d->servers)
        r = ares_set_servers_ports_csv(d->channel, d->servers);
    if (r == ARES_SUCCESS)
        return 0;
    if (d->channel)
        ares_destroy(d->channel);
    d->channel = NULL;
    return err_set(err, GRPC_INTERNAL, 0, "cannot start the resolver: %s; look at /etc/resolv.conf",
                   ares_strerror(r));
}

struct dns *dns_new(struct loop *l, const char *servers)
{
    struct dns *d = mem_new(struct dns);

    d->loop = l;
    d->servers = mem_strdup(servers);
    return d;
}

static void lookup_free(struct dns *d, struct lookup *k)
{
    struct lookup **p = &d->lookups;

    while (*p != k)
        p = &(*p)->next;
    *p = k->next;
    d->lookups_n--;
    free(k->host);
    free(k);
}

static void query_free(struct dns_query *q)
{
    for (struct dns_query **p = &q->dns->queries; *p; p = &(*p)->next)
        if (*p == q) {
            *p = q->next;
            break;
        }
    timer_stop(&q->timer);
    free(q);
}

void dns_free(struct dns *d)
{
    if (!d)
        return;
    while (d->queries)
        query_free(d->queries);
    if (d->channel)
        ares_destroy(d->channel); /* ends what is asked: on_addrinfo() with ARES_EDESTRUCTION */
    timer_stop(&d->timer);
    timer_stop(&d->closing);
    while (d->lookups)
        lookup_free(d, d->lookups);
    free(d->servers);
    free(d);
}

static void answer(struct dns_query *q, const struct dns_addrs *addrs, const struct err *err)
{
    dns_done_fn *fn = q->on_done;
    void *data = q->data;

    query_free(q);
    fn(data, addrs, err);
}

static void on_known(void *data)
{
    struct dns_query *q = data;
    struct dns_addrs addrs = q->addrs;

    answer(q, &addrs, NULL);
}

static void on_query_timeout(void *data)
{
    struct dns_query *q = data;
    struct err err;

    err_set(&err, GRPC_UNAVAILABLE, 0, "cannot resolve %s: no name server answered within %.0f s",
            q->lookup->host, q->timeout_s);
    answer(q, NULL, &err);
}

static void keep_addrs(struct dns_addrs *to, const struct ares_addrinfo *from)
{
    for (const struct ares_addrinfo_node *n = from->nodes; n && to->n < DNS_ADDRS_MAX; n = n->ai_next) {
        const void *a = NULL;
        if (n->ai_family == AF_INET)
            a = &((const struct sockaddr_in *)(const void *)n->ai_addr)->sin_addr;
        else if (n->ai_family == AF_INET6)
            a = &((const struct sockaddr_in6 *)(const void *)n->ai_addr)->sin6_addr;
        if (a && inet_ntop(n->ai_family, a, to->text[to->n], INET6_ADDRSTRLEN))
            to->n++;
    }
}

static void explain(const char *host, int status, struct err *err)
{
    if (status == ARES_ENOTFOUND || status == ARES_ENODATA || status == ARES_SUCCESS)
        err_set(err, GRPC_NOT_FOUND, 0,
                "cannot resolve %s: no such name; check it, and the servers in /etc/resolv.conf", host);
    else
        err_set(err, GRPC_UNAVAILABLE, 0, "cannot resolve %s: %s; check the servers in /etc/resolv.conf", host,
                ares_strerror(status));
}

/* An answer to one query may cancel another: the list is walked anew after each. */
static void answer_waiting(struct lookup *k, const struct dns_addrs *addrs, const struct err *err)
{
    struct dns *d = k->dns;
    struct dns_query *q;

    do {
        for (q = d->queries; q && q->lookup != k; q = q->next)
            ;
        if (q)
            answer(q, addrs, err);
    } while (q);
}

static void on_addrinfo(void *data, int status, int timeouts, struct ares_addrinfo *info)
{
    struct lookup *k = data;
    struct dns *d = k->dns;
    struct err err = {0};

    (void)timeouts;
    k->asking = false;
    if (--d->asking_n == 0 && status != ARES_EDESTRUCTION)
        timer_start(&d->closing, d->loop, 0, channel_close, d);
    if (info) {
        keep_addrs(&k->addrs, info);
        ares_freeaddrinfo(info);
    }
    if (status == ARES_EDESTRUCTION)
        return;
    k->good_until_us = time_monotonic_us() + DNS_CACHE_SECONDS * INT64_C(1000000);
    if (k->addrs.n == 0)
        explain(k->host, status, &err);
    /* c-ares may answer inside ares_getaddrinfo(), from /etc/hosts: the queries hear of it in the next turn */
    for (struct dns_query *q = d->queries; q; q = q->next)
        if (q->lookup == k && k->addrs.n) {
            q->lookup = NULL;
            q->addrs = k->addrs;
            timer_start(&q->timer, d->loop, 0, on_known, q);
        }
    if (k->addrs.n == 0) {
        answer_waiting(k, NULL, &err);
        lookup_free(d, k);
    }
}

static bool is_waited_for(const struct lookup *k)
{
    const struct dns_query *q = k->dns->queries;

    while (q && q->lookup != k)
        q = q->next;
    return q != NULL;
}

static void expire(struct dns *d)
{
    int64_t now = time_monotonic_us();

    for (struct lookup *k = d->lookups, *next; k; k = next) {
        next = k->next;
        if (!k->asking && !is_waited_for(k) && (k->good_until_us <= now || d->lookups_n > DNS_CACHE_MAX))
            lookup_free(d, k);
    }
}

static struct lookup *lookup_find(struct dns *d, const char *host)
{
    struct lookup *k = d->lookups;

    while (k && strcasecmp(k->host, host) != 0)
        k = k->next;
    return k;
}

static bool known_by_itself(const char *host, struct dns_addrs *addrs)
{
    struct in6_addr any;
    size_t n = strlen(host);

    if (inet_pton(AF_INET, host, &any) == 1 || inet_pton(AF_INET6, host, &any) == 1) {
        memccpy(addrs->text[0], host, '\0', INET6_ADDRSTRLEN);
        addrs->n = 1;
        return true;
    }
    if (strcasecmp(host, "localhost") == 0 || (n > 10 && strcasecmp(host + n - 10, ".localhost") == 0)) {
        memccpy(addrs->text[0], "127.0.0.1", '\0', INET6_ADDRSTRLEN);
        memccpy(addrs->text[1], "::1", '\0', INET6_ADDRSTRLEN);
        addrs->n = 2;
        return true;
    }
    return false;
}

/* Asks in the next turn, so that an answer that c-ares has at once does not come before dns_resolve() returned. */
static void on_ask(void *data)
{
    struct dns_query *q = data;
    struct dns *d = q->dns;
    struct lookup *k = q->lookup;
    struct err err;

    timer_start(&q->timer, d->loop, q->timeout_s, on_query_timeout, q);
    if (k->asking)
        return;
    if (channel_open(d, &err) < 0) {
        answer_waiting(k, NULL, &err);
        lookup_free(d, k);
        return;
    }
    timer_stop(&d->closing);
    k->asking = true;
    d->asking_n++;
    struct ares_addrinfo_hints hints = {
        .ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM, .ai_flags = ARES_AI_ENVHOSTS};
    ares_getaddrinfo(d->channel, k->host, NULL, &hints, on_addrinfo, k);
    set_timer(d);
}

struct dns_query *dns_resolve(struct dns *d, const char *host, double timeout_s, dns_done_fn *on_done,
                              void *data)
{
    struct dns_query *q = mem_new(struct dns_query);

    expire(d);
    *q = (struct dns_query){
        .next = d->queries, .dns = d, .timeout_s = timeout_s, .on_done = on_done, .data = data};
    d->queries = q;
    struct lookup *k = lookup_find(d, host);
    if (known_by_itself(host, &q->addrs)) {
        timer_start(&q->timer, d->loop, 0, on_known, q);
        return q;
    }
    if (k && k->addrs.n) {
        q->addrs = k->addrs;
        timer_start(&q->timer, d->loop, 0, on_known, q);
        return q;
    }
    if (!k) {
        k = mem_new(struct lookup);
        *k = (struct lookup){.next = d->lookups, .dns = d, .host = mem_strdup(host)};
        d->lookups = k;
        d->lookups_n++;
    }
    q->lookup = k;
    timer_start(&q->timer, d->loop, 0, on_ask, q);
    return q;
}

void dns_cancel(struct dns_query *q)
{
    query_free(q);
}

bool dns_busy(const struct dns *d)
{
    return d->channel != NULL;
}
