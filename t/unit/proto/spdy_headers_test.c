#include "proto/spdy_headers.c"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

/* A block as it is inflated: names and values, with '|' for the NUL between two strings. */
static void block_of(struct buf *raw, const char *const pairs[][2], uint32_t n)
{
    spdy_put32(raw, n);
    for (uint32_t i = 0; i < n; i++)
        for (int k = 0; k < 2; k++) {
            spdy_put32(raw, (uint32_t)strlen(pairs[i][k]));
            for (const char *p = pairs[i][k]; *p; p++)
                buf_add(raw, *p == '|' ? "" : p, 1);
        }
}

static void test_dictionary(void **state)
{
    (void)state;
    const uint8_t *d = spdy_dictionary();
    assert_int_equal(adler32(adler32(0, NULL, 0), d, SPDY_DICTIONARY_SIZE), SPDY_DICTIONARY_ADLER);
    assert_memory_equal(d, "\0\0\0\7options\0\0\0\4head", 19);
    assert_memory_equal(d + SPDY_DICTIONARY_SIZE - 6, "enq=0.", 6);
}

static const struct spdy_header_limits loose = {65536, 64, 256, 16384};

static void test_headers_parse(void **state)
{
    static const struct {
        const char *block;
        size_t n;
        int rc;
        const char *says;
    } rows[] = {
        {"\0\0\0\0", 4, 0, NULL},
        {"\0\0\0\1\0\0\0\1a\0\0\0\0", 13, 0, NULL},
        {"\0\0\0\1\0\0\0\1a\0\0\0\3b\0c", 16, 0, NULL},
        {"", 0, -EPROTO, "ends within a length"},
        {"\0\0\0", 3, -EPROTO, "ends within a length"},
        {"\0\0\0\1", 4, -EPROTO, "ends within a length"},
        {"\0\0\0\1\0\0\0\2a", 9, -EPROTO, "1 bytes left, but its name says it has 2"},
        {"\0\0\0\1\0\0\0\1a\0\0\0", 12, -EPROTO, "ends within a length"},
        {"\0\0\0\1\0\0\0\1a\377\377\377\377", 13, -EPROTO,
         "0 bytes left, but its value says it has 4294967295"},
        {"\0\0\0\0x", 5, -EPROTO, "1 bytes behind its last header"},
        {"\0\0\0\101", 4, -EMSGSIZE, "65 headers: at most 64"},
        {"\377\377\377\377", 4, -EMSGSIZE, "at most 64"},
        {"\0\0\0\1\0\0\0\0\0\0\0\1b", 13, -EBADMSG, "its name is empty"},
        {"\0\0\0\1\0\0\0\1A\0\0\0\1b", 14, -EBADMSG, "\"A\": its name must be lower-case"},
        {"\0\0\0\1\0\0\0\1\0\0\0\0\1b", 14, -EBADMSG, "no visible ASCII"},
        {"\0\0\0\1\0\0\0\1\200\0\0\0\1b", 14, -EBADMSG, "no visible ASCII"},
        {"\0\0\0\2\0\0\0\1a\0\0\0\1b\0\0\0\1a\0\0\0\1c", 24, -EBADMSG, "it is there twice"},
        {"\0\0\0\1\0\0\0\1a\0\0\0\1\0", 14, -EBADMSG, "empty string among several"},
        {"\0\0\0\1\0\0\0\1a\0\0\0\2b\0", 15, -EBADMSG, "empty string among several"},
        {"\0\0\0\1\0\0\0\1a\0\0\0\4b\0\0c", 17, -EBADMSG, "empty string among several"},
        /* a broken block is worse than a refused name before the break */
        {"\0\0\0\2\0\0\0\1A\0\0\0\1b", 14, -EPROTO, "ends within a length"},
    };

    (void)state;
    for (size_t i = 0; i < countof(rows); i++) {
        struct buf cleanup_buf b = {0};
        struct spdy_headers h = {0};
        struct err err = {0};

        buf_add(&b, rows[i].block, rows[i].n);
        int rc = spdy_headers_parse(&b, &loose, &h, &err);
        if (rc != rows[i].rc || (rows[i].says && !strstr(err.msg, rows[i].says)))
            fail_msg("row %zu: %d, %s", i, rc, err.msg);
        free(h.items);
    }
}

static void test_headers_values(void **state)
{
    struct buf cleanup_buf b = {0};
    struct spdy_headers h;
    struct err err;

    (void)state;
    block_of(&b, (const char *const[][2]){{"streamtype", "stdin"}, {"v", "one|two|three"}, {"empty", ""}}, 3);
    assert_int_equal(spdy_headers_parse(&b, &loose, &h, &err), 0);
    assert_int_equal(h.n, 3);
    assert_string_equal(spdy_header_get(&h, "streamtype"), "stdin");
    assert_string_equal(spdy_header_get(&h, "empty"), "");
    assert_null(spdy_header_get(&h, "stream"));
    const struct spdy_header *v = spdy_header_find(&h, "v");
    const char *s = spdy_header_next(v, NULL);
    assert_string_equal(s, "one");
    s = spdy_header_next(v, s);
    assert_string_equal(s, "two");
    s = spdy_header_next(v, s);
    assert_string_equal(s, "three");
    assert_null(spdy_header_next(v, s));
    free(h.items);
}

/* What is written, zlib reads: block after block, in one stream. */
static void test_headers_put(void **state)
{
    static const struct spdy_header items[] = {{"a", "one", 3}, {"b", "x\0y", 3}, {"c", "", 0}};
    struct spdy_inflater *z = spdy_inflater_new();
    struct buf cleanup_buf raw = {0};

    (void)state;
    for (size_t n = 0; n <= 3; n++) {
        struct buf cleanup_buf wire = {0};
        struct spdy_headers h = {0};
        struct err err;

        spdy_headers_put(&wire, items, n, n == 0);
        assert_int_equal(spdy_inflate(z, wire.data, wire.len, spdy_headers_size(items, n), &raw, &err), 0);
        assert_int_equal(raw.len, spdy_headers_size(items, n));
        assert_int_equal(spdy_headers_parse(&raw, &loose, &h, &err), 0);
        assert_int_equal(h.n, n);
        for (size_t i = 0; i < n; i++) {
            assert_string_equal(h.items[i].name, items[i].name);
            assert_int_equal(h.items[i].len, items[i].len);
            assert_memory_equal(h.items[i].value, items[i].value, items[i].len);
        }
        free(h.items);
    }
    spdy_inflater_free(z);
}

/* At the limit a block is taken, and one byte above it is not. */
static void test_inflate_max(void **state)
{
    static const struct spdy_header item = {"a", "value", 5};

    (void)state;
    for (size_t less = 0; less < 2; less++) {
        struct spdy_inflater *z = spdy_inflater_new();
        struct buf cleanup_buf wire = {0}, cleanup_buf raw = {0};
        struct err err = {0};

        spdy_headers_put(&wire, &item, 1, true);
        int rc = spdy_inflate(z, wire.data, wire.len, spdy_headers_size(&item, 1) - less, &raw, &err);
        assert_int_equal(rc, less ? -EMSGSIZE : 0);
        spdy_inflater_free(z);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_dictionary),     cmocka_unit_test(test_headers_parse),
        cmocka_unit_test(test_headers_values), cmocka_unit_test(test_headers_put),
        cmocka_unit_test(test_inflate_max),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
