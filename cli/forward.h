/*
 * The engine of `cricket port-forward`: listens on local ports, and for each accepted connection opens one stream to the port
 * of the pod. One poll loop; asking the runtime for a stream's URL blocks it for one call.
 *
 * Memory a connection: a stream's (stream.h), and 1 KiB of an error's text. FORWARD_MAX connections at once; more wait in the
 * listeners' queues.
 */
#pragma once
#include "cli/forward_port.h"
#include "core/err.h"
#include <stddef.h>
#include <stdint.h>

enum { FORWARD_PORTS_MAX = 64, FORWARD_MAX = 512 };

struct forward_options {
    const char *address; /* to listen on: an IPv4 or IPv6 address */
    const struct forward_port *ports;
    size_t ports_n; /* 1 to FORWARD_PORTS_MAX */
    const char *ca_file;
    int timeout_ms; /* see stream.h */
    int signals;    /* readable: end */
    /* A new URL for one connection to this port of the pod; the caller frees it. NOT_FOUND ends the whole forwarding. */
    int (*dial)(void *data, uint16_t remote, char **ret_url, struct err *err);
    void *data;
};

/* Prints on stdout where it listens, on stderr what failed in a connection. Returns 0 when `signals` is readable. */
int forward_run(const struct forward_options *options, struct err *err) must_check;
