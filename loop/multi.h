/*
 * libcurl's multi interface on our loop. The multi handle, with its connections and TLS sessions, is made for the first
 * transfer and freed MULTI_IDLE_SECONDS after the last one, so that an idle daemon has none of that memory.
 */
#pragma once
#include "loop/loop.h"
#include "loop/curl_lib.h"

enum { MULTI_IDLE_SECONDS = 5 };

struct multi;
typedef void multi_done_fn(void *easy_private, CURLcode code);

/* on_done gets the easy handle's CURLOPT_PRIVATE, after the handle was removed, and never inside a call of libcurl's. */
struct multi *multi_new(struct loop *l, multi_done_fn *on_done);
void multi_free(struct multi *m); /* no transfer may be left */

void multi_add(struct multi *m, CURL *easy);
void multi_remove(struct multi *m, CURL *easy); /* not from inside one of libcurl's callbacks */
bool multi_exists(const struct multi *m);       /* for the tests */
