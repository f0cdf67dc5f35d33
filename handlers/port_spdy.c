/*
 * PortForward over SPDY, also in a WebSocket: two streams a connection, "data" and "error", which belong together by the header
 * "requestid", or, from old clients, by their numbers: the data stream comes next after its error stream. Source: portforward
 * of Kubernetes' streaming server.
 */
#include "core/log.h"
#include "core/mem.h"
#include "handlers/port_session.h"
#include "handlers/stream_spdy.h"

#include <string.h>

/* A pair of which one stream is there. */
struct half {
    struct half *next;
    char *request_id;
    uint32_t data_id, error_id; /* 0: not there */
    uint16_t port;
    bool fin;      /* the client has ended the data stream already */
    struct buf in; /* and what came on it */
    struct timer timer;
    struct port_spdy *link;
};

struct port_spdy {
    struct port_session *session;
    struct stream_spdy *spdy;
    struct half *halves;
};

/* The stream's data: a pair, once both are there. */
static struct port_pair *pair_of(struct port_spdy *s, uint32_t id)
{
    return spdy_stream_data(stream_spdy_codec(s->spdy), id);
}

/* ---- pairs --------------------------------------------------------------------------------------------------------- */

static void half_free(struct half *h)
{
    for (struct half **at = &h->link->halves; *at; at = &(*at)->next)
        if (*at == h) {
            *at = h->next;
            break;
        }
    timer_stop(&h->timer);
    buf_done(&h->in);
    free(h->request_id);
    free(h);
}

static void halves_free(struct port_spdy *s)
{
    for (struct half *h = s->halves, *next; h; h = next) {
        next = h->next;
        half_free(h);
    }
}

static void half_refuse(struct half *h)
{
    struct spdy *codec = stream_spdy_codec(h->link->spdy);

    if (h->data_id)
        spdy_rst(codec, h->data_id, SPDY_CANCEL);
    if (h->error_id)
        spdy_rst(codec, h->error_id, SPDY_CANCEL);
    half_free(h);
}

static void on_half_timeout(void *data)
{
    struct half *h = data;
    struct stream_spdy *spdy = h->link->spdy;

    log_info("streaming: port %u: the client opened one stream of request %s, and not the other in time",
             h->port, h->request_id);
    half_refuse(h);
    stream_spdy_flush(spdy);
}

static struct half *half_find(struct port_spdy *s, const char *request_id)
{
    struct half *h = s->halves;

    while (h && strcmp(h->request_id, request_id) != 0)
        h = h->next;
    return h;
}

static struct half *half_of(struct port_spdy *s, uint32_t id)
{
    struct half *h = s->halves;

    while (h && h->data_id != id && h->error_id != id)
        h = h->next;
    return h;
}

static struct half *half_new(struct port_spdy *s, const char *request_id, uint16_t port)
{
    const struct daemon *d = port_session_daemon(s->session);
    struct half *h = mem_new(struct half);

    h->next = s->halves;
    h->link = s;
    h->request_id = mem_strdup(request_id);
    h->port = port;
    s->halves = h;
    timer_start(&h->timer, d->loop, d->config.stream_creation_timeout_s, on_half_timeout, h);
    return h;
}

static void half_complete(struct half *h)
{
    struct port_spdy *s = h->link;
    struct spdy *codec = stream_spdy_codec(s->spdy);
    struct port_pair *p = port_pair_new(s->session, h->port, h->data_id, h->error_id);

    spdy_set_stream_data(codec, h->data_id, p);
    spdy_set_stream_data(codec, h->error_id, p);
    if (h->in.len)
        port_pair_take(p, (const uint8_t *)h->in.data, h->in.len);
    if (h->fin)
        port_pair_client_ended(p);
    half_free(h);
}

/* ---- what comes ---------------------------------------------------------------------------------------------------- */

static bool port_of(const char *text, uint16_t *ret_port)
{
    unsigned long port = 0;

    if (!text || !*text || strlen(text) > 5 || text[strspn(text, "0123456789")])
        return false;
    for (; *text; text++)
        port = port * 10 + (unsigned long)(*text - '0');
    *ret_port = (uint16_t)port;
    return port >= 1 && port <= UINT16_MAX;
}

