/* The running digest of bytes that come in pieces, in the notation of OCI: "sha256:HEX" or "sha512:HEX". */
#pragma once
#include "core/image_ref.h"
#include <stddef.h>

struct digest;

/* like: a digest whose algorithm is used; NULL or another algorithm: sha256. */
struct digest *digest_new(const char *like);
void digest_add(struct digest *d, const void *p, size_t n);
/* Frees d, which may be NULL: then the text is "". */
void digest_end(struct digest *d, char ret_text[static DIGEST_MAX + 1]);

void digest_of(const void *p, size_t n, char ret_text[static DIGEST_MAX + 1]); /* sha256, at once */
