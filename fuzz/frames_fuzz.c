/* The first byte is the size of the pieces; the rest a server's frames: in pieces they must mean what they mean at once. */
#include "cli/frames.c"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void read_all(const uint8_t *p, size_t n, size_t piece, struct buf *log)
{
    struct frames f = {0};
    struct frames_piece got = {0};
    const uint8_t *end = p + n;
    int r = 0;

    for (size_t used; r >= 0 && r != FRAMES_CLOSE && (p < end || r > 0); p += used) {
        size_t give = (size_t)(end - p) < piece ? (size_t)(end - p) : piece;
        r = frames_read(&f, p, give, &used, &got, NULL);
        if (used > give || (r == FRAMES_DATA && got.len && (got.data < p || got.data + got.len > p + used)))
            abort();
        if (r == FRAMES_DATA) {
            for (size_t i = 0; i < got.len; i++)
                buf_addf(log, "%u:%u ", got.channel, got.data[i]);
            buf_adds(log, got.ends ? "." : "");
        } else if (r == FRAMES_PING || r == FRAMES_CLOSE) {
            buf_add(log, f.control, f.control_len);
        }
    }
    buf_addf(log, "%d", r < 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct buf cleanup_buf whole = {0}, cleanup_buf bytes = {0};

    if (size == 0)
        return 0;
    read_all(data + 1, size - 1, SIZE_MAX, &whole);
    read_all(data + 1, size - 1, data[0] % 64 + 1, &bytes);
    if (whole.len != bytes.len || memcmp(whole.data, bytes.data, whole.len) != 0)
        abort();
    return 0;
}