static void on_stream(void *data, uint32_t id, const struct spdy_headers *headers, bool fin)
{
    struct port_spdy *s = data;
    const char *type = spdy_header_get(headers, "streamtype"),
               *request_id = spdy_header_get(headers, "requestid");
    bool is_data = type && strcmp(type, "data") == 0;
    char derived[16];
    uint16_t port;

    if (!type || (!is_data && strcmp(type, "error") != 0) ||
        !port_of(spdy_header_get(headers, "port"), &port)) {
        log_info("streaming: port-forward: a stream must say streamtype (data or error) and port (1 to 65535)");
        spdy_rst(stream_spdy_codec(s->spdy), id, SPDY_PROTOCOL_ERROR);
        return;
    }
    if (!request_id) {
        snprintf(derived, sizeof(derived), "%u", is_data ? id - 2 : id);
        request_id = derived;
    }
    struct half *h = half_find(s, request_id);
    if (h && (h->port != port || (is_data ? h->data_id : h->error_id))) {
        log_info("streaming: port-forward: request %.40s has two %s streams, or two ports", request_id, type);
        spdy_rst(stream_spdy_codec(s->spdy), id, SPDY_PROTOCOL_ERROR);
        return;
    }
    if (!h)
        h = half_new(s, request_id, port);
    stream_spdy_reply(s->spdy, id);
    if (is_data) {
        h->data_id = id;
        h->fin = fin;
    } else {
        h->error_id = id;
    }
    if (h->data_id && h->error_id)
        half_complete(h);
}

static void on_data(void *data, uint32_t id, const uint8_t *p, size_t n, bool fin)
{
    struct port_spdy *s = data;
    struct port_pair *pair = pair_of(s, id);
    struct half *h = pair ? NULL : half_of(s, id);

    spdy_consumed(stream_spdy_codec(s->spdy), id, n); /* the session stops reading when it has enough */
    if (h && h->data_id == id) {
        if (h->in.len + n > PORT_UNREAD_MAX) { /* who sends that much knows that the pair is there */
            half_refuse(h);
            return;
        }
        buf_add(&h->in, p, n);
        h->fin = h->fin || fin;
    }
    if (!pair || id != pair->data_id)
        return; /* of the error stream the client sends the end only */
    if (n)
        port_pair_take(pair, p, n);
    if (fin && (pair = pair_of(s, id)))
        port_pair_client_ended(pair);
}

static void on_rst(void *data, uint32_t id, void *kept)
{
    struct port_spdy *s = data;
    struct spdy *codec = stream_spdy_codec(s->spdy);
    struct port_pair *p = kept;
    struct half *h = p ? NULL : half_of(s, id);

    if (h)
        half_refuse(h);
    if (!p)
        return;
    if (p->error_id == id) { /* a client that hears no errors */
        p->error_id = 0;
        return;
    }
    spdy_rst(codec, p->error_id, SPDY_CANCEL);
    port_pair_drop(p);
}

static void on_drain(void *data)
{
    struct port_spdy *s = data;

    port_session_drained(s->session);
}

static void on_gone(void *data, const struct err *err)
{
    struct port_spdy *s = data;

    port_session_gone(s->session, err);
}

/* ---- what goes ----------------------------------------------------------------------------------------------------- */

static void *make(struct port_session *session, struct stream_opening *o)
{
    static const struct stream_spdy_events events = {on_stream, on_data, on_rst, on_drain, on_gone};
    struct port_spdy *s = mem_new(struct port_spdy);

    s->session = session;
    s->spdy = stream_spdy_new(o->conn, o->protocol->tunnel, &events, s);
    return s;
}

static void send_data(void *self, struct port_pair *p, const void *bytes, size_t n)
{
    struct port_spdy *s = self;

    stream_spdy_data(s->spdy, p->data_id, bytes, n, false);
}

static void send_end(void *self, struct port_pair *p)
{
    struct port_spdy *s = self;

    stream_spdy_data(s->spdy, p->data_id, "", 0, true);
}

static void close_pair(void *self, struct port_pair *p, const char *text)
{
    struct port_spdy *s = self;
    struct spdy *codec = stream_spdy_codec(s->spdy);

    spdy_set_stream_data(codec, p->data_id, NULL);
    if (p->error_id) {
        spdy_set_stream_data(codec, p->error_id, NULL);
        stream_spdy_data(s->spdy, p->error_id, text ? text : "", text ? strlen(text) : 0, true);
    }
    if (!p->target_ended)
        stream_spdy_data(s->spdy, p->data_id, "", 0, true);
    if (text) /* the client may go on sending, to nobody */
        spdy_rst(codec, p->data_id, SPDY_CANCEL);
    stream_spdy_flush(s->spdy);
}

static void ping(void *self)
{
    struct port_spdy *s = self;

    spdy_ping(stream_spdy_codec(s->spdy));
    stream_spdy_flush(s->spdy);
}

static void drop(void *self)
{
    struct port_spdy *s = self;

    halves_free(s);
    stream_spdy_free(s->spdy);
    free(s);
}

static void finish(void *self, const char *why)
{
    struct port_spdy *s = self;

    (void)why; /* the pairs end; GOAWAY says that no other is taken */
    halves_free(s);
    spdy_goaway(stream_spdy_codec(s->spdy), SPDY_GOAWAY_OK);
    stream_spdy_finish(s->spdy);
    free(s);
}

const struct port_link_kind port_spdy = {make, send_data, send_end, close_pair, ping, finish, drop};
