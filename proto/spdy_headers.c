#include "proto/spdy_headers.h"
#include "core/mem.h"
#include "core/quote.h"
#include "proto/spdy_frame.h"

#include <errno.h>
#include <string.h>
#include <zlib.h>

/* In the dictionary each word has its length before it, as in a block. */
static const char dictionary_words[] =
    "options,head,post,put,delete,trace,accept,accept-charset,accept-encoding,accept-language,"
    "accept-ranges,age,allow,authorization,cache-control,connection,content-base,content-encoding,"
    "content-language,content-length,content-location,content-md5,content-range,content-type,date,etag,"
    "expect,expires,from,host,if-match,if-modified-since,if-none-match,if-range,if-unmodified-since,"
    "last-modified,location,max-forwards,pragma,proxy-authenticate,proxy-authorization,range,referer,"
    "retry-after,server,te,trailer,transfer-encoding,upgrade,user-agent,vary,via,warning,"
    "www-authenticate,method,get,status,200 OK,version,HTTP/1.1,url,public,set-cookie,keep-alive,origin";

/* And this follows as it is. */
static const char dictionary_text[] =
    "100101201202205206300302303304305306307402405406407408409410411412413414415416417502504505"
    "203 Non-Authoritative Information204 No Content301 Moved Permanently400 Bad Request401 Unauthorized"
    "403 Forbidden404 Not Found500 Internal Server Error501 Not Implemented503 Service Unavailable"
    "Jan Feb Mar Apr May Jun Jul Aug Sept Oct Nov Dec 00:00:00 Mon, Tue, Wed, Thu, Fri, Sat, Sun, GMT"
    "chunked,text/html,image/png,image/jpg,image/gif,application/xml,application/xhtml+xml,text/plain,"
    "text/javascript,publicprivatemax-age=gzip,deflate,sdchcharset=utf-8charset=iso-8859-1,utf-,*,enq=0.";

const uint8_t *spdy_dictionary(void)
{
    static struct buf d;

    if (d.len == 0) {
        for (const char *w = dictionary_words; *w;) {
            size_t n = strcspn(w, ",");
            spdy_put32(&d, (uint32_t)n);
            buf_add(&d, w, n);
            w += n + (w[n] == ',');
        }
        buf_adds(&d, dictionary_text);
    }
    return (const uint8_t *)d.data;
}

const struct spdy_header *spdy_header_find(const struct spdy_headers *h, const char *name)
{
    for (size_t i = 0; i < h->n; i++)
        if (strcmp(h->items[i].name, name) == 0)
            return &h->items[i];
    return NULL;
}

const char *spdy_header_get(const struct spdy_headers *h, const char *name)
{
    const struct spdy_header *found = spdy_header_find(h, name);
    return found ? found->value : NULL;
}

const char *spdy_header_next(const struct spdy_header *h, const char *before)
{
    if (!before)
        return h->value;
    before += strlen(before) + 1;
    return before < h->value + h->len ? before : NULL;
}

/* ---- inflating ---------------------------------------------------------------------------------------------- */

struct spdy_inflater {
    z_stream z;
};

static void *z_alloc(void *opaque, unsigned n, unsigned size)
{
    (void)opaque;
    return mem_alloc((size_t)n * size);
}

static void z_free(void *opaque, void *p)
{
    (void)opaque;
    free(p);
}

struct spdy_inflater *spdy_inflater_new(void)
{
    struct spdy_inflater *z = mem_new(struct spdy_inflater);

    z->z.zalloc = z_alloc;
    z->z.zfree = z_free;
    if (inflateInit(&z->z) != Z_OK) /* only of another zlib than the one that was compiled against */
        abort();
    return z;
}

void spdy_inflater_free(struct spdy_inflater *z)
{
    if (!z)
        return;
    inflateEnd(&z->z);
    free(z);
}

static int inflate_step(z_stream *z)
{
    int rc = inflate(z, Z_SYNC_FLUSH);

    if (rc == Z_NEED_DICT && z->adler == SPDY_DICTIONARY_ADLER)
        rc = inflateSetDictionary(z, spdy_dictionary(), SPDY_DICTIONARY_SIZE);
    return rc;
}

