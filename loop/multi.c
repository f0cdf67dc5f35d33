#include "loop/multi.h"
#include "core/mem.h"

#include <malloc.h>

enum { MAX_IDLE_CONNECTIONS = 8 };

struct socket_watch {
    struct multi *multi;
    struct watch *watch;
    curl_socket_t fd;
    struct socket_watch *next;
};

struct multi {
    struct loop *loop;
    CURLM *handle; /* NULL while idle */
    size_t transfers;
    struct timer timer;   /* what libcurl wants to be called for */
    struct timer closing; /* the handle is idle */
    struct socket_watch *sockets;
    multi_done_fn *on_done;
};

static void collect(struct multi *m)
{
    CURLMsg *msg;
    int left;

    while (m->handle && (msg = curl_multi_info_read(m->handle, &left))) {
        void *data = NULL;
        CURL *easy = msg->easy_handle;
        CURLcode code = msg->data.result;
        if (msg->msg != CURLMSG_DONE)
            continue;
        curl_easy_getinfo(easy, CURLINFO_PRIVATE, &data);
        multi_remove(m, easy); /* msg is invalid now */
        m->on_done(data, code);
    }
}

static void on_socket_ready(void *data, int events)
{
    struct socket_watch *s = data;
    struct multi *m = s->multi;
    int running;

    curl_multi_socket_action(m->handle, s->fd,
                             ((events & WATCH_READ) ? CURL_CSELECT_IN : 0) |
                                 ((events & WATCH_WRITE) ? CURL_CSELECT_OUT : 0),
                             &running); /* may free s */
    collect(m);
}

static void socket_forget(struct multi *m, struct socket_watch *s)
{
    for (struct socket_watch **p = &m->sockets; *p; p = &(*p)->next)
        if (*p == s) {
            *p = s->next;
            break;
        }
    watch_stop(s->watch);
    free(s);
}

static int on_socket(CURL *easy, curl_socket_t fd, int what, void *data, void *socket_data)
{
    struct multi *m = data;
    struct socket_watch *s = socket_data;
    int want = ((what & CURL_POLL_IN) ? WATCH_READ : 0) | ((what & CURL_POLL_OUT) ? WATCH_WRITE : 0);

    (void)easy;
    if (what == CURL_POLL_REMOVE) {
        if (s) {
            curl_multi_assign(m->handle, fd, NULL);
            socket_forget(m, s);
        }
        return 0;
    }
    if (s) {
        watch_set(s->watch, want);
        return 0;
    }
    s = mem_new(struct socket_watch);
    *s = (struct socket_watch){.multi = m, .fd = fd, .next = m->sockets};
    m->sockets = s;
    s->watch = watch_start(m->loop, fd, want, on_socket_ready, s);
    curl_multi_assign(m->handle, fd, s);
    return 0;
}

static void on_timer(void *data)
{
    struct multi *m = data;
    int running;

    curl_multi_socket_action(m->handle, CURL_SOCKET_TIMEOUT, 0, &running);
    collect(m);
}

static int on_timer_wanted(CURLM *handle, long ms, void *data)
{
    struct multi *m = data;

    (void)handle;
    if (ms < 0)
        timer_stop(&m->timer);
    else
        timer_start(&m->timer, m->loop, (double)ms / 1000., on_timer, m);
    return 0;
}

static void handle_open(struct multi *m)
{
    static bool initialised;

    if (m->handle)
        return;
    if (!initialised && curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK)
        abort();
    initialised = true;
    m->handle = curl_multi_init();
    if (!m->handle)
        abort();
    curl_multi_setopt(m->handle, CURLMOPT_SOCKETFUNCTION, on_socket);
    curl_multi_setopt(m->handle, CURLMOPT_SOCKETDATA, m);
    curl_multi_setopt(m->handle, CURLMOPT_TIMERFUNCTION, on_timer_wanted);
    curl_multi_setopt(m->handle, CURLMOPT_TIMERDATA, m);
    curl_multi_setopt(m->handle, CURLMOPT_MAXCONNECTS, (long)MAX_IDLE_CONNECTIONS);
}

static void handle_close(void *data)
{
    struct multi *m = data;

    if (m->handle)
        curl_multi_cleanup(m->handle); /* closes idle connections, through on_socket */
    m->handle = NULL;
    timer_stop(&m->timer);
    while (m->sockets)
        socket_forget(m, m->sockets);
    malloc_trim(0); /* what TLS had used lies in the middle of the heap */
}

struct multi *multi_new(struct loop *l, multi_done_fn *on_done)
{
    struct multi *m = mem_new(struct multi);

    m->loop = l;
    m->on_done = on_done;
    return m;
}

void multi_free(struct multi *m)
{
    if (!m)
        return;
    timer_stop(&m->closing);
    handle_close(m);
    free(m);
}

void multi_add(struct multi *m, CURL *easy)
{
    timer_stop(&m->closing);
    handle_open(m);
    m->transfers++;
    if (curl_multi_add_handle(m->handle, easy) != CURLM_OK)
        abort(); /* only a handle that was added twice */
}

void multi_remove(struct multi *m, CURL *easy)
{
    curl_multi_remove_handle(m->handle, easy);
    if (--m->transfers == 0)
        timer_start(&m->closing, m->loop, MULTI_IDLE_SECONDS, handle_close, m);
}

bool multi_exists(const struct multi *m)
{
    return m->handle != NULL;
}
