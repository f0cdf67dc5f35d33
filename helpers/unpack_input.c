#include "helpers/unpack_input.h"
#include "core/ids.h"
#include "core/mem.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

static const struct decoder *const decoders[] = {&gzip_decoder, &zstd_decoder};

struct input *input_new(int fd, const struct tar_limits *limits)
{
    struct input *in = malloc(sizeof(*in)); /* not mem_alloc: 320 KiB of zeros that nobody reads */

    if (!in)
        abort();
    memset(in, 0, offsetof(struct input, in));
    in->fd = fd;
    in->limits = *limits;
    SHA256_Init(&in->raw_md);
    SHA256_Init(&in->tar_md);
    return in;
}

void input_free(struct input *in)
{
    if (!in)
        return;
    if (in->decoder)
        in->decoder->close(in->state);
    free(in);
}

/* Adds what read(2) gives behind the bytes that are there. Returns 0 also at the end, then input_end is set. */
static int fill(struct input *in, struct err *err)
{
    ssize_t n;

    if (in->at > 0) {
        memmove(in->in, in->in + in->at, in->have - in->at);
        in->have -= in->at;
        in->at = 0;
    }
    do
        n = read(in->fd, in->in + in->have, INPUT_IN_SIZE - in->have);
    while (n < 0 && errno == EINTR);
    if (n < 0)
        return err_sys(err, errno, "read the compressed layer after %llu bytes",
                       (unsigned long long)in->raw_bytes);
    in->input_end = n == 0;
    SHA256_Update(&in->raw_md, in->in + in->have, (size_t)n);
    in->have += (size_t)n;
    in->raw_bytes += (uint64_t)n;
    return 0;
}

static int want(struct input *in, size_t bytes, struct err *err)
{
    while (in->have - in->at < bytes && !in->input_end) {
        int r = fill(in, err);
        if (r < 0)
            return r;
    }
    return 0;
}

static bool starts_with_magic(const struct input *in, const struct decoder *d)
{
    return in->have - in->at >= d->magic_len && memcmp(in->in + in->at, d->magic, d->magic_len) == 0;
}

/* zstd's skippable frames, 0x184D2A50 to 5F: RFC 8878, 3.1.2 */
static bool starts_with_skippable(const struct input *in)
{
    static const unsigned char tail[3] = {0x2a, 0x4d, 0x18};
    const unsigned char *p = in->in + in->at;
    return in->have - in->at >= 4 && (p[0] & 0xf0) == 0x50 && memcmp(p + 1, tail, 3) == 0;
}

static int begin(struct input *in, struct err *err)
{
    int r = want(in, 4, err);
    if (r < 0)
        return r;
    in->begun = true;
    if (in->have == 0)
        return err_set(err, GRPC_DATA_LOSS, 0, "the layer is empty: no byte came");
    for (size_t i = 0; i < countof(decoders) && !in->decoder; i++)
        if (starts_with_magic(in, decoders[i]))
            in->decoder = decoders[i];
    if (!in->decoder && starts_with_skippable(in))
        in->decoder = &zstd_decoder;
    if (in->decoder)
        in->state = in->decoder->open();
    in->inside = true;
    return 0;
}

/* After a complete member: is there another one? */
static int next_member(struct input *in, struct err *err)
{
    int r = want(in, 4, err);
    if (r < 0)
        return r;
    if (!starts_with_magic(in, in->decoder) && !(in->decoder == &zstd_decoder && starts_with_skippable(in))) {
        in->ended = true;
        return 0;
    }
    in->decoder->again(in->state);
    in->inside = true;
    return 0;
}

static ssize_t read_plain(struct input *in, const void **ret_bytes, struct err *err)
{
    int r = want(in, 1, err);
    if (r < 0)
        return r;
    size_t n = in->have - in->at;
    *ret_bytes = in->in + in->at;
    in->at = in->have;
    in->ended = n == 0;
    return (ssize_t)n;
}

/* Fills the output buffer, or as much as there is. */
static ssize_t read_decoded(struct input *in, const void **ret_bytes, struct err *err)
{
    struct decode_io io = {.out = in->out, .room = INPUT_OUT_SIZE};

    while (io.room > 0 && !in->ended) {
        if (!in->inside) {
            int r = next_member(in, err);
            if (r < 0)
                return r;
            continue;
        }
        size_t room = io.room, avail = in->have - in->at;
        io.next = in->in + in->at;
        io.avail = avail;
        int r = in->decoder->step(in->state, &io, err);
        if (r < 0)
            return err_wrap(err, "%s, after %llu bytes", in->decoder->name, (unsigned long long)in->raw_bytes);
        in->at += avail - io.avail;
        if (r == DECODE_END) {
            in->inside = false;
        } else if (io.room == room && io.avail == avail) { /* it cannot go on without more */
            if (in->input_end)
                return err_set(err, GRPC_DATA_LOSS, 0, "%s: the data ends in the middle, after %llu bytes",
                               in->decoder->name, (unsigned long long)in->raw_bytes);
            r = fill(in, err);
            if (r < 0)
                return r;
        }
    }
    *ret_bytes = in->out;
    return INPUT_OUT_SIZE - (ssize_t)io.room;
}

ssize_t input_read(struct input *in, const void **ret_bytes, struct err *err)
{
    ssize_t n;

    *ret_bytes = in->out;
    if (in->ended)
        return 0;
    if (!in->begun) {
        int r = begin(in, err);
        if (r < 0)
            return r;
    }
    n = in->decoder ? read_decoded(in, ret_bytes, err) : read_plain(in, ret_bytes, err);
    if (n <= 0)
        return n;
    SHA256_Update(&in->tar_md, *ret_bytes, (size_t)n);
    in->tar_bytes += (uint64_t)n;
    int r = tar_limits_check(&in->limits, 0, in->tar_bytes, err);
    return r < 0 ? r : n;
}

static void digest_text(SHA256_CTX *c, char ret_text[static INPUT_DIGEST_SIZE])
{
    unsigned char md[32];

    SHA256_Final(md, c);
    hex_of(md, sizeof(md), stpcpy(ret_text, "sha256:"));
}

int input_finish(struct input *in, char ret_digest[static INPUT_DIGEST_SIZE],
                 char ret_diff_id[static INPUT_DIGEST_SIZE], struct err *err)
{
    const void *bytes;
    ssize_t n;

    while ((n = input_read(in, &bytes, err)) > 0)
        ;
    if (n < 0)
        return (int)n;
    while (!in->input_end) {
        in->at = in->have;
        int r = fill(in, err);
        if (r < 0)
            return r;
    }
    digest_text(&in->raw_md, ret_digest);
    digest_text(&in->tar_md, ret_diff_id);
    return 0;
}
