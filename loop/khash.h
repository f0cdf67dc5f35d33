/*
 * Stands in for the klib header of this name, which h2o/http2_internal.h includes and no distribution ships. h2o uses
 * its hash in one inline function (stream by id) that we never call; so the map stays an incomplete type here, and a
 * use of it would fail at link time. Found through -idirafter: a real khash.h would win.
 */
#pragma once

typedef unsigned khint_t;
typedef khint_t khiter_t;

#define khash_t(name) struct kh_##name
#define KHASH_MAP_INIT_INT64(name, value)                                                                      \
    struct kh_##name;                                                                                          \
    value kh_value_##name(const struct kh_##name *map, khiter_t at);                                           \
    khiter_t kh_get_##name(const struct kh_##name *map, unsigned long long key);

#define kh_get(name, map, key) kh_get_##name(map, key)
#define kh_end(map)            ((khiter_t)0)
#define kh_val(map, at)        kh_value_h2o_http2_stream_t(map, at)
