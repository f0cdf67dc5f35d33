/* One forwarded connection: a local socket and a stream, with back-pressure from each to the other. */
#pragma once
#include "cli/stream.h"
#include "core/err.h"
#include <poll.h>

struct forward_conn;

/* Takes local (non-blocking) and stream, both always. */
struct forward_conn *forward_conn_new(int local, struct stream *stream, uint16_t remote);
void forward_conn_free(struct forward_conn *c);

/* Two entries: the local socket's and the stream's; -1 in fd where there is nothing to wait for. */
void forward_conn_events(const struct forward_conn *c, struct pollfd ret[static 2]);
int forward_conn_wait_ms(const struct forward_conn *c); /* -1: no limit */

/*
 * Moves what can be moved. 1: it goes on; 0: it is over, well; a negative errno with err: broken, the local client gets a reset.
 * Either way then free it.
 */
int forward_conn_turn(struct forward_conn *c, struct err *err) must_check;
