/*
 * The layer on standard input: read, hashed, decompressed by its magic bytes (gzip, zstd, or none), hashed again. One
 * pass, fixed buffers; zstd takes the window that the frame names, at most 128 MiB (2 to 8 MiB with common levels).
 *
 * Several gzip members or zstd frames one after the other are one stream. Bytes behind them that are neither are not
 * part of it; they count in the digest of the compressed bytes.
 */
#pragma once
/* The functions of one digest, which OpenSSL 3 would rather not have called: they need nothing set up. EVP reads a configuration,
 * fetches providers and takes locks, which a small layer would wait for. */
#define OPENSSL_SUPPRESS_DEPRECATED
#include "core/err.h"
#include "core/tar_entry.h"
#include <openssl/sha.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { INPUT_IN_SIZE = 64 << 10, INPUT_OUT_SIZE = 256 << 10, INPUT_DIGEST_SIZE = 72 };

/* What a decoder works on: it moves next and out forward. */
struct decode_io {
    const unsigned char *next;
    size_t avail;
    unsigned char *out;
    size_t room;
};

enum { DECODE_MORE = 0, DECODE_END = 1 }; /* END: a member or frame is complete */

struct decoder {
    const char *name;
    unsigned char magic[4];
    size_t magic_len;
    void *(*open)(void);
    int (*step)(void *state, struct decode_io *io,
                struct err *err); /* DECODE_MORE, DECODE_END or a negative errno */
    void (*again)(void *state);   /* for the next member */
    void (*close)(void *state);
};
extern const struct decoder gzip_decoder, zstd_decoder;

struct input {
    int fd;
    SHA256_CTX raw_md, tar_md;
    uint64_t raw_bytes, tar_bytes;
    struct tar_limits limits;      /* of bytes: also those behind the end of the archive count */
    const struct decoder *decoder; /* NULL: plain */
    void *state;
    bool begun;      /* the magic bytes have been looked at */
    bool inside;     /* a member has begun and is not complete */
    bool ended;      /* no more bytes of the archive */
    bool input_end;  /* read(2) returned 0 */
    size_t at, have; /* of in */
    unsigned char in[INPUT_IN_SIZE];
    unsigned char out[INPUT_OUT_SIZE];
};

struct input *input_new(int fd, const struct tar_limits *limits);
void input_free(struct input *in);

/* The next bytes of the archive, valid until the next call: at *ret_bytes, their number is returned; 0 at its end. */
ssize_t input_read(struct input *in, const void **ret_bytes, struct err *err) must_check;

/* Reads to the end of the input, so that both digests are of all bytes, and gives them as "sha256:...". */
int input_finish(struct input *in, char ret_digest[static INPUT_DIGEST_SIZE],
                 char ret_diff_id[static INPUT_DIGEST_SIZE], struct err *err) must_check;
