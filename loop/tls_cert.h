/*
 * The streaming server's certificate: an OpenSSL context from PEM files that is made anew when a file has changed (device,
 * inode, size or time), which is looked at for each new connection. A new one that cannot be used is logged once, and the old
 * one stays. TLS 1.2 at least, ALPN http/1.1 only, no sessions and no tickets: a connection leaves nothing behind.
 * A handshake's signature is made on the loop: well below 1 ms with an EC key or RSA of 2048 bits, some ms with RSA of 4096.
 * OpenSSL itself costs about 400 KiB, once.
 */
#pragma once
#include "core/err.h"

struct tls_cert;
struct ssl_ctx_st;

struct tls_files {    /* copied */
    const char *cert; /* the chain, leaf first */
    const char *key;  /* without a passphrase */
    const char
        *client_ca; /* NULL: clients need no certificate; else they must have one of these authorities' */
};

int tls_cert_new(const struct tls_files *files, struct tls_cert **ret, struct err *err) must_check;
void tls_cert_free(struct tls_cert *c); /* connections keep the context that they have. NULL is fine */

/* The context for the next connection: valid until the next call, SSL_new() holds it for longer. */
struct ssl_ctx_st *tls_cert_context(struct tls_cert *c);
