/* The streaming server over TLS, against OpenSSL as the client: handshakes that fail, back-pressure both ways, all ends. */
#include "loop/http_server.c"
#include "loop/tls_relay.c"
#include "core/buf.h"
#include "t/unit/loop/stream_pair.h"
#include "t/unit/loop/tls_pki.h"

#include <signal.h>
#include <sys/stat.h>

enum { MIB = 1 << 20, ALL = 8 * MIB };

#define UPGRADE "GET /exec/x HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: SPDY/3.1\r\n\r\n"

struct client {
    int fd;
    SSL_CTX *ctx;
    SSL *ssl;
    struct buf got;
    int end; /* 0: open; else an SSL_ERROR_* */
};

static struct {
    struct loop *l;
    struct http_server *server;
    struct http_server_spec spec;
    int fds, loop_fds;
    char dir[32], cert[64], key[64], ca[64];
    struct identity authority, other, host, user, stranger;
    size_t requests, gone, drains;
    struct stream_conn *stream;
    struct buf got; /* by the stream */
} t;

static void see_data(void *data, const uint8_t *p, size_t n)
{
    (void)data;
    buf_add(&t.got, p, n);
}

static void see_drain(void *data)
{
    (void)data;
    t.drains++;
}

static void see_gone(void *data, const struct err *err)
{
    (void)data;
    (void)err;
    t.gone++;
    stream_conn_free(t.stream);
    t.stream = NULL;
}

static const struct stream_conn_events events = {see_data, see_drain, see_gone};

/* The stream is left paused. */
static void on_open(void *data, struct stream_conn *c)
{
    (void)data;
    t.stream = c;
    if (c)
        stream_conn_start(c, &events, &t);
}

static void on_test_request(void *data, struct http_request *r)
{
    struct http_header h = {"Upgrade", "SPDY/3.1"};

    (void)data;
    t.requests++;
    if (http_request_upgrade_to(r))
        http_request_upgrade(r, &h, 1, on_open, &t);
    else
        http_request_answer(r, 404, NULL, 0, "there is nothing here\n");
}

static void server_start(void)
{
    struct err err = {0};

    if (http_server_start(t.l, &t.spec, on_test_request, &t, &t.server, &err) < 0)
        fail_msg("%s", err.msg);
}

static int setup_process(void **state)
{
    struct loop *l = loop_new();

    (void)state;
    uv_nest_free(uv_nest_new(l)); /* the first loop of libuv makes a pipe that the process keeps */
    loop_free(l);
    t.authority = identity_new("the test's authority", 1, NULL);
    t.other = identity_new("another authority", 1, NULL);
    t.host = identity_new("host", 100, &t.authority);
    t.user = identity_new("user", 101, &t.authority);
    t.stranger = identity_new("stranger", 102, &t.other);
    return 0;
}

static int teardown_process(void **state)
{
    struct identity *all[] = {&t.authority, &t.other, &t.host, &t.user, &t.stranger};

    (void)state;
    for (size_t i = 0; i < countof(all); i++)
        identity_free(all[i]);
    return 0;
}

static int setup(void **state)
{
    (void)state;
    signal(SIGPIPE, SIG_IGN); /* as the daemon does, for OpenSSL and libuv */
    t.fds = open_descriptors();
    t.requests = t.gone = t.drains = 0;
    t.server = NULL;
    t.stream = NULL;
    t.got = (struct buf){0};
    strcpy(t.dir, "/tmp/cricket-tls-XXXXXX");
    assert_non_null(mkdtemp(t.dir));
    snprintf(t.cert, sizeof(t.cert), "%s/cert.pem", t.dir);
    snprintf(t.key, sizeof(t.key), "%s/key.pem", t.dir);
    snprintf(t.ca, sizeof(t.ca), "%s/ca.pem", t.dir);
    cert_write(t.cert, t.host.cert, NULL);
    key_write(t.key, t.host.key, NULL);
    cert_write(t.ca, t.other.cert, t.authority.cert);
    t.l = loop_new();
    turn(t.l);
    t.loop_fds = open_descriptors();
    t.spec = (struct http_server_spec){.address = "127.0.0.1", .tls_cert = t.cert, .tls_key = t.key};
    return 0;
}

