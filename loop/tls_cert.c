#include "loop/tls_cert.h"
#include "core/file.h"
#include "core/log.h"
#include "core/mem.h"

#include <errno.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <string.h>
#include <sys/stat.h>

enum { PEM_FILE_MAX = 1 << 20 };

enum { FILE_CERT, FILE_KEY, FILE_CA, FILES };

struct stamp {
    dev_t dev;
    ino_t ino;
    off_t size;
    struct timespec mtime;
    int error; /* stat(2)'s */
};

struct tls_cert {
    char *path[FILES]; /* [FILE_CA] may be NULL */
    struct stamp stamp[FILES];
    SSL_CTX *ctx;
};

static struct stamp stamp_of(const char *path)
{
    struct stat st;

    if (stat(path, &st) < 0)
        return (struct stamp){.error = errno};
    return (struct stamp){st.st_dev, st.st_ino, st.st_size, st.st_mtim, 0};
}

static bool stamp_same(const struct stamp *a, const struct stamp *b)
{
    return a->dev == b->dev && a->ino == b->ino && a->size == b->size && a->mtime.tv_sec == b->mtime.tv_sec &&
           a->mtime.tv_nsec == b->mtime.tv_nsec && a->error == b->error;
}

/* Before the files are read: what changes while they are is then seen as a change. */
static bool stamps_renew(struct tls_cert *c)
{
    bool changed = false;

    for (int i = 0; i < FILES; i++) {
        if (!c->path[i])
            continue;
        struct stamp now = stamp_of(c->path[i]);
        changed = changed || !stamp_same(&now, &c->stamp[i]);
        c->stamp[i] = now;
    }
    return changed;
}

static int tls_error(struct err *err, const char *path, const char *what)
{
    unsigned long code = ERR_peek_last_error();
    const char *reason = code ? ERR_reason_error_string(code) : NULL;

    ERR_clear_error();
    return err_set(err, GRPC_INVALID_ARGUMENT, 0, "%s: %s%s%s", path, what, reason ? ": " : "",
                   reason ? reason : "");
}

static void bio_free(BIO **b)
{
    BIO_free(*b);
}

static void x509_free(X509 **x)
{
    X509_free(*x);
}

static void pkey_free(EVP_PKEY **k)
{
    EVP_PKEY_free(*k);
}

static void ctx_free(SSL_CTX **c)
{
    SSL_CTX_free(*c);
}

/* Whole into b, with a BIO over it. */
static int pem_open(const char *path, struct buf *b, BIO **ret, struct err *err)
{
    int rc = file_read(path, PEM_FILE_MAX, b, err);

    if (rc < 0)
        return rc;
    *ret = BIO_new_mem_buf(b->data ? b->data : "", (int)b->len);
    return *ret ? 0 : tls_error(err, path, "no memory");
}

/* Else OpenSSL would ask on the terminal. */
static int no_passphrase(char *p, int n, int writing, void *data)
{
    (void)p;
    (void)n;
    (void)writing;
    (void)data;
    return 0;
}

/* The end of a list of certificates is an error as well; one that is no end is in the file. */
static bool pem_at_end(void)
{
    bool end = ERR_GET_REASON(ERR_peek_last_error()) == PEM_R_NO_START_LINE;

    if (end)
        ERR_clear_error();
    return end;
}

static int load_chain(SSL_CTX *ctx, const char *path, struct err *err)
{
    cleanup_buf struct buf b = {0};
    cleanup_with(bio_free) BIO *bio = NULL;
    int rc = pem_open(path, &b, &bio, err);

    if (rc < 0)
        return rc;
    cleanup_with(x509_free) X509 *leaf = PEM_read_bio_X509_AUX(bio, NULL, no_passphrase, NULL);
    if (!leaf)
        return tls_error(err, path, "no PEM certificate in it");
    if (SSL_CTX_use_certificate(ctx, leaf) != 1)
        return tls_error(err, path, "the certificate cannot be used");
    for (;;) {
        X509 *next = PEM_read_bio_X509(bio, NULL, no_passphrase, NULL);
        if (!next)
            break;
        if (SSL_CTX_add0_chain_cert(ctx, next) != 1) {
            X509_free(next);
            return tls_error(err, path, "the chain cannot be used");
        }
    }
    return pem_at_end() ? 0 : tls_error(err, path, "a certificate of the chain is broken");
}

