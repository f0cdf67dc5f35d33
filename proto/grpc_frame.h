/*
 * gRPC's bytes inside HTTP/2: message frames, the grpc-timeout header, the grpc-message trailer. Pure.
 * Source: grpc/doc/PROTOCOL-HTTP2.md; the codes: statuscodes.md beside it.
 */
#pragma once
#include "core/err.h"
#include <stddef.h>
#include <stdint.h>

enum {
    GRPC_FRAME_PREFIX = 5,              /* one byte "compressed", four of big-endian length */
    GRPC_MESSAGE_MAX = 16 * 1024 * 1024 /* what the kubelet and crictl allow, in both directions */
};

/*
 * The body of a unary or server-streaming request: exactly one message. *ret_message points into body.
 * Errors: none or more than one: UNIMPLEMENTED; compressed: UNIMPLEMENTED; above GRPC_MESSAGE_MAX: RESOURCE_EXHAUSTED;
 * cut short: INTERNAL.
 */
int grpc_frame_parse(const void *body, size_t n, const uint8_t **ret_message, size_t *ret_len,
                     struct err *err) must_check;

/* The prefix of an uncompressed message of n bytes. */
void grpc_frame_prefix(uint8_t prefix[static GRPC_FRAME_PREFIX], uint32_t n);

/* "100m" -> 100000 microseconds, rounded up. One to eight digits and one of HMSmun; -EINVAL for anything else. */
int grpc_timeout_parse(const char *s, int64_t *ret_us) must_check;

/* grpc-message: bytes outside 0x20..0x7e and '%' become %XX. The caller frees. */
char *grpc_message_encode(const char *s);
/* The other way; a '%' that no two hex digits follow stays as it is, as the specification asks. The caller frees. */
char *grpc_message_decode(const char *s);