static int setup_server(void **state)
{
    (void)setup(state);
    server_start();
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    stream_conn_free(t.stream);
    if (t.server)
        wait_until(t.l, t.server->slots->used == 0);
    http_server_free(t.server);
    wait_until(t.l, open_descriptors() == t.loop_fds);
    loop_free(t.l);
    buf_done(&t.got);
    unlink(t.cert);
    unlink(t.key);
    unlink(t.ca);
    assert_int_equal(rmdir(t.dir), 0);
    assert_int_equal(open_descriptors(), t.fds);
    return 0;
}

/* ---- the client -------------------------------------------------------------------------------------------------- */

/* Trusts the authority, and has `id` to show. */
static struct client client_new(int version, const struct identity *id, const struct identity *trusts)
{
    struct client c = {.fd = tcp_connect(http_server_port(t.server)), .ctx = SSL_CTX_new(TLS_client_method())};

    SSL_CTX_set_min_proto_version(c.ctx, version);
    SSL_CTX_set_max_proto_version(c.ctx, version);
    SSL_CTX_set_mode(c.ctx, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
    X509_STORE_add_cert(SSL_CTX_get_cert_store(c.ctx), trusts->cert);
    SSL_CTX_set_verify(c.ctx, SSL_VERIFY_PEER, NULL);
    if (id) {
        assert_int_equal(SSL_CTX_use_certificate(c.ctx, id->cert), 1);
        assert_int_equal(SSL_CTX_use_PrivateKey(c.ctx, id->key), 1);
    }
    c.ssl = SSL_new(c.ctx);
    SSL_set_fd(c.ssl, c.fd);
    return c;
}

static void client_close(struct client *c)
{
    SSL_free(c->ssl);
    SSL_CTX_free(c->ctx);
    if (c->fd >= 0)
        close(c->fd);
    c->fd = -1;
    buf_done(&c->got);
}

/* Keeps the end that it sees; true when there is one, or the call succeeded. */
static bool client_over(struct client *c, int rc)
{
    if (rc > 0)
        return true;
    int e = SSL_get_error(c->ssl, rc);
    if (e != SSL_ERROR_WANT_READ && e != SSL_ERROR_WANT_WRITE)
        c->end = e;
    return c->end != 0;
}

static bool client_try(struct client *c)
{
    ERR_clear_error();
    return client_over(c, SSL_connect(c->ssl));
}

static void client_connect(struct client *c)
{
    wait_until(t.l, client_try(c));
    assert_int_equal(c->end, 0);
}

static int client_read(struct client *c)
{
    char block[16384];
    int n = 0;

    while (c->end == 0) {
        ERR_clear_error();
        n = SSL_read(c->ssl, block, sizeof(block));
        if (n > 0)
            buf_add(&c->got, block, (size_t)n);
        else if (!client_over(c, n))
            break;
    }
    return c->end;
}

/* As much as goes without the server's help. */
static size_t client_push(struct client *c, const char *p, size_t n)
{
    size_t done = 0;

    while (done < n) {
        ERR_clear_error();
        int rc = SSL_write(c->ssl, p + done, (int)(n - done));
        if (rc <= 0)
            break;
        done += (size_t)rc;
    }
    return done;
}

static void client_say(struct client *c, const char *text)
{
    assert_int_equal(client_push(c, text, strlen(text)), strlen(text));
}

static bool client_has(struct client *c, const char *text)
{
    (void)client_read(c);
    return c->got.data && strstr(c->got.data, text);
}

/* A client whose stream is open, with nothing read from it. */
static struct client client_upgraded(int version)
{
    struct client c = client_new(version, NULL, &t.authority);