static int load_key(SSL_CTX *ctx, const char *path, const char *cert_path, struct err *err)
{
    cleanup_buf struct buf b = {0};
    cleanup_with(bio_free) BIO *bio = NULL;
    int rc = pem_open(path, &b, &bio, err);

    if (rc < 0)
        return rc;
    cleanup_with(pkey_free) EVP_PKEY *key = PEM_read_bio_PrivateKey(bio, NULL, no_passphrase, NULL);
    OPENSSL_cleanse(b.data, b.len);
    if (!key)
        return tls_error(err, path, "no PEM private key without a passphrase in it");
    if (SSL_CTX_use_PrivateKey(ctx, key) != 1 || SSL_CTX_check_private_key(ctx) != 1) {
        ERR_clear_error();
        return err_set(err, GRPC_INVALID_ARGUMENT, 0, "%s: the key does not belong to the certificate in %s",
                       path, cert_path);
    }
    return 0;
}

static int load_client_ca(SSL_CTX *ctx, const char *path, struct err *err)
{
    cleanup_buf struct buf b = {0};
    cleanup_with(bio_free) BIO *bio = NULL;
    int rc = pem_open(path, &b, &bio, err);
    int found = 0;

    if (rc < 0)
        return rc;
    for (;; found++) {
        cleanup_with(x509_free) X509 *ca = PEM_read_bio_X509(bio, NULL, no_passphrase, NULL);
        if (!ca)
            break;
        if (X509_STORE_add_cert(SSL_CTX_get_cert_store(ctx), ca) != 1 || SSL_CTX_add_client_CA(ctx, ca) != 1)
            return tls_error(err, path, "an authority cannot be used");
    }
    if (!pem_at_end() || found == 0)
        return tls_error(err, path, found ? "a certificate is broken" : "no PEM certificate in it");
    SSL_CTX_set_verify(ctx, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, NULL);
    return 0;
}

/* A client that names protocols must name http/1.1. */
static int on_alpn(SSL *ssl, const unsigned char **out, unsigned char *outlen, const unsigned char *in,
                   unsigned int inlen, void *data)
{
    static const unsigned char ours[] = "\x08http/1.1";

    (void)ssl;
    (void)data;
    if (SSL_select_next_proto((unsigned char **)out, outlen, ours, sizeof(ours) - 1, in, inlen) !=
        OPENSSL_NPN_NEGOTIATED)
        return SSL_TLSEXT_ERR_ALERT_FATAL;
    return SSL_TLSEXT_ERR_OK;
}

static int context_new(const struct tls_cert *c, SSL_CTX **ret, struct err *err)
{
    cleanup_with(ctx_free) SSL_CTX *ctx = SSL_CTX_new(TLS_server_method());
    int rc;

    if (!ctx)
        return tls_error(err, c->path[FILE_CERT], "no TLS context");
    SSL_CTX_set_min_proto_version(ctx, TLS1_2_VERSION);
    SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_OFF);
    SSL_CTX_set_num_tickets(ctx, 0);
    /* an end without close_notify is an end: SPDY and WebSocket have lengths of their own */
    SSL_CTX_set_options(ctx, SSL_OP_NO_TICKET | SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION |
                                 SSL_OP_IGNORE_UNEXPECTED_EOF);
    SSL_CTX_set_mode(ctx, SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
    SSL_CTX_set_alpn_select_cb(ctx, on_alpn, NULL);
    if ((rc = load_chain(ctx, c->path[FILE_CERT], err)) < 0 ||
        (rc = load_key(ctx, c->path[FILE_KEY], c->path[FILE_CERT], err)) < 0 ||
        (c->path[FILE_CA] && (rc = load_client_ca(ctx, c->path[FILE_CA], err)) < 0))
        return rc;
    *ret = steal_ptr(&ctx);
    return 0;
}

int tls_cert_new(const struct tls_files *files, struct tls_cert **ret, struct err *err)
{
    struct tls_cert *c = mem_new(struct tls_cert);

    c->path[FILE_CERT] = mem_strdup(files->cert);
    c->path[FILE_KEY] = mem_strdup(files->key);
    c->path[FILE_CA] = mem_strdup(files->client_ca);
    (void)stamps_renew(c);
    int rc = context_new(c, &c->ctx, err);
    if (rc < 0) {
        tls_cert_free(c);
        return err_wrap(err, "TLS");
    }
    *ret = c;
    return 0;
}

void tls_cert_free(struct tls_cert *c)
{
    if (!c)
        return;
    SSL_CTX_free(c->ctx);
    for (int i = 0; i < FILES; i++)
        free(c->path[i]);
    free(c);
}

struct ssl_ctx_st *tls_cert_context(struct tls_cert *c)
{
    struct err err = {0};
    SSL_CTX *fresh = NULL;

    if (!stamps_renew(c))
        return c->ctx;
    if (context_new(c, &fresh, &err) < 0) {
        /* one file may have been replaced and the other not yet: then the next change is tried again */
        log_error("TLS: the new certificate is not used, the old one stays: %s", err.msg);
        return c->ctx;
    }
    log_info("TLS: certificate read anew from %s", c->path[FILE_CERT]);
    SSL_CTX_free(c->ctx);
    c->ctx = fresh;
    return c->ctx;
}
