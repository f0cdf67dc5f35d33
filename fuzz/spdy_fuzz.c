/* A session, fed in pieces of as many bytes as the first byte says (0: 256), to an owner that echoes. */
#include "proto/spdy.h"

static void on_stream(void *ctx, uint32_t id, const struct spdy_headers *h, bool fin)
{
    if (id % 4 == 1 && spdy_reply(*(struct spdy **)ctx, id, h->items, h->n, fin, NULL) < 0)
        abort();
}

static void on_data(void *ctx, uint32_t id, const uint8_t *p, size_t n, bool fin)
{
    struct spdy *s = *(struct spdy **)ctx;
    size_t taken;

    spdy_consumed(s, id, n);
    (void)!spdy_data(s, id, p, n, fin, &taken, NULL);
}

static void on_rst(void *ctx, uint32_t id, void *data, uint32_t status, const struct err *refused)
{
    if (spdy_stream_open(*(struct spdy **)ctx, id) || data || (refused && (!refused->msg[0] || !status)))
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct spdy_events events = {on_stream, on_data, on_rst, NULL, NULL};
    struct spdy *s = spdy_new(&spdy_limits_default, &events, &s);
    struct err err = {0};

    for (size_t at = 1, step = size && data[0] ? data[0] : 256; at < size; at += step)
        if (spdy_feed(s, data + at, size - at < step ? size - at : step, &err) < 0 && !err.msg[0])
            abort();
    spdy_free(s);
    return 0;
}
