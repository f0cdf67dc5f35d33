#include "proto/websocket_handshake.h"
#include "core/base64.h"
#include "core/quote.h"

#include <openssl/evp.h>
#include <string.h>
#include <strings.h>

enum { KEY_BYTES = 16, KEY_DIGITS = BASE64_LEN(KEY_BYTES) };

static const char accept_guid[] = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"; /* RFC 6455 section 1.3 */

bool header_has_token(const char *value, const char *token)
{
    size_t want = strlen(token);

    while (value && *value) {
        value += strspn(value, " \t,");
        size_t n = strcspn(value, ","), end = n;
        while (end > 0 && (value[end - 1] == ' ' || value[end - 1] == '\t'))
            end--;
        if (end == want && strncasecmp(value, token, want) == 0)
            return true;
        value += n;
    }
    return false;
}

/* SHA-1 is what the RFC names; here it only proves that the server read the key. */
static int accept_of(const char *key, char *ret_accept, struct err *err)
{
    unsigned char text[KEY_DIGITS + sizeof(accept_guid) - 1], sha1[EVP_MAX_MD_SIZE];
    unsigned n = 0;

    memcpy(text, key, KEY_DIGITS);
    memcpy(text + KEY_DIGITS, accept_guid, sizeof(accept_guid) - 1);
    if (EVP_Digest(text, sizeof(text), sha1, &n, EVP_sha1(), NULL) != 1 ||
        BASE64_LEN((size_t)n) != WEBSOCKET_ACCEPT_SIZE - 1)
        return err_set(err, GRPC_INTERNAL, 0,
                       "WebSocket handshake: the crypto library has no SHA-1; allow it in its configuration");
    base64_encode(sha1, n, ret_accept);
    ret_accept[WEBSOCKET_ACCEPT_SIZE - 1] = '\0';
    return 0;
}

int websocket_handshake(const struct websocket_request *req, char ret_accept[static WEBSOCKET_ACCEPT_SIZE],
                        struct err *err)
{
    unsigned char nonce[KEY_DIGITS];
    size_t n = 0;

    if (!header_has_token(req->upgrade, "websocket"))
        return err_set(err, GRPC_INVALID_ARGUMENT, 0,
                       "WebSocket handshake: the Upgrade header must name websocket");
    if (!header_has_token(req->connection, "upgrade"))
        return err_set(err, GRPC_INVALID_ARGUMENT, 0,
                       "WebSocket handshake: the Connection header must name Upgrade");
    if (!req->version || strcmp(req->version, "13") != 0)
        return err_set(err, GRPC_FAILED_PRECONDITION, 0,
                       "WebSocket handshake: Sec-WebSocket-Version is %s; 13 is supported",
                       req->version ? QUOTED(req->version) : "missing");
    if (!req->key || strlen(req->key) != KEY_DIGITS || base64_decode(req->key, KEY_DIGITS, nonce, &n) < 0 ||
        n != KEY_BYTES)
        return err_set(err, GRPC_INVALID_ARGUMENT, 0,
                       "WebSocket handshake: Sec-WebSocket-Key must be %d bytes in base64", KEY_BYTES);
    return accept_of(req->key, ret_accept, err);
}
