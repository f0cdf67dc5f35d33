/*
 * gzip and zstd behind one small table each. gzip is the one that a node's time goes into: where the package libisal is
 * there, its inflate takes half the time of zlib's.
 */
#include "core/mem.h"
#include "helpers/unpack_input.h"

#include <errno.h>
#include <zstd.h>

#ifdef HAVE_ISAL

#include <isa-l/igzip_lib.h>

static void *gzip_open(void)
{
    struct inflate_state *s = mem_new(struct inflate_state);

    isal_inflate_init(s);
    s->crc_flag = ISAL_GZIP; /* header and trailer are its affair: it compares CRC and length */
    return s;
}

static void gzip_again(void *state)
{
    struct inflate_state *s = state;
    isal_inflate_reset(s);
    s->crc_flag = ISAL_GZIP;
}

static int gzip_step(void *state, struct decode_io *io, struct err *err)
{
    struct inflate_state *s = state;

    s->next_in = (unsigned char *)(uintptr_t)io->next;
    s->avail_in = (uint32_t)io->avail;
    s->next_out = io->out;
    s->avail_out = (uint32_t)io->room;
    int r = isal_inflate(s);
    io->next += io->avail - s->avail_in;
    io->avail = s->avail_in;
    io->out = s->next_out;
    io->room = s->avail_out;
    if (r < 0)
        return err_set(err, GRPC_DATA_LOSS, 0, "%s (code %d)",
                       r == ISAL_INCORRECT_CHECKSUM ? "wrong checksum" : "the data is corrupt", r);
    return s->block_state == ISAL_BLOCK_FINISH ? DECODE_END : DECODE_MORE;
}

static void gzip_close(void *state)
{
    free(state);
}

#else

#include <zlib.h>

static void *gzip_open(void)
{
    z_stream *z = mem_new(z_stream);

    if (inflateInit2(z, 15 + 16) != Z_OK)
        abort();
    return z;
}

static void gzip_again(void *state)
{
    inflateReset(state);
}

static int gzip_step(void *state, struct decode_io *io, struct err *err)
{
    z_stream *z = state;

    z->next_in = (unsigned char *)(uintptr_t)io->next;
    z->avail_in = (unsigned)io->avail;
    z->next_out = io->out;
    z->avail_out = (unsigned)io->room;
    int r = inflate(z, Z_NO_FLUSH);
    io->next = z->next_in;
    io->avail = z->avail_in;
    io->out = z->next_out;
    io->room = z->avail_out;
    if (r == Z_STREAM_END)
        return DECODE_END;
    if (r != Z_OK && r != Z_BUF_ERROR) /* BUF_ERROR: needs input or room */
        return err_set(err, GRPC_DATA_LOSS, 0, "%s", z->msg ? z->msg : "the data is corrupt");
    return DECODE_MORE;
}

static void gzip_close(void *state)
{
    inflateEnd(state);
    free(state);
}

#endif

const struct decoder gzip_decoder = {
    .name = "gzip",
    .magic = {0x1f, 0x8b},
    .magic_len = 2,
    .open = gzip_open,
    .step = gzip_step,
    .again = gzip_again,
    .close = gzip_close,
};

static void *zstd_open(void)
{
    ZSTD_DCtx *z = ZSTD_createDCtx();

    if (!z)
        abort();
    return z;
}

static int zstd_step(void *state, struct decode_io *io, struct err *err)
{
    ZSTD_inBuffer in = {io->next, io->avail, 0};
    ZSTD_outBuffer out = {io->out, io->room, 0};
    size_t r = ZSTD_decompressStream(state, &out, &in);

    if (ZSTD_isError(r))
        return err_set(err, GRPC_DATA_LOSS, 0, "%s", ZSTD_getErrorName(r));
    io->next += in.pos;
    io->avail -= in.pos;
    io->out += out.pos;
    io->room -= out.pos;
    return r == 0 ? DECODE_END : DECODE_MORE;
}

static void zstd_again(void *state)
{
    ZSTD_DCtx_reset(state, ZSTD_reset_session_only);
}

static void zstd_close(void *state)
{
    ZSTD_freeDCtx(state);
}

const struct decoder zstd_decoder = {
    .name = "zstd",
    .magic = {0x28, 0xb5, 0x2f, 0xfd},
    .magic_len = 4,
    .open = zstd_open,
    .step = zstd_step,
    .again = zstd_again,
    .close = zstd_close,
};
