#include "cli/stream_socket.h"
#include "core/mem.h"
#include "core/quote.h"

#include <arpa/inet.h>
#include <errno.h>
#include <limits.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>

enum phase { DIALING, SHAKING_HANDS, CONNECTED };

struct stream_socket {
    int fd;
    enum phase phase;
    struct addrinfo *addresses, *next; /* next: to be tried when this one fails */
    char name[STREAM_HOST_SIZE + 8];   /* "[::1]:10010", for messages */
    SSL_CTX *ctx;
    SSL *ssl;
    short read_wants, write_wants; /* poll events for which the last read, write waits */
};

void stream_socket_free(struct stream_socket *s)
{
    if (!s)
        return;
    SSL_free(s->ssl);
    SSL_CTX_free(s->ctx);
    if (s->addresses)
        freeaddrinfo(s->addresses);
    if (s->fd >= 0)
        close(s->fd);
    free(s);
}

/* ---- TLS ---- */

static int tls_error(const struct stream_socket *s, const char *doing, struct err *err)
{
    long verify = s->ssl ? SSL_get_verify_result(s->ssl) : X509_V_OK;
    unsigned long code = ERR_get_error();
    const char *why = code ? ERR_reason_error_string(code) : NULL;

    ERR_clear_error();
    if (verify != X509_V_OK && s->phase == SHAKING_HANDS)
        return err_set(
            err, GRPC_UNAVAILABLE, 0,
            "%s: its certificate does not fit the CA file: %s. Give the CA that signed it by --tls-ca, "
            "or leave that option out",
            s->name, X509_verify_cert_error_string(verify));
    return err_set(err, GRPC_UNAVAILABLE, 0, "%s: %s: %s", s->name, doing,
                   why ? why : "the TLS connection broke");
}

static bool is_address(const char *host)
{
    uint8_t any[sizeof(struct in6_addr)];

    return inet_pton(AF_INET, host, any) == 1 || inet_pton(AF_INET6, host, any) == 1;
}

