/* The first byte picks a protocol; messages follow, each a byte of length and a body. */
#include "core/mem.h"
#include "proto/channel.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void one_message(struct channels *channels, const uint8_t *p, size_t n)
{
    uint8_t *cleanup_free copy = mem_dup(p, n);
    struct channel_event e;
    struct err err;

    if (channel_read(channels, &(struct websocket_message){WEBSOCKET_BINARY, copy, n}, &e, &err) < 0)
        return;
    if (e.kind == CHANNEL_DATA && (e.len == 0 || e.data < copy || e.data + e.len > copy + n))
        abort();
    channel_write(channels, CHANNEL_STDOUT, e.data, e.len);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char *const names[] = {"v5.channel.k8s.io", "v4.base64.channel.k8s.io", ""};
    const struct stream_protocol *p = NULL;
    struct channels channels;
    struct err err;

    if (size == 0 || stream_protocol_choose(STREAM_WEBSOCKET, STREAM_COMMAND, names[data[0] % 3], &p, &err) < 0)
        return 0;
    struct websocket *ws = websocket_new(0);
    channels_open_command(&channels, p, (struct channel_streams){true, true, false}, ws);
    for (size_t n, at = 1; at < size; at += 1 + n) {
        n = data[at] < size - at - 1 ? data[at] : size - at - 1;
        one_message(&channels, data + at + 1, n);
    }
    websocket_free(ws);
    return 0;
}