static const char *inflate_fault(const z_stream *z, int rc)
{
    if (rc == Z_NEED_DICT)
        return "another dictionary than that of SPDY/3";
    if (rc == Z_STREAM_END)
        return "its end, which only the connection's end may bring";
    return z->msg ? z->msg : "a fault";
}

int spdy_inflate(struct spdy_inflater *z, const void *p, size_t n, size_t max, struct buf *ret, struct err *err)
{
    uint8_t chunk[4096];
    size_t made;

    ret->len = 0;
    z->z.next_in = (Bytef *)p;
    z->z.avail_in = (uInt)n;
    do {
        z->z.next_out = chunk;
        z->z.avail_out = sizeof(chunk);
        int rc = inflate_step(&z->z);
        if (rc != Z_OK && !(rc == Z_BUF_ERROR && z->z.avail_in == 0))
            return err_set(err, GRPC_INVALID_ARGUMENT, EPROTO, "header block of %zu bytes: zlib finds %s", n,
                           inflate_fault(&z->z, rc));
        made = sizeof(chunk) - z->z.avail_out;
        if (made > max - ret->len)
            return err_set(err, GRPC_RESOURCE_EXHAUSTED, EMSGSIZE,
                           "header block of %zu bytes inflates to more than %zu: send fewer or shorter headers",
                           n, max);
        buf_add(ret, chunk, made);
    } while (z->z.avail_in || made == sizeof(chunk));
    return 0;
}

/* ---- parsing ------------------------------------------------------------------------------------------------ */

struct cursor {
    uint8_t *p, *end;
};

static int take32(struct cursor *c, uint32_t *ret, struct err *err)
{
    *ret = 0;
    if (c->end - c->p < 4)
        return err_set(err, GRPC_INVALID_ARGUMENT, EPROTO, "header block ends within a length");
    *ret = spdy_get32(c->p);
    c->p += 4;
    return 0;
}

static int take_text(struct cursor *c, uint32_t max, const char *what, uint8_t **ret, size_t *ret_len,
                     struct err *err)
{
    uint32_t n;
    int rc = take32(c, &n, err);

    if (rc < 0)
        return rc;
    if (n > (size_t)(c->end - c->p))
        return err_set(err, GRPC_INVALID_ARGUMENT, EPROTO,
                       "header block has %zu bytes left, but its %s says it has %u", (size_t)(c->end - c->p),
                       what, n);
    if (n > max)
        return err_set(err, GRPC_RESOURCE_EXHAUSTED, EMSGSIZE, "header %s of %u bytes: at most %u are accepted",
                       what, n, max);
    *ret = c->p;
    *ret_len = n;
    c->p += n;
    return 0;
}

static int refuse(struct err *err, const char *why, const uint8_t *name, size_t n)
{
    return err_set(err, GRPC_INVALID_ARGUMENT, EBADMSG, "header %s: %s", QUOTED_N((const char *)name, n), why);
}

static int name_check(const struct spdy_headers *h, const uint8_t *name, size_t n, struct err *err)
{
    if (n == 0)
        return refuse(err, "its name is empty", name, n);
    for (size_t i = 0; i < n; i++) {
        if (name[i] <= 0x20 || name[i] > 0x7e)
            return refuse(err, "its name has a byte that is no visible ASCII", name, n);
        if (name[i] >= 'A' && name[i] <= 'Z')
            return refuse(err, "its name must be lower-case", name, n);
    }
    for (size_t i = 0; i < h->n; i++)
        if (strlen(h->items[i].name) == n && memcmp(h->items[i].name, name, n) == 0)
            return refuse(err, "it is there twice: several values go into one header, with NUL between them",
                          name, n);
    return 0;
}

/* Empty as a whole is a value; an empty string among several is not. */
static bool value_valid(const uint8_t *v, size_t n)
{
    if (n == 0)
        return true;
    if (v[0] == 0 || v[n - 1] == 0)
        return false;
    for (size_t i = 1; i < n; i++)
        if (v[i] == 0 && v[i - 1] == 0)
            return false;
    return true;
}

