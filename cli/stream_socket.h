/*
 * A TCP connection to the runtime's streaming server, with TLS where the URL says https. Nothing here blocks but the
 * resolution of a host's name; the owner polls. Writing may raise SIGPIPE with TLS: the owner ignores it.
 *
 * TLS encrypts always; it verifies only against a CA that was named. A runtime's streaming server has a certificate of its own
 * making, mostly on the loopback device, and its address and token came over a socket of the runtime's: so crictl does it, too.
 */
#pragma once
#include "cli/stream_url.h"
#include "core/err.h"
#include <stddef.h>
#include <sys/types.h>

struct stream_socket;

/* Begins to connect. ca_file NULL: the certificate is not verified. */
int stream_socket_open(const struct stream_url *url, const char *ca_file, struct stream_socket **ret,
                       struct err *err) must_check;
void stream_socket_free(struct stream_socket *s);

/* 1: connected; 0: poll and call again; a negative errno: every address has failed, or TLS has. */
int stream_socket_connect(struct stream_socket *s, struct err *err) must_check;

/* Bytes moved; 0 from read is the end; -EAGAIN (without err): poll and call again; else a negative errno with err. */
ssize_t stream_socket_read(struct stream_socket *s, void *p, size_t n, struct err *err) must_check;
ssize_t stream_socket_write(struct stream_socket *s, const void *p, size_t n, struct err *err) must_check;

/* For poll(2); it changes while connecting. reads, writes: what the owner would do. */
int stream_socket_fd(const struct stream_socket *s);
short stream_socket_events(const struct stream_socket *s, bool reads, bool writes);
