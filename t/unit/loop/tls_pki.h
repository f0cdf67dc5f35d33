/* Certificates for tests: authorities, and what they sign, as PEM files in a directory. */
#pragma once
#include "core/mem.h"

#include <openssl/ec.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <cmocka.h>

struct identity {
    EVP_PKEY *key;
    X509 *cert;
};

static inline void extension_add(X509 *cert, X509 *issuer, int nid, const char *value)
{
    X509V3_CTX ctx;

    X509V3_set_ctx(&ctx, issuer, cert, NULL, NULL, 0);
    X509_EXTENSION *e = X509V3_EXT_conf_nid(NULL, &ctx, nid, value);
    assert_non_null(e);
    X509_add_ext(cert, e, -1);
    X509_EXTENSION_free(e);
}

/* by: NULL makes an authority. */
static inline struct identity identity_new(const char *name, long serial, const struct identity *by)
{
    struct identity id = {EVP_EC_gen("P-256"), X509_new()};
    X509_NAME *subject = X509_get_subject_name(id.cert);

    X509_set_version(id.cert, X509_VERSION_3);
    ASN1_INTEGER_set(X509_get_serialNumber(id.cert), serial);
    X509_gmtime_adj(X509_getm_notBefore(id.cert), -60);
    X509_gmtime_adj(X509_getm_notAfter(id.cert), 3600);
    X509_set_pubkey(id.cert, id.key);
    X509_NAME_add_entry_by_txt(subject, "CN", MBSTRING_ASC, (const uint8_t *)name, -1, -1, 0);
    X509_set_issuer_name(id.cert, by ? X509_get_subject_name(by->cert) : subject);
    extension_add(id.cert, by ? by->cert : id.cert, NID_basic_constraints,
                  by ? "CA:FALSE" : "critical,CA:TRUE");
    if (by)
        extension_add(id.cert, by->cert, NID_subject_alt_name, "IP:127.0.0.1");
    assert_true(X509_sign(id.cert, by ? by->key : id.key, EVP_sha256()) > 0);
    return id;
}

static inline void identity_free(struct identity *id)
{
    EVP_PKEY_free(id->key);
    X509_free(id->cert);
}

/* Replaces the file, as a rotation does: another inode. */
static inline void cert_write(const char *path, X509 *first, X509 *second)
{
    cleanup_free char *fresh = mem_printf("%s.new", path);
    FILE *f = fopen(fresh, "we");

    assert_non_null(f);
    PEM_write_X509(f, first);
    if (second)
        PEM_write_X509(f, second);
    fclose(f);
    assert_int_equal(rename(fresh, path), 0);
}

static inline void key_write(const char *path, EVP_PKEY *key, const char *passphrase)
{
    cleanup_free char *fresh = mem_printf("%s.new", path);
    FILE *f = fopen(fresh, "we");

    assert_non_null(f);
    PEM_write_PrivateKey(f, key, passphrase ? EVP_aes_128_cbc() : NULL, (const uint8_t *)passphrase,
                         passphrase ? (int)strlen(passphrase) : 0, NULL, NULL);
    fclose(f);
    assert_int_equal(rename(fresh, path), 0);
}