/*
 * Name and value get their NUL where the next length stood, which by then has been read; behind the block's last byte
 * struct buf keeps one. The first refusal is remembered, and the rest is still parsed: whether the block is whole
 * decides about the connection.
 */
static int pair_parse(struct cursor *c, const struct spdy_header_limits *l, struct spdy_headers *h,
                      int *refusal, struct err *refusal_err, struct err *err)
{
    uint8_t *name, *value;
    size_t name_n, value_n;
    int rc;

    if ((rc = take_text(c, l->name_max, "name", &name, &name_n, err)) < 0 ||
        (rc = take_text(c, l->value_max, "value", &value, &value_n, err)) < 0)
        return rc;
    if (*refusal == 0)
        *refusal = name_check(h, name, name_n, refusal_err);
    if (*refusal == 0 && !value_valid(value, value_n))
        *refusal = refuse(refusal_err, "its value has an empty string among several", name, name_n);
    name[name_n] = '\0';
    h->items[h->n++] = (struct spdy_header){(char *)name, (char *)value, value_n};
    return 0;
}

int spdy_headers_parse(struct buf *block, const struct spdy_header_limits *limits, struct spdy_headers *ret,
                       struct err *err)
{
    struct cursor c = {(uint8_t *)block->data, (uint8_t *)block->data};
    struct spdy_headers h = {0};
    struct err refusal_err;
    int rc, refusal = 0;
    uint32_t n;

    if (block->len)
        c.end += block->len; /* an empty block has no memory */
    if ((rc = take32(&c, &n, err)) < 0)
        return rc;
    if (n > limits->headers_max)
        return err_set(err, GRPC_RESOURCE_EXHAUSTED, EMSGSIZE,
                       "header block of %u headers: at most %u are accepted", n, limits->headers_max);
    struct spdy_header *cleanup_free items = mem_alloc((n + 1) * sizeof(*items));
    h.items = items;
    while (h.n < n)
        if ((rc = pair_parse(&c, limits, &h, &refusal, &refusal_err, err)) < 0)
            return rc;
    if (c.p != c.end)
        return err_set(err, GRPC_INVALID_ARGUMENT, EPROTO, "header block has %zu bytes behind its last header",
                       (size_t)(c.end - c.p));
    if (refusal) {
        if (err)
            *err = refusal_err;
        return refusal;
    }
    for (size_t i = 0; i < n; i++)
        ((char *)h.items[i].value)[h.items[i].len] = '\0';
    ret->items = steal_ptr(&items);
    ret->n = n;
    return 0;
}

/* ---- writing ------------------------------------------------------------------------------------------------ */

size_t spdy_headers_size(const struct spdy_header *items, size_t n)
{
    size_t size = 4;

    for (size_t i = 0; i < n; i++)
        size += 8 + strlen(items[i].name) + items[i].len;
    return size;
}

static void put_stored(struct buf *out, size_t n)
{
    uint8_t head[5] = {0, (uint8_t)n, (uint8_t)(n >> 8), (uint8_t)~n, (uint8_t)(~n >> 8)};

    buf_add(out, head, sizeof(head));
}

void spdy_headers_put(struct buf *out, const struct spdy_header *items, size_t n, bool first)
{
    if (first) {
        buf_add(out, "\x78\xbb", 2); /* deflate, 32 KiB window, with a dictionary */
        spdy_put32(out, SPDY_DICTIONARY_ADLER);
    }
    put_stored(out, spdy_headers_size(items, n));
    spdy_put32(out, (uint32_t)n);
    for (size_t i = 0; i < n; i++) {
        size_t name_n = strlen(items[i].name);
        spdy_put32(out, (uint32_t)name_n);
        buf_add(out, items[i].name, name_n);
        spdy_put32(out, (uint32_t)items[i].len);
        buf_add(out, items[i].value, items[i].len);
    }
    put_stored(out, 0); /* what a sync flush ends with; a reader may give out a block's bytes only at it */
}
