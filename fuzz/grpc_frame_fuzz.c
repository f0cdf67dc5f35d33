/* One input goes to each parser of proto/grpc_frame.h: as a body, as a timeout, as a message to decode and to encode. */
#include "core/mem.h"
#include "proto/grpc_frame.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const uint8_t *message;
    size_t n;
    int64_t us;
    struct err err;

    if (grpc_frame_parse(data, size, &message, &n, &err) == 0 && message + n != data + size)
        abort();
    cleanup_free char *text = mem_strndup((const char *)data, size);
    if (grpc_timeout_parse(text, &us) == 0 && us < 0)
        abort();
    cleanup_free char *decoded = grpc_message_decode(text);
    cleanup_free char *encoded = grpc_message_encode(text);
    cleanup_free char *again = grpc_message_decode(encoded);
    if (strlen(decoded) > strlen(text) || strcmp(again, text) != 0)
        abort();
    return 0;
}