    client_connect(&c);
    client_say(&c, UPGRADE);
    wait_until(t.l, client_has(&c, "\r\n\r\n") && t.stream);
    buf_done(&c.got);
    return c;
}

static void stream_say(const char *p, size_t n)
{
    stream_conn_write(t.stream, &(struct iovec){(void *)p, n}, 1);
}

static char *pattern(void)
{
    char *p = mem_alloc(ALL);

    for (size_t i = 0; i < ALL; i++)
        p[i] = (char)(i * 2654435761u >> 13);
    return p;
}

/* ---- handshakes -------------------------------------------------------------------------------------------------- */

static void both_versions(void **state)
{
    static const int versions[] = {TLS1_2_VERSION, TLS1_3_VERSION};

    (void)state;
    for (size_t i = 0; i < countof(versions); i++) {
        struct client c = client_new(versions[i], NULL, &t.authority);
        client_connect(&c);
        client_say(&c, UPGRADE "left over");
        wait_until(t.l, t.stream);
        stream_conn_read(t.stream, true);
        wait_until(t.l, t.got.len == 9);
        assert_string_equal(t.got.data, "left over");
        stream_say("hello", 5);
        wait_until(t.l, client_has(&c, "\r\n\r\nhello"));
        assert_memory_equal(c.got.data, "HTTP/1.1 101 ", 13);
        client_close(&c);
        wait_until(t.l, t.gone == i + 1);
        buf_done(&t.got);
    }
}

static void an_answer_ends_with_close_notify(void **state)
{
    struct client c;

    (void)state;
    c = client_new(TLS1_3_VERSION, NULL, &t.authority);
    client_connect(&c);
    client_say(&c, "GET /x HTTP/1.1\r\nHost: a\r\n\r\nrubbish");
    wait_until(t.l, client_read(&c));
    assert_int_equal(c.end, SSL_ERROR_ZERO_RETURN);
    assert_int_equal(SSL_get_shutdown(c.ssl) & SSL_RECEIVED_SHUTDOWN, SSL_RECEIVED_SHUTDOWN);
    assert_memory_equal(c.got.data, "HTTP/1.1 404 ", 13);
    assert_true(client_has(&c, "there is nothing here\n"));
    client_close(&c);
}

static void fails_to_connect(struct client c)
{
    wait_until(t.l, client_try(&c));
    if (c.end == 0) /* TLS 1.3: the client is done before the server has looked at its certificate */
        wait_until(t.l, client_read(&c));
    assert_int_not_equal(c.end, 0);
    client_close(&c);
    wait_until(t.l, t.server->slots->used == 0);
    assert_null(t.server->conns);
    assert_int_equal(t.requests, 0);
}

static void old_versions_and_wrong_authorities(void **state)
{
    struct client c;

    (void)state;
    c = client_new(TLS1_1_VERSION, NULL, &t.authority);
    SSL_set_security_level(c.ssl, 0);
    SSL_set_cipher_list(c.ssl, "ALL:@SECLEVEL=0");
    fails_to_connect(c);
    fails_to_connect(client_new(TLS1_2_VERSION, NULL, &t.other));
    fails_to_connect(client_new(TLS1_3_VERSION, NULL, &t.other));
    c = client_upgraded(TLS1_3_VERSION);
    client_close(&c);
}

static void client_certificates(void **state)
{
    static const int versions[] = {TLS1_2_VERSION, TLS1_3_VERSION};
    struct client c;

    (void)state;
    cert_write(t.ca, t.authority.cert, NULL);
    t.spec.tls_client_ca = t.ca;
    server_start();
    for (size_t i = 0; i < countof(versions); i++) {
        fails_to_connect(client_new(versions[i], NULL, &t.authority));
        fails_to_connect(client_new(versions[i], &t.stranger, &t.authority));
    }
    c = client_new(TLS1_3_VERSION, &t.user, &t.authority);
    client_connect(&c);
    client_say(&c, "GET /x HTTP/1.1\r\n\r\n");
    wait_until(t.l, client_has(&c, "404"));
    client_close(&c);
    /* the authorities may change, and there may be several */
    cert_write(t.ca, t.authority.cert, t.other.cert);
    c = client_new(TLS1_2_VERSION, &t.stranger, &t.authority);
    client_connect(&c);
    client_close(&c);
}

static void alpn(void **state)
{
    struct client c;
    const unsigned char *chosen;
    unsigned n;

    (void)state;
    c = client_new(TLS1_3_VERSION, NULL, &t.authority);
    SSL_set_alpn_protos(c.ssl, (const uint8_t *)"\x02h2\x08http/1.1", 12);
    client_connect(&c);
    SSL_get0_alpn_selected(c.ssl, &chosen, &n);
    assert_int_equal(n, 8);
    assert_memory_equal(chosen, "http/1.1", 8);
    client_close(&c);
    wait_until(t.l, t.server->slots->used == 0);
    c = client_new(TLS1_3_VERSION, NULL, &t.authority);
    SSL_set_alpn_protos(c.ssl, (const uint8_t *)"\x02h2", 3);
    fails_to_connect(c);
}

static void plain_text_to_a_tls_port(void **state)
{
    char block[256];
    ssize_t n;

    (void)state;
    int fd = tcp_connect(http_server_port(t.server));
    assert_true(send(fd, UPGRADE, strlen(UPGRADE), 0) > 0);
    do
        wait_until(t.l, (n = recv(fd, block, sizeof(block), 0)) >= 0 || errno != EAGAIN);
    while (n > 0);
    close(fd);
    assert_int_equal(t.requests, 0);
    assert_null(t.server->conns);
}

static void a_silent_client(void **state)
{
    char byte;
    ssize_t n;

    (void)state;
    int fd = tcp_connect(http_server_port(t.server));
    wait_until(t.l, t.server->conns);
    struct tls_relay *r = t.server->conns->relay;
    assert_true(timer_active(&r->timer));
    turns(t.l, 20);
    assert_non_null(t.server->conns);
    timer_start(&r->timer, t.l, 0, on_handshake_timeout, r);
    wait_until(t.l, (n = recv(fd, &byte, 1, 0)) >= 0 || errno != EAGAIN);
    assert_int_equal(n, 0);
    close(fd);
    assert_null(t.server->conns);
}

static void freeing_the_server(void **state)
{
    struct client c, shaking;
    int silent;

    (void)state;
    c = client_upgraded(TLS1_3_VERSION);
    silent = tcp_connect(http_server_port(t.server));
    shaking = client_new(TLS1_3_VERSION, NULL, &t.authority);
    (void)client_try(&shaking);
    wait_until(t.l, t.server->slots->used == 3);
    struct client reading = client_new(TLS1_2_VERSION, NULL, &t.authority);
    client_connect(&reading);
    client_say(&reading, "GET / HT");
    turns(t.l, 3);
    http_server_free(t.server);
    t.server = NULL;
    stream_conn_read(t.stream, true);
    client_say(&c, "alive");
    wait_until(t.l, t.got.len == 5);
    wait_until(t.l, client_read(&reading));
    assert_int_equal(reading.end, SSL_ERROR_ZERO_RETURN);
    close(silent);
    client_close(&reading);
    client_close(&shaking);
    client_close(&c);
    wait_until(t.l, t.gone == 1);
}

/* ---- certificates that change ------------------------------------------------------------------------------------ */

static long serial_seen(void)
{
    struct client c = client_new(TLS1_3_VERSION, NULL, &t.authority);

    client_connect(&c);
    X509 *cert = SSL_get1_peer_certificate(c.ssl);
    long serial = ASN1_INTEGER_get(X509_get0_serialNumber(cert));
    X509_free(cert);
    client_close(&c);
    return serial;
}

static void certificates_are_read_anew(void **state)
{
    struct identity next = identity_new("next host", 200, &t.authority);
    FILE *f;

    (void)state;
    assert_int_equal(serial_seen(), 100);
    struct ssl_ctx_st *ctx = tls_cert_context(t.server->cert);
    assert_ptr_equal(tls_cert_context(t.server->cert), ctx);
    cert_write(t.cert, next.cert, t.authority.cert); /* the key is the old one still */
    assert_int_equal(serial_seen(), 100);
    assert_int_equal(serial_seen(), 100);
    key_write(t.key, next.key, NULL);
    assert_int_equal(serial_seen(), 200);
    assert_ptr_not_equal(tls_cert_context(t.server->cert), ctx);
    f = fopen(t.cert, "we"); /* in place */
    fputs("nonsense\n", f);
    fclose(f);
    assert_int_equal(serial_seen(), 200);
    unlink(t.key);
    assert_int_equal(serial_seen(), 200);
    cert_write(t.cert, t.host.cert, NULL);
    key_write(t.key, t.host.key, NULL);
    assert_int_equal(serial_seen(), 100);
    identity_free(&next);
}

/* A connection keeps the context that it began with. */
static void an_open_stream_outlives_its_certificate(void **state)
{
    struct identity next = identity_new("next host", 200, &t.authority);
    struct client c;

    (void)state;
    c = client_upgraded(TLS1_3_VERSION);
    cert_write(t.cert, next.cert, NULL);
    key_write(t.key, next.key, NULL);
    assert_int_equal(serial_seen(), 200);
    stream_conn_read(t.stream, true);
    client_say(&c, "alive");
    wait_until(t.l, t.got.len == 5);
    client_close(&c);
    identity_free(&next);
}

static void fails(const char *words)
{
    struct http_server *s = NULL;
    struct err err = {0};

    assert_true(http_server_start(t.l, &t.spec, on_test_request, &t, &s, &err) < 0);
    assert_null(s);
    if (!strstr(err.msg, words))
        fail_msg("\"%s\" is not in \"%s\"", words, err.msg);
    if (!strstr(err.msg, t.dir))
        fail_msg("no file is named in \"%s\"", err.msg);
}

static void text_write(const char *path, const char *text)
{
    FILE *f = fopen(path, "we");

    fputs(text, f);
    fclose(f);
}

static void files_that_cannot_be_used(void **state)
{
    (void)state;
    key_write(t.key, t.user.key, NULL);
    fails("key.pem: the key does not belong to the certificate in");
    key_write(t.key, t.host.key, "a passphrase");
    fails("key.pem: no PEM private key without a passphrase in it");
    text_write(t.key, "nonsense");
    fails("key.pem: no PEM private key");
    text_write(t.key, "");
    fails("key.pem: no PEM private key");
    unlink(t.key);
    fails("key.pem: No such file");
    key_write(t.key, t.host.key, NULL);

    text_write(t.cert, "nonsense");
    fails("cert.pem: no PEM certificate in it");
    text_write(t.cert, "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n");
    fails("cert.pem: no PEM certificate in it");
    cert_write(t.cert, t.host.cert, NULL);
    FILE *f = fopen(t.cert, "ae");
    fputs("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", f);
    fclose(f);
    fails("cert.pem: a certificate of the chain is broken");
    unlink(t.cert);
    assert_int_equal(mkfifo(t.cert, 0600), 0); /* must not make the daemon wait */
    fails("cert.pem");
    unlink(t.cert);
    cert_write(t.cert, t.host.cert, NULL);

    t.spec.tls_client_ca = t.ca;
    text_write(t.ca, "");
    fails("ca.pem: no PEM certificate in it");
    unlink(t.ca);
    fails("ca.pem: No such file");
}

/* ---- streams ----------------------------------------------------------------------------------------------------- */

static void client_data_comes_before_its_end(void **state)
{
    static const int versions[] = {TLS1_2_VERSION, TLS1_3_VERSION};
    cleanup_free char *p = pattern();

    (void)state;
    for (size_t i = 0; i < countof(versions); i++) {
        struct client c = client_upgraded(versions[i]);
        size_t sent = client_push(&c, p, ALL);
        assert_true(sent > 100000);
        stream_conn_read(t.stream, true);
        wait_until(t.l, (sent += client_push(&c, p + sent, ALL - sent)) == ALL);
        SSL_shutdown(c.ssl);
        client_close(&c);
        wait_until(t.l, t.gone == i + 1);
        assert_int_equal(t.got.len, ALL);
        assert_memory_equal(t.got.data, p, ALL);
        buf_done(&t.got);
        wait_until(t.l, t.server->slots->used == 0);
    }
}

/* close_notify alone, with the TCP connection left open, is an end as well. */
static void close_notify_is_an_end(void **state)
{
    struct client c;

    (void)state;
    c = client_upgraded(TLS1_3_VERSION);
    stream_conn_read(t.stream, true);
    client_say(&c, "last");
    SSL_shutdown(c.ssl);
    wait_until(t.l, t.gone == 1);
    assert_string_equal(t.got.data, "last");
    wait_until(t.l, client_read(&c));
    assert_int_equal(c.end, SSL_ERROR_ZERO_RETURN); /* and is answered */
    client_close(&c);
}

static void a_paused_stream_stops_the_client(void **state)
{
    cleanup_free char *p = pattern();
    struct client c;
    size_t sent = 0, before;

    (void)state;
    c = client_upgraded(TLS1_3_VERSION);
    do {
        before = sent;
        sent += client_push(&c, p + sent, ALL - sent);
        turns(t.l, 20);
    } while (sent > before);
    assert_true(sent < ALL);
    assert_int_equal(t.got.len, 0);
    stream_conn_read(t.stream, true);
    wait_until(t.l, (sent += client_push(&c, p + sent, ALL - sent)) == ALL && t.got.len == ALL);
    assert_memory_equal(t.got.data, p, ALL);
    client_close(&c);
}

static void a_slow_client_stops_the_stream(void **state)
{
    cleanup_free char *p = pattern();
    struct client c;
    size_t queued;

    (void)state;
    c = client_upgraded(TLS1_2_VERSION);
    stream_say(p, ALL);
    do {
        queued = stream_conn_queued(t.stream);
        turns(t.l, 20);
    } while (stream_conn_queued(t.stream) < queued);
    assert_true(queued > 0);
    assert_int_equal(t.drains, 0);
    /* the other way works meanwhile */
    stream_conn_read(t.stream, true);
    client_say(&c, "up");
    wait_until(t.l, t.got.len == 2);
    wait_until(t.l, (client_read(&c), c.got.len == ALL));
    assert_memory_equal(c.got.data, p, ALL);
    wait_until(t.l, t.drains == 1);
    client_close(&c);
}

static void both_ways_at_once(void **state)
{
    cleanup_free char *p = pattern();
    struct client c;
    size_t sent = 0;

    (void)state;
    c = client_upgraded(TLS1_3_VERSION);
    stream_conn_read(t.stream, true);
    stream_say(p, ALL);
    wait_until(t.l, (sent += client_push(&c, p + sent, ALL - sent), client_read(&c), sent == ALL) &&
                        t.got.len == ALL && c.got.len == ALL);
    assert_memory_equal(t.got.data, p, ALL);
    assert_memory_equal(c.got.data, p, ALL);
    client_close(&c);
}

static void on_done(void *data)
{
    ++*(size_t *)data;
}

static void finish_sends_everything(void **state)
{
    cleanup_free char *p = pattern();
    struct client c;
    size_t done = 0;

    (void)state;
    c = client_upgraded(TLS1_3_VERSION);
    (void)client_push(&c, p, ALL); /* is never read */
    stream_say(p, ALL);
    stream_conn_finish(t.stream, on_done, &done);
    t.stream = NULL;
    turns(t.l, 50);
    wait_until(t.l, client_read(&c));
    assert_int_equal(c.end, SSL_ERROR_ZERO_RETURN);
    assert_int_equal(c.got.len, ALL);
    assert_memory_equal(c.got.data, p, ALL);
    client_close(&c);
    wait_until(t.l, done == 1 && t.server->slots->used == 0);
}

static void the_stream_is_freed(void **state)
{
    struct client c;

    (void)state;
    c = client_upgraded(TLS1_2_VERSION);
    client_say(&c, "unread");
    turns(t.l, 5);
    stream_say("last", 4);
    stream_conn_free(t.stream);
    t.stream = NULL;
    wait_until(t.l, client_read(&c));
    assert_int_equal(c.end, SSL_ERROR_ZERO_RETURN);
    assert_string_equal(c.got.data, "last");
    client_close(&c);
}

/* In real time: the client of a stream that takes nothing dies with everything full. */
static void a_client_gone_while_all_is_full(void **state)
{
    cleanup_free char *p = pattern();
    struct client c;
    size_t sent = 0, before;
    int64_t start;

    (void)state;
    c = client_upgraded(TLS1_3_VERSION);
    do {
        before = sent;
        sent += client_push(&c, p + sent, ALL - sent);
        turns(t.l, 20);
    } while (sent > before);
    reset_and_close(c.fd);
    c.fd = -1;
    start = time_monotonic_us();
    wait_until(t.l, t.gone == 1);
    assert_true(time_monotonic_us() - start < 9000000);
    client_close(&c);
}

static void a_client_gone_while_the_stream_is_paused(void **state)
{
    struct client c;

    (void)state;
    c = client_upgraded(TLS1_3_VERSION);
    client_close(&c);
    wait_until(t.l, t.gone == 1);
}

static void a_client_that_resets(void **state)
{
    cleanup_free char *p = pattern();
    struct client c;

    (void)state;
    c = client_upgraded(TLS1_3_VERSION);
    stream_say(p, ALL);
    turns(t.l, 10);
    reset_and_close(c.fd);
    c.fd = -1;
    wait_until(t.l, t.gone == 1);
    client_close(&c);
}

/* The stream is gone, the client takes nothing: the relay gives up after TLS_STUCK_S without progress. */
static void a_client_that_takes_nothing_is_given_up(void **state)
{
    cleanup_free char *p = pattern();
    struct client c;
    struct tls_relay *r = NULL;

    (void)state;
    /* the relay under test, which nobody else knows: the handshake's */
    c = client_new(TLS1_3_VERSION, NULL, &t.authority);
    wait_until(t.l, (t.server->conns && (r = t.server->conns->relay)));
    client_connect(&c);
    client_say(&c, UPGRADE);
    wait_until(t.l, t.stream && r->plain >= 0);
    stream_say(p, ALL);
    wait_until(t.l, r->out.held.len);
    stream_conn_free(t.stream);
    t.stream = NULL;
    for (int i = 0; i < 3; i++) {
        timer_start(&r->timer, t.l, 0, on_tick, r);
        turns(t.l, 3);
    }
    assert_int_equal(t.server->slots->used, 1);
    r->out.stuck = TLS_STUCK_S;
    timer_start(&r->timer, t.l, 0, on_tick, r);
    wait_until(t.l, t.server->slots->used == 0);
    client_close(&c);
}

static void forty_at_once(void **state)
{
    enum { N = 40 };
    struct client c[N];

    (void)state;
    for (int i = 0; i < N; i++)
        c[i] = client_new(i % 2 ? TLS1_2_VERSION : TLS1_3_VERSION, NULL, &t.authority);
    for (int i = 0; i < N; i++) {
        client_connect(&c[i]);
        client_say(&c[i], "GET /x HTTP/1.1\r\n\r\n");
    }
    for (int i = 0; i < N; i++) {
        wait_until(t.l, client_read(&c[i]));
        assert_int_equal(c[i].end, SSL_ERROR_ZERO_RETURN);
        assert_true(client_has(&c[i], "nothing here"));
        client_close(&c[i]);
    }
}

#define test(fn)     cmocka_unit_test_setup_teardown(fn, setup_server, teardown)
#define test_own(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        test(both_versions),
        test(an_answer_ends_with_close_notify),
        test(old_versions_and_wrong_authorities),
        test_own(client_certificates),
        test(alpn),
        test(plain_text_to_a_tls_port),
        test(a_silent_client),
        test(freeing_the_server),
        test(certificates_are_read_anew),
        test(an_open_stream_outlives_its_certificate),
        test_own(files_that_cannot_be_used),
        test(client_data_comes_before_its_end),
        test(close_notify_is_an_end),
        test(a_paused_stream_stops_the_client),
        test(a_slow_client_stops_the_stream),
        test(both_ways_at_once),
        test(finish_sends_everything),
        test(the_stream_is_freed),
        test(a_client_gone_while_all_is_full),
        test(a_client_gone_while_the_stream_is_paused),
        test(a_client_that_resets),
        test(a_client_that_takes_nothing_is_given_up),
        test(forty_at_once),
    };

    return cmocka_run_group_tests(tests, setup_process, teardown_process);
}
