/* The first byte is the size of the pieces; the rest a session with an echo: in pieces it must answer what it answers at once. */
#include "core/buf.h"
#include "proto/websocket.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void session(const uint8_t *p, size_t n, size_t piece, struct buf *log)
{
    struct websocket *ws = websocket_new(300);
    struct websocket_message m = {0};
    char *out = NULL;
    int r = 0;

    for (size_t used; r >= 0 && r != WEBSOCKET_CLOSED && (n > 0 || r > 0); p += used, n -= used) {
        r = websocket_read(ws, p, n < piece ? n : piece, &used, &m, NULL);
        if (m.len > 300)
            abort();
        if (r == WEBSOCKET_MESSAGE)
            websocket_send(ws, m.kind, m.data, m.len);
    }
    websocket_take(ws, &out, &n);
    buf_add(log, out, n);
    free(out);
    websocket_free(ws);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct buf cleanup_buf whole = {0}, cleanup_buf pieces = {0};

    if (size == 0)
        return 0;
    session(data + 1, size - 1, SIZE_MAX, &whole);
    session(data + 1, size - 1, data[0] % 64 + 1, &pieces);
    if (whole.len != pieces.len || (whole.len && memcmp(whole.data, pieces.data, whole.len) != 0))
        abort();
    return 0;
}
