#include "core/digest.h"
#include "core/ids.h"
#include "core/mem.h"

#include <openssl/evp.h>
#include <string.h>

struct digest {
    EVP_MD_CTX *ctx;
    const char *name;
};

struct digest *digest_new(const char *like)
{
    struct digest *d = mem_new(struct digest);
    int is_512 = like && strncmp(like, "sha512:", 7) == 0;

    d->name = is_512 ? "sha512" : "sha256";
    d->ctx = EVP_MD_CTX_new();
    if (!d->ctx || EVP_DigestInit_ex(d->ctx, is_512 ? EVP_sha512() : EVP_sha256(), NULL) != 1)
        abort();
    return d;
}

void digest_add(struct digest *d, const void *p, size_t n)
{
    if (EVP_DigestUpdate(d->ctx, p, n) != 1)
        abort();
}

void digest_end(struct digest *d, char ret_text[static DIGEST_MAX + 1])
{
    unsigned char sum[EVP_MAX_MD_SIZE];
    unsigned n = 0;

    ret_text[0] = '\0';
    if (!d)
        return;
    if (EVP_DigestFinal_ex(d->ctx, sum, &n) != 1)
        abort();
    memcpy(ret_text, d->name, 6);
    ret_text[6] = ':';
    hex_of(sum, n, ret_text + 7);
    EVP_MD_CTX_free(d->ctx);
    free(d);
}

void digest_of(const void *p, size_t n, char ret_text[static DIGEST_MAX + 1])
{
    struct digest *d = digest_new(NULL);

    digest_add(d, p, n);
    digest_end(d, ret_text);
}
