/*
 * A private libuv loop (libh2o runs on nothing else) inside our libev loop, by public calls of both libraries.
 *
 *   descriptor of uv's epoll readable --+
 *   nearest uv timer due ---------------+--> uv_run(NOWAIT)
 *   before libev's poll: work that is due at once (h2o answers by a zero timer; new descriptors wait for a run)
 *   after libev's poll: refresh uv's clock, which h2o reads for its timeouts
 */
#pragma once
#include "loop/loop.h"

struct uv_nest;
struct uv_loop_s;

struct uv_nest *uv_nest_new(struct loop *l);
struct uv_loop_s *uv_nest_loop(struct uv_nest *n);

/* Runs uv's callbacks until `settled` says so or nothing is due for limit_ms: for the end of the process, not for the loop. */
void uv_nest_settle(struct uv_nest *n, bool (*settled)(void *data), void *data, int limit_ms);

/* Every handle has been closed; their close callbacks run from here. NULL is fine. */
void uv_nest_free(struct uv_nest *n);
