/*
 * An SPDY/3.1 server on descriptor 0, a socket, for client.go: replies with the headers that a stream came with, and
 * sends its data back. A stream with "streamtype: headers" gets its headers as text first; one with "streamtype:
 * refuse" is reset. Blocks as it likes: it is no part of the daemon.
 */
#include "proto/spdy.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

static void flush(struct spdy *s)
{
    const uint8_t *p;
    size_t n;

    while ((p = spdy_output(s, &n)) && n) {
        ssize_t rc = write(0, p, n);
        if (rc < 0) {
            perror("write");
            exit(1);
        }
        spdy_output_sent(s, (size_t)rc);
    }
}

static void send_back(struct spdy *s, uint32_t id, const void *p, size_t n, bool fin)
{
    struct err err;
    size_t done = 0, taken;

    do {
        int rc = spdy_data(s, id, (const char *)p + done, n - done, fin, &taken, &err);
        if (rc == -ENOENT)
            return;
        if (rc < 0) {
            fprintf(stderr, "%s\n", err.msg);
            exit(1);
        }
        done += taken;
        flush(s);
    } while (done < n);
}

static void on_stream(void *ctx, uint32_t id, const struct spdy_headers *h, bool fin)
{
    struct spdy *s = *(struct spdy **)ctx;
    const char *type = spdy_header_get(h, "streamtype");
    struct buf text = {0};
    struct err err;

    if (type && strcmp(type, "refuse") == 0) {
        spdy_rst(s, id, SPDY_REFUSED_STREAM);
        return;
    }
    if (spdy_reply(s, id, h->items, h->n, false, &err) < 0) {
        fprintf(stderr, "%s\n", err.msg);
        exit(1);
    }
    for (size_t i = 0; i < h->n && type && strcmp(type, "headers") == 0; i++)
        for (const char *v = NULL; (v = spdy_header_next(&h->items[i], v));)
            buf_addf(&text, "%s=%s\n", h->items[i].name, v);
    if (text.len || fin)
        send_back(s, id, text.data, text.len, fin);
    buf_done(&text);
}

static void on_data(void *ctx, uint32_t id, const uint8_t *p, size_t n, bool fin)
{
    struct spdy *s = *(struct spdy **)ctx;

    spdy_consumed(s, id, n);
    send_back(s, id, p, n, fin);
}

static void on_rst(void *ctx, uint32_t id, void *data, uint32_t status, const struct err *refused)
{
    (void)ctx, (void)data;
    if (refused)
        fprintf(stderr, "stream %u refused with %u: %s\n", id, status, refused->msg);
}

int main(void)
{
    static const struct spdy_events events = {on_stream, on_data, on_rst, NULL, NULL};
    struct spdy_limits limits = spdy_limits_default;
    struct spdy *s;
    struct err err;
    uint8_t bytes[16384];
    ssize_t n;

    limits.flow_ignored = true;
    s = spdy_new(&limits, &events, &s);
    while (flush(s), (n = read(0, bytes, sizeof(bytes))) > 0)
        if (spdy_feed(s, bytes, (size_t)n, &err) < 0) {
            fprintf(stderr, "%s\n", err.msg);
            flush(s);
            return 1;
        }
    spdy_free(s);
    return 0;
}
