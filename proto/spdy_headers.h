/*
 * SPDY/3.1 name/value header blocks: the dictionary, inflating with limits, parsing, and writing. Pure.
 * Source: SPDY Protocol, Draft 3.1, section 2.6.10; RFC 1950 and 1951 (zlib and deflate).
 */
#pragma once
#include "core/buf.h"
#include "core/err.h"
#include <stdint.h>

enum { SPDY_DICTIONARY_SIZE = 1423 };
#define SPDY_DICTIONARY_ADLER 0xe3c6a7c2u

/* The SPDY/3 dictionary, SPDY_DICTIONARY_SIZE bytes; built at the first call, for ever. */
const uint8_t *spdy_dictionary(void);

/*
 * name: lower-case visible ASCII. value: one string, or several non-empty ones with a NUL between two; len counts all
 * of it, and a NUL more follows, so that value alone reads as the first string.
 */
struct spdy_header {
    const char *name;
    const char *value;
    size_t len;
};

struct spdy_headers {
    struct spdy_header *items;
    size_t n;
};

const struct spdy_header *spdy_header_find(const struct spdy_headers *h, const char *name); /* NULL if absent */
const char *spdy_header_get(const struct spdy_headers *h,
                            const char *name); /* its first string; NULL if absent */
/* The strings of a value, one a call: NULL for the first; NULL comes back behind the last. */
const char *spdy_header_next(const struct spdy_header *h, const char *before);

struct spdy_header_limits {
    uint32_t inflated_max; /* bytes of a block, inflated */
    uint32_t headers_max;  /* pairs in a block */
    uint32_t name_max, value_max;
};

/* One a connection: every block depends on the ones before. About 40 KiB from the first block on. */
struct spdy_inflater;
struct spdy_inflater *spdy_inflater_new(void);
void spdy_inflater_free(struct spdy_inflater *z);

/*
 * One frame's block into *ret (emptied first). -EPROTO: not zlib, another dictionary, an ended stream; -EMSGSIZE
 * (RESOURCE_EXHAUSTED): more than max bytes. After an error the inflater is of no more use.
 */
int spdy_inflate(struct spdy_inflater *z, const void *p, size_t n, size_t max, struct buf *ret,
                 struct err *err) must_check;

/*
 * Parses an inflated block in place: *ret points into block, whose bytes it changes; the caller frees ret->items.
 * -EPROTO: cut short or too long. -EMSGSIZE: above a limit. -EBADMSG: well-formed, but with a name or value that the
 * draft refuses (empty, upper-case, twice; an empty string within a value): it concerns the stream alone.
 */
int spdy_headers_parse(struct buf *block, const struct spdy_header_limits *limits, struct spdy_headers *ret,
                       struct err *err) must_check;

/*
 * Adds a block as deflate's stored blocks: no state and no memory a connection, where compressing would cost up to
 * 256 KiB for the few bytes that a reply has. first: this is the connection's first block, which begins the zlib
 * stream. The block must have at most 65535 bytes before, which the caller checks with spdy_headers_size().
 */
void spdy_headers_put(struct buf *out, const struct spdy_header *items, size_t n, bool first);
size_t spdy_headers_size(const struct spdy_header *items, size_t n); /* as written uncompressed */
enum { SPDY_STORED_MAX = 65535 };
