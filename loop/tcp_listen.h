/* A listening TCP socket on a numeric address, as the streaming server wants it. */
#pragma once
#include "core/err.h"
#include <stdint.h>

/*
 * Non-blocking and close-on-exec. What it accepts has TCP_NODELAY, and keep-alive probes that find a dead peer host within
 * two minutes. Port 0: any free one; *ret_port has the one that it is.
 * INVALID_ARGUMENT for an address that is no number, ALREADY_EXISTS for a port that is taken.
 */
int tcp_listen(const char *address, uint16_t port, uint16_t *ret_port, int *ret_fd, struct err *err) must_check;