static int tls_open(struct stream_socket *s, const struct stream_url *url, const char *ca_file, struct err *err)
{
    bool literal = is_address(url->host);

    s->ctx = SSL_CTX_new(TLS_client_method());
    if (!s->ctx)
        return tls_error(s, "TLS", err);
    SSL_CTX_set_options(s->ctx, SSL_OP_IGNORE_UNEXPECTED_EOF); /* WebSocket's own Close tells a whole end */
    SSL_CTX_set_mode(s->ctx, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
    if (ca_file && SSL_CTX_load_verify_locations(s->ctx, ca_file, NULL) != 1) {
        ERR_clear_error();
        return err_set(err, GRPC_INVALID_ARGUMENT, 0, "--tls-ca %s holds no certificate in PEM form", ca_file);
    }
    s->ssl = SSL_new(s->ctx);
    if (!s->ssl)
        return tls_error(s, "TLS", err);
    if (!literal)
        SSL_set_tlsext_host_name(s->ssl, url->host);
    if (!ca_file)
        return 0;
    SSL_set_verify(s->ssl, SSL_VERIFY_PEER, NULL);
    X509_VERIFY_PARAM *param = SSL_get0_param(s->ssl);
    if ((literal ? X509_VERIFY_PARAM_set1_ip_asc(param, url->host)
                 : X509_VERIFY_PARAM_set1_host(param, url->host, 0)) != 1)
        return tls_error(s, "TLS", err);
    return 0;
}

/* 1: it went on; -EAGAIN: *wants says for what; else err. done_at_end: an end is no error. */
static ssize_t tls_result(struct stream_socket *s, int rc, short *wants, bool done_at_end, const char *doing,
                          struct err *err)
{
    int sys = errno;

    switch (SSL_get_error(s->ssl, rc)) {
    case SSL_ERROR_NONE:
        return 1;
    case SSL_ERROR_WANT_READ:
        *wants = POLLIN;
        return -EAGAIN;
    case SSL_ERROR_WANT_WRITE:
        *wants = POLLOUT;
        return -EAGAIN;
    case SSL_ERROR_ZERO_RETURN:
        return done_at_end ? 0 : tls_error(s, doing, err);
    case SSL_ERROR_SYSCALL:
        return sys ? err_set(err, GRPC_UNAVAILABLE, sys, "%s: %s", s->name, doing) : tls_error(s, doing, err);
    default:
        return tls_error(s, doing, err);
    }
}

/* ---- connecting ---- */

/* Begins with the next address. 1: connected at once; 0: in progress. */
static int try_next(struct stream_socket *s, struct err *err)
{
    int sys = ECONNREFUSED, on = 1;

    while (s->next) {
        const struct addrinfo *a = s->next;
        s->next = a->ai_next;
        if (s->fd >= 0)
            close(s->fd);
        s->fd = socket(a->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
        if (s->fd < 0) {
            sys = errno;
            continue;
        }
        setsockopt(s->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
        setsockopt(s->fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof(on)); /* a node that is gone is noticed */
        if (connect(s->fd, a->ai_addr, a->ai_addrlen) == 0)
            return 1;
        if (errno == EINPROGRESS)
            return 0;
        sys = errno;
    }
    return err_set(err, GRPC_UNAVAILABLE, sys,
                   "the runtime's streaming server %s cannot be reached: it must be reachable from here",
                   s->name);
}

int stream_socket_open(const struct stream_url *url, const char *ca_file, struct stream_socket **ret,
                       struct err *err)
{
    const struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICSERV};
    struct stream_socket *s = mem_new(struct stream_socket);
    int rc;

    s->fd = -1;
    s->read_wants = POLLIN;
    s->write_wants = POLLOUT;
    snprintf(s->name, sizeof(s->name), "%s%.*s%s:%s", url->v6 ? "[" : "", STREAM_HOST_SIZE - 1, url->host,
             url->v6 ? "]" : "", url->port);
    if ((rc = getaddrinfo(url->host, url->port, &hints, &s->addresses)) != 0) {
        rc = err_set(err, GRPC_UNAVAILABLE, 0, "the runtime's streaming server %s: %s", s->name,
                     gai_strerror(rc));
    } else {
        s->next = s->addresses;
        rc = url->tls ? tls_open(s, url, ca_file, err) : 0;
        if (!rc)
            rc = try_next(s, err);
    }
    if (rc < 0) {
        stream_socket_free(s);
        return rc;
    }
    *ret = s;
    return 0;
}

/* The outcome of connect(2), which poll tells by POLLOUT. */
static int check_connected(struct stream_socket *s, struct err *err)
{
    struct pollfd p = {.fd = s->fd, .events = POLLOUT};
    int sys = 0;
    socklen_t n = sizeof(sys);

    if (poll(&p, 1, 0) == 0)
        return 0;
    if (getsockopt(s->fd, SOL_SOCKET, SO_ERROR, &sys, &n) < 0)
        sys = errno;
    if (!sys)
        return 1;
    if (s->next)
        return try_next(s, err);
    return err_set(err, GRPC_UNAVAILABLE, sys,
                   "the runtime's streaming server %s cannot be reached: it must be reachable from here",
                   s->name);
}

int stream_socket_connect(struct stream_socket *s, struct err *err)
{
    if (s->phase == DIALING) {
        int rc = check_connected(s, err);
        if (rc <= 0)
            return rc;
        s->phase = s->ssl ? SHAKING_HANDS : CONNECTED;
        if (s->ssl && SSL_set_fd(s->ssl, s->fd) != 1)
            return tls_error(s, "TLS", err);
    }
    if (s->phase == SHAKING_HANDS) {
        ssize_t rc = tls_result(s, SSL_connect(s->ssl), &s->read_wants, false, "TLS handshake", err);
        if (rc < 0)
            return rc == -EAGAIN ? 0 : (int)rc;
        s->read_wants = POLLIN;
        s->phase = CONNECTED;
    }
    return 1;
}

int stream_socket_fd(const struct stream_socket *s)
{
    return s->fd;
}

short stream_socket_events(const struct stream_socket *s, bool reads, bool writes)
{
    if (s->phase == DIALING)
        return POLLOUT;
    if (s->phase == SHAKING_HANDS)
        return s->read_wants;
    return (short)((reads ? s->read_wants : 0) | (writes ? s->write_wants : 0));
}

/* ---- bytes ---- */

static ssize_t plain_result(const struct stream_socket *s, ssize_t n, const char *doing, struct err *err)
{
    if (n >= 0)
        return n;
    if (errno == EAGAIN || errno == EINTR)
        return -EAGAIN;
    return err_set(err, GRPC_UNAVAILABLE, errno, "%s: %s", s->name, doing);
}

ssize_t stream_socket_read(struct stream_socket *s, void *p, size_t n, struct err *err)
{
    int take = n > INT_MAX ? INT_MAX : (int)n;

    if (!s->ssl)
        return plain_result(s, recv(s->fd, p, n, 0), "reading", err);
    s->read_wants = POLLIN;
    ERR_clear_error();
    errno = 0;
    int got = SSL_read(s->ssl, p, take);
    ssize_t rc = tls_result(s, got, &s->read_wants, true, "reading", err);
    return rc == 1 ? got : rc;
}

ssize_t stream_socket_write(struct stream_socket *s, const void *p, size_t n, struct err *err)
{
    int take = n > INT_MAX ? INT_MAX : (int)n;

    if (!s->ssl)
        return plain_result(s, send(s->fd, p, n, MSG_NOSIGNAL), "writing", err);
    s->write_wants = POLLOUT;
    ERR_clear_error();
    errno = 0;
    int put = SSL_write(s->ssl, p, take);
    ssize_t rc = tls_result(s, put, &s->write_wants, false, "writing", err);
    return rc == 1 ? put : rc;
}
